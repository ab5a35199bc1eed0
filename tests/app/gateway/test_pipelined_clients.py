"""Clients that send more than one thing on a connection: each request ends once, and no refusal is said twice."""

import asyncio
import json
import logging

import pytest

from app.config.schema import ServerConfig
from app.errors import InvalidApiKeyError
from otel.events import ExceptionMapped
from tests.app.gateway.raw_client import get, post, read_one


def chat_request(wire, *, stream: bool = False) -> bytes:
    messages = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": "acme/tiny", "messages": messages, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {wire.key}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_a_client_that_leaves_ends_its_call_although_another_request_waits_behind_it(
    make_upstream, make_gateway, wire
) -> None:
    async def silent(exchange) -> None:
        await exchange.gone()
        upstream.gone += 1

    upstream = await make_upstream(silent)
    gateway = await make_gateway(upstream)
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(chat_request(wire) + chat_request(wire))
    await wire.until(lambda: upstream.exchanges, "the first call")
    writer.close()
    await wire.until(lambda: upstream.gone, "the end of the upstream's work")
    recorded = await gateway.finished()
    assert [(call.status, call.cancel_phase) for call in recorded.calls] == [("cancelled", "before_first_byte")]
    assert [request.status_code for request in recorded.requests] == [499]
    assert len(upstream.exchanges) == 1


async def test_a_head_that_is_broken_and_too_large_gets_one_response(make_upstream, make_gateway, caplog) -> None:
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_header_bytes=1_000))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    with caplog.at_level(logging.ERROR):
        writer.write(b"GET / HTTP/1.1\r\n: no name\r\n" + b"x" * 5_000)
        async with asyncio.timeout(20):
            response = await reader.read()
    writer.close()
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "invalid_http"
    assert caplog.records == []


async def test_a_body_that_is_broken_from_its_start_is_refused_although_the_client_waits_to_be_asked_for_it(
    make_upstream, make_gateway, wire
) -> None:
    gateway = await make_gateway(await make_upstream())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {wire.key}\r\nexpect: 100-continue\r\n"
    )
    writer.write(f"{head}transfer-encoding: chunked\r\n\r\nno length\r\n".encode())
    async with asyncio.timeout(20):
        response = await reader.read()
    writer.close()
    assert response.startswith(b"HTTP/1.1 400 ")
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [499]
    assert recorded.of(ExceptionMapped) == []


async def test_whole_requests_are_served_whole_although_what_follows_them_is_no_http(
    make_upstream, make_gateway, wire
) -> None:
    may_go_on = asyncio.Event()

    async def slow_stream(exchange) -> None:
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("first")))
        await may_go_on.wait()
        await exchange.send(wire.sse(wire.chunk("last"), b"[DONE]"))
        await exchange.end()

    upstream = await make_upstream(slow_stream)
    gateway = await make_gateway(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(chat_request(wire, stream=True))
    async with asyncio.timeout(20):
        response = await reader.readuntil(b"first")
        writer.write(chat_request(wire, stream=True) + b"\x00\x01 is no HTTP\r\n\r\n")
        await writer.drain()
        may_go_on.set()
        response += await reader.read()
    writer.close()
    assert response.count(b"HTTP/1.1 200 OK") == 2
    assert response.count(b"[DONE]") == 2
    assert response.count(b"HTTP/1.1 ") == 3
    last_head, _, last_body = response[response.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    assert last_head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(last_body)["error"]["code"] == "invalid_http"
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [200, 200]


async def test_a_waiting_request_with_a_broken_body_does_not_cut_the_response_before_it(
    make_upstream, make_gateway, wire
) -> None:
    may_go_on = asyncio.Event()

    async def slow(exchange) -> None:
        await may_go_on.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(slow)
    gateway = await make_gateway(upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    broken = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nno length\r\n"
    writer.write(chat_request(wire) + broken)
    await wire.until(lambda: upstream.exchanges, "the first call")
    may_go_on.set()
    async with asyncio.timeout(20):
        response = await reader.read()
    writer.close()
    assert response.startswith(b"HTTP/1.1 200 OK")
    assert response.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in response
    recorded = await gateway.finished()
    assert [request.status_code for request in recorded.requests] == [200]


async def post_during_lookup(gateway, wire, monkeypatch, body, find):
    """Send a request whose whole body arrives before the lookup of its key ends with `find`; return the connection."""
    release, lookups = asyncio.Event(), []

    async def held(secret):
        lookups.append(secret)
        await release.wait()
        return await find(secret)

    monkeypatch.setattr(gateway.gateway._keys, "find", held)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(post(body=body))
    await writer.drain()
    await wire.until(lambda: lookups)
    for _ in range(200):
        # The rest of the body arrives in later passes of the event loop.
        await asyncio.sleep(0)
    release.set()
    return reader, writer


@pytest.mark.parametrize(
    "case",
    [({"model": "no/such"}, 404), ({"model": "acme/tiny", "stream": "yes"}, 400), ({"model": "acme/tiny"}, 200)],
    ids=["unknown model", "invalid field", "served"],
)
async def test_after_a_large_body_the_next_request_of_the_connection_is_read(
    make_upstream, make_gateway, monkeypatch, wire, case
) -> None:
    """The body was there before the application took any of it, so that the gateway had stopped to read."""
    fields, status = case
    gateway = await make_gateway(await make_upstream())
    body = json.dumps({**fields, "messages": [{"role": "user", "content": "x" * 100_000}]}).encode()
    reader, writer = await post_during_lookup(gateway, wire, monkeypatch, body, gateway.gateway._keys.find)
    async with asyncio.timeout(20):
        assert (await read_one(reader)).status == status
        writer.write(get())
        assert (await read_one(reader)).status == 200
    writer.close()


async def test_after_a_large_body_that_was_not_wanted_the_next_request_is_read(
    make_upstream, make_gateway, monkeypatch, wire
) -> None:
    gateway = await make_gateway(await make_upstream())

    async def unknown(_secret):
        raise InvalidApiKeyError("Incorrect API key provided.")

    reader, writer = await post_during_lookup(gateway, wire, monkeypatch, b"x" * 100_000, unknown)
    async with asyncio.timeout(20):
        for request in (b"", get(), get()):
            writer.write(request)
            assert (await read_one(reader)).status == 401
    writer.close()
