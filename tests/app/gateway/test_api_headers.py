"""What every response of the API carries, and CORS: raw HTTP, as a browser sends it."""

import asyncio
import json
import re
from urllib.parse import quote

import openai
import pytest

from app.config.schema import PlanConfig, ServerConfig

PAGE = "https://app.example.com"
CHAT = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}]}
PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


def server(*origins):
    return ServerConfig(cors_origins=origins)


async def raw(gateway, method, path, headers=None, *, body=b"", key="good-key"):
    """Send one request as bytes; return status, headers (a list of values for each name) and body."""
    fields = {"host": "gateway", "connection": "close", "content-length": str(len(body)), **(headers or {})}
    if key is not None:
        fields["authorization"] = f"Bearer {key}"
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    async with asyncio.timeout(20):
        response = await reader.read()
    writer.close()
    start, _, rest = response.partition(b"\r\n\r\n")
    lines = start.decode().split("\r\n")
    found = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    return int(lines[0].split()[1]), found, rest


async def chat(gateway, headers=None, key="good-key", **fields):
    return await raw(
        gateway, "POST", "/v1/chat/completions", headers, body=json.dumps({**CHAT, **fields}).encode(), key=key
    )


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/acme/tiny", "/v1/models/no/such"])
@pytest.mark.parametrize("key", ["good-key", None])
async def test_head_is_get_without_a_body(make_upstream, make_gateway, path, key):
    """RFC 9110, 9.1: who serves GET serves HEAD."""
    gateway = await make_gateway(await make_upstream())
    status, headers, body = await raw(gateway, "GET", path, key=key)
    head_status, head_headers, head_body = await raw(gateway, "HEAD", path, key=key)
    assert (head_status, head_body) == (status, b"")
    assert head_headers["content-length"] == headers["content-length"] == [str(len(body))]


async def test_without_a_setting_there_is_no_cors(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    status, headers, _ = await chat(gateway, {"origin": PAGE})
    assert status == 200
    assert not [name for name in headers if name.startswith("access-control") or name == "vary"]
    _, headers, _ = await raw(gateway, "OPTIONS", "/v1/chat/completions", PREFLIGHT, key=None)
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("origins", [(PAGE,), ("https://other.example", PAGE), ("*",)])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/no/such", "/chat/completions"])
async def test_a_preflight_needs_no_key(make_upstream, make_gateway, origins, path):
    gateway = await make_gateway(await make_upstream(), server_config=server(*origins))
    status, headers, body = await raw(gateway, "OPTIONS", path, PREFLIGHT, key=None)
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == ["*" if origins == ("*",) else PAGE]
    assert headers["access-control-allow-methods"] == ["GET, HEAD, POST"]
    assert headers["access-control-allow-headers"] == [PREFLIGHT["access-control-request-headers"]]
    assert headers["vary"] == ["Origin, Access-Control-Request-Method, Access-Control-Request-Headers"]
    assert "access-control-allow-credentials" not in headers
    (request,) = (await gateway.finished()).requests
    assert (request.status_code, request.outcome) == (204, "ok")


async def test_every_kind_of_response_can_be_read_by_the_page(make_upstream, make_gateway, wire):
    async def talk(exchange):
        await exchange.stream(wire.chunk("Hello"), wire.chunk(finish="stop"))

    gateway = await make_gateway(await make_upstream(), server_config=server(PAGE))
    streaming = await make_gateway(await make_upstream(talk, "beta"), server_config=server(PAGE))
    origin = {"origin": PAGE}
    responses = {
        "whole": (200, await chat(gateway, origin)),
        "stream": (200, await chat(streaming, origin, stream=True)),
        "bad body": (400, await chat(gateway, origin, model=7)),
        "no key": (401, await chat(gateway, origin, key=None)),
        "expired": (403, await chat(gateway, origin, key="expired-key")),
        "no model": (404, await chat(gateway, origin, model="no/such")),
        "no path": (404, await raw(gateway, "GET", "/v1/no/such", origin)),
        "no v1": (404, await raw(gateway, "POST", "/chat/completions", origin)),
        "wrong method": (405, await raw(gateway, "DELETE", "/v1/models", origin)),
        "no database": (503, await chat(gateway, origin, key="no-database")),
        "models": (200, await raw(gateway, "GET", "/v1/models", origin)),
    }
    for name, (expected, (status, headers, _)) in responses.items():
        assert status == expected, name
        assert headers["access-control-allow-origin"] == [PAGE], name
        assert headers["vary"] == ["Origin"], name
        exposed = set(headers["access-control-expose-headers"][0].split(", "))
        assert {"x-trace-id", "x-request-id", "retry-after", "x-gatewayz-provider"} <= exposed, name
        assert headers["x-request-id"] == headers["x-trace-id"], name


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null", ""]
)
async def test_other_pages_cannot_read_anything(make_upstream, make_gateway, origin):
    gateway = await make_gateway(await make_upstream(), server_config=server(PAGE))
    _, headers, _ = await raw(gateway, "OPTIONS", "/v1/models", {**PREFLIGHT, "origin": origin}, key=None)
    assert "access-control-allow-origin" not in headers
    status, headers, _ = await raw(gateway, "GET", "/v1/models", {"origin": origin})
    assert status == 200
    assert "access-control-allow-origin" not in headers
    assert headers["vary"] == ["Origin"]  # a cache in between must not give this response to an allowed page


@pytest.mark.parametrize("asked", ["x" * 5000, "a: b", "a\tb", ""])
async def test_what_a_preflight_asks_for_is_repeated_only_where_it_is_a_list_of_names(
    make_upstream, make_gateway, asked
):
    gateway = await make_gateway(await make_upstream(), server_config=server("*"))
    fields = {**PREFLIGHT, "access-control-request-headers": asked}
    status, headers, _ = await raw(gateway, "OPTIONS", "/v1/models", fields, key=None)
    assert status == 204
    assert headers["access-control-allow-headers"] == ["authorization, content-type"]


async def test_each_response_has_one_request_id_which_is_the_trace_id(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    responses = [await chat(gateway), await chat(gateway, key=None), await raw(gateway, "GET", "/v1/nothing")]
    ids = [headers["x-request-id"] for _, headers, _ in responses]
    assert ids == [headers["x-trace-id"] for _, headers, _ in responses]
    assert all(len(each) == 1 and re.fullmatch("[0-9a-f]{32}", each[0]) for each in ids)
    assert len({each[0] for each in ids}) == 3


async def test_the_sdk_shows_the_request_id(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    async with openai.AsyncOpenAI(api_key="good-key", base_url=f"{gateway.url}/v1", max_retries=0) as client:
        response = await client.chat.completions.create(**CHAT)
        with pytest.raises(openai.NotFoundError) as refused:
            await client.chat.completions.create(**{**CHAT, "model": "no/such"})
    assert re.fullmatch("[0-9a-f]{32}", response._request_id)
    assert re.fullmatch("[0-9a-f]{32}", refused.value.request_id)


async def test_401_says_how_to_authenticate(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    for key in (None, "wrong"):
        status, headers, _ = await chat(gateway, key=key)
        assert (status, headers["www-authenticate"]) == (401, ['Bearer realm="api"'])
    assert "www-authenticate" not in (await chat(gateway, key="expired-key"))[1]


@pytest.mark.parametrize(
    "path",
    ["/chat/completions", "/embeddings", "/models", "/models/acme/tiny", "/completions", "/responses", "/v1/v1/models"],
)
async def test_a_base_url_without_v1_is_named(make_upstream, make_gateway, path):
    gateway = await make_gateway(await make_upstream())
    for method in ("POST", "GET"):
        status, _, body = await raw(gateway, method, path)
        error = json.loads(body)["error"]
        assert (status, error["code"], error["type"]) == (404, "unknown_url", "invalid_request_error")
        assert "base URL" in error["message"]
        assert "/v1" in error["message"]
    assert len((await gateway.finished()).requests) == 2


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/resp_1", "/v1/completions", "/v1/messages"])
async def test_an_api_that_is_not_served_names_the_setting_of_the_client(make_upstream, make_gateway, path):
    gateway = await make_gateway(await make_upstream())
    status, _, body = await raw(gateway, "POST", path)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (404, "unknown_url", "invalid_request_error")
    assert "chat completions" in error["message"]


@pytest.mark.parametrize("path", ["/chatter", "/modelsx", "/favicon.ico", "/metrics/../x"])
async def test_other_paths_stay_problems(make_upstream, make_gateway, path):
    gateway = await make_gateway(await make_upstream())
    status, headers, _ = await raw(gateway, "GET", path)
    assert (status, headers["content-type"]) == (404, ["application/problem+json"])


async def test_models_say_since_when_and_for_what(make_upstream, make_gateway):
    gateway = await make_gateway(await make_upstream())
    _, _, body = await raw(gateway, "GET", "/v1/models")
    models = json.loads(body)["data"]
    assert [(model["id"], model["operation"]) for model in models] == [
        ("acme/tiny", "chat"),
        ("acme/embed", "embeddings"),
    ]
    assert {model["created"] for model in models} == {gateway.gateway.started_unix_ms // 1_000}
    assert models[0]["created"] > 1_700_000_000
    _, _, one = await raw(gateway, "GET", "/v1/models/acme/embed")
    assert json.loads(one) == models[1]


async def test_limits_say_when_they_are_full_again(make_upstream, make_gateway):
    gateway = await make_gateway(
        await make_upstream(), plan=PlanConfig(name="free", plan_tokens_per_minute=6_000), limits=(10, None)
    )
    _, headers, _ = await chat(gateway)
    assert headers["x-ratelimit-reset-requests"] == ["6s"]
    assert headers["x-ratelimit-reset-tokens"] == ["0ms"]


@pytest.mark.parametrize(
    ("path", "is_api"), [("/v1/models/", True), ("/v1/", True), ("/", False), ("/prometheus/metrics/", False)]
)
async def test_a_path_beyond_every_name_is_unknown_and_not_remembered(make_upstream, make_gateway, path, is_api):
    gateway = await make_gateway(await make_upstream())
    remembered = gateway.app.asgi_router.handle_routing.cache_info
    await raw(gateway, "GET", "/v1/unknown")
    await raw(gateway, "GET", "/unknown")
    before = remembered().currsize
    for number in range(30):
        status, _, body = await raw(gateway, "GET", f"{path}{'x' * 7_000}{number}")
        assert status == 404
        assert ("error" in json.loads(body)) is is_api
        assert len(body) < 500
    assert remembered().currsize == before
    assert len((await gateway.finished()).requests) == 32


async def test_the_longest_name_of_a_model_has_its_path(make_upstream, make_gateway, wire):
    name = "a/" * 63 + "ü"
    gateway = await make_gateway(await make_upstream(), models=[wire.model_config("alpha", name=name)])
    status, _, body = await raw(gateway, "GET", f"/v1/models/{quote(name, safe='')}")
    assert (status, json.loads(body)["id"]) == (200, name)
