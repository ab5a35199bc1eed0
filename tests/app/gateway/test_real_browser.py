"""A page in Chromium that calls the API with `fetch`, from an origin that `cors_origins` names and from one that it does not."""

import asyncio

import pytest

from app.config.schema import ServerConfig
from tests.servers.chromium import running_chromium

pytestmark = pytest.mark.live
PAGE = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\nconnection: close\r\n\r\n<!doctype html>"
ASK = """async ([url, chat, key]) => {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const found = [];
    for (const stream of [false, true]) {
        const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ ...chat, stream }) });
        let text = "";
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
        const hasId = (response.headers.get("x-request-id") ?? "").length > 0;
        found.push([response.status, hasId, text.trim().slice(-6)]);
    }
    headers.authorization = "Bearer wrong";
    const refusal = await fetch(url, { method: "POST", headers, body: JSON.stringify(chat) });
    found.push([refusal.status, (await refusal.json()).error.code]);
    return found;
}"""
REFUSED = """async ([url, chat, key]) => fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(chat),
}).then(response => `status ${response.status}`, error => error.name)"""


async def serve_page(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PAGE)
    await writer.drain()
    writer.close()


def visit(pages, *arguments):
    """Open both pages; return what each found. Blocks."""
    with running_chromium() as browser:
        found = []
        for address, script in pages:
            page = browser.new_page()
            page.goto(address)
            found.append(page.evaluate(script, list(arguments)))
    return found


async def test_a_page_reads_responses_and_streams_where_its_origin_is_allowed(make_upstream, make_gateway, wire):
    server = await asyncio.start_server(serve_page, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    allowed, other = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(cors_origins=(allowed,)))
    chat = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}
    found, refused = await asyncio.to_thread(
        visit, [(allowed, ASK), (other, REFUSED)], f"{gateway.url}/v1/chat/completions", chat, wire.key
    )
    server.close()
    assert found[0][:2] == [200, True]
    assert found[0][2].endswith("}")
    assert found[1] == [200, True, "[DONE]"]
    assert found[2] == [401, "invalid_api_key"]
    assert refused == "TypeError"
    # The browser asks before it sends: the page of the other origin has cost nothing.
    assert len((await gateway.finished()).calls) == 2
