"""How a provider is reached, and what it may respond: heads, statuses, `stream_options`, headers, query, proxies."""

import asyncio
import json
import logging
import re

import pytest

from app.config.schema import ModelConfig, ProviderConfig, RouteConfig
from app.gateway.openai.request import parse_chat
from app.gateway.openai.stream_options import writes_stream_options
from app.gateway.provider_endpoint import ProviderEndpoint, ProviderSecrets

LIVE = pytest.mark.live


@LIVE
@pytest.mark.parametrize("stream", [False, True])
async def test_a_large_head_is_read(make_upstream, make_gateway, wire, *, stream):
    """One field of nearly 64 KB, and 500 fields."""

    async def large(exchange):
        fields = {f"x-{number}": "y" for number in range(480)} | {"content-security-policy": "a" * 64_000}
        if stream:
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            await exchange.raw(f"HTTP/1.1 200 OK\r\n{head}connection: close\r\n\r\n".encode())
            await exchange.raw(wire.sse(wire.chunk("Hi"), wire.chunk(finish="stop"), b"[DONE]"))
            exchange.close()
        else:
            await exchange.reply(wire.completion, headers=fields)

    gateway = await make_gateway(await make_upstream(large))
    assert (await gateway.chat(stream=stream)).status == 200


@LIVE
@pytest.mark.parametrize("status", [201, 202, 203, 206, 226])
async def test_any_2xx_with_a_response_is_a_response(make_upstream, make_gateway, wire, status):
    async def script(exchange):
        await exchange.reply(wire.completion, status)

    gateway = await make_gateway(await make_upstream(script))
    response = await gateway.chat()
    assert (response.status, response.json) == (200, wire.completion)
    recorded = await gateway.finished()
    assert (recorded.attempts[0].http_status, recorded.attempts[0].usage.output_tokens) == (status, 4)


REFUSALS = [
    (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "not permitted"}]}),
    (400, {"error": {"message": "Unrecognized request argument supplied: stream_options", "type": "x"}}),
    (400, {"message": "unknown field include_usage"}),
    (
        422,
        {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "not permitted"}]}},
    ),
    # The field's name is behind everything that is passed on of a refusal.
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "x" * 3_000}, {"loc": ["body", "stream_options"], "msg": "not permitted"}]}),
    (404, {"error": {"message": "No endpoints found that support stream_options"}}),
    (500, {"error": {"message": "create() got an unexpected keyword argument 'stream_options'"}}),
    (501, {"error": {"message": "stream_options is not implemented"}}),
    (200, {"error": {"message": "stream_options is not supported", "type": "invalid_request_error"}}),
    (200, {"error": {"message": "Extra inputs are not permitted", "param": "stream_options"}}),
]  # fmt: skip
SPELLINGS = [
    (400, {"error": {"message": "Unrecognized field: streamOptions"}}),
    (400, {"message": "Stream Options is not supported for this model"}),
    (400, {"message": "Unknown field STREAM_OPTIONS"}),
    (400, {"message": "stream options are not supported"}),
    (400, {"message": "stream-options: unknown"}),
    (400, b'{"error": {"message": "unknown stream\\u005foptions"}}'),
    (400, b'{"error": {"message": "unknown \\u0053\\u0074ream\\u005Foptions"}}'),
    (400, b'{"error": {"message": "{\\"message\\": \\"unknown stream\\\\u005foptions\\"}"}}'),
    (400, {"message": "Unknown field includeUsage"}),
    (422, {"detail": [{"loc": ["body", "streamOptions"], "msg": "no"}]}),
    (200, {"error": {"message": "streamOptions is not supported"}}),
    (200, {"error": {"message": "Stream options are not supported"}}),
]
OTHER_OPTIONS = ["the upstream options are wrong", "Downstream options are missing", "Please include usage of tools"]
ABOUT_THE_ACCOUNT = [(401, "upstream_auth"), (402, "upstream_auth"), (429, "rate_limited")]


def refuses(wire, status, body):
    async def script(exchange):
        if "stream_options" in exchange.json:
            await exchange.reply(body, status)
        else:
            await wire.response(exchange)

    return script


@LIVE
@pytest.mark.parametrize(("status", "body"), [*REFUSALS, *SPELLINGS])
async def test_a_refused_stream_options_is_left_out_and_remembered(
    make_upstream, make_gateway, wire, caplog, *, status, body
):
    caplog.set_level(logging.WARNING, "gatewayz.attempt")
    upstream = await make_upstream(refuses(wire, status, body))
    gateway = await make_gateway(upstream)
    for _ in range(3):
        assert (await gateway.stream())[-1] == b"[DONE]"
    assert ["stream_options" in each.json for each in upstream.exchanges] == [True, False, False, False]
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts] == ["field_refused", None, None, None]
    assert gateway.states["alpha"].error_rate == 0.0
    assert len([record for record in caplog.records if record.error_kind == "field_refused"]) == 1


@LIVE
@pytest.mark.parametrize("message", OTHER_OPTIONS)
async def test_other_options_are_none_of_the_field(make_upstream, make_gateway, wire, message):
    upstream = await make_upstream(refuses(wire, 400, {"error": {"message": message}}))
    gateway = await make_gateway(upstream)
    assert (await gateway.chat(stream=True)).status == 400
    assert len(upstream.exchanges) == 1


@LIVE
@pytest.mark.parametrize("words", ["what is streamOptions?", "what is a Stream Option's include-usage?"])
async def test_a_spelling_that_the_caller_wrote_is_not_remembered(make_upstream, make_gateway, wire, words):
    async def script(exchange):
        if len(upstream.exchanges) == 1:
            await exchange.reply({"error": {"message": f"cannot read '{words}' now"}}, 500)
        else:
            await wire.response(exchange)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    assert (await gateway.stream(messages=[{"role": "user", "content": words}]))[-1] == b"[DONE]"
    await gateway.stream()
    assert ["stream_options" in each.json for each in upstream.exchanges] == [True, False, True]


@LIVE
async def test_a_refusal_of_the_callers_own_field_is_the_callers(make_upstream, make_gateway, wire):
    upstream = await make_upstream(refuses(wire, *REFUSALS[0]))
    gateway = await make_gateway(upstream)
    response = await gateway.chat(stream=True, stream_options={"include_usage": True})
    assert (response.status, "stream_options" in response.json["error"]["message"]) == (422, True)
    assert len(upstream.exchanges) == 1


@LIVE
async def test_a_refusal_that_comes_again_is_not_remembered(make_upstream, make_gateway, wire):
    """A caller that makes the provider say `stream_options` takes the usage from nobody else's streams."""

    async def script(exchange):
        if exchange.json["messages"][0]["role"] == "user":
            await wire.response(exchange)
        else:
            await exchange.reply({"error": {"message": f"bad role {exchange.json['messages'][0]['role']}"}}, 400)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    bad = await gateway.chat(stream=True, messages=[{"role": "stream_options", "content": "x"}])
    assert bad.status == 400
    await gateway.stream()
    assert "stream_options" in upstream.exchanges[-1].json


@pytest.mark.parametrize(
    ("before_bytes", "words", "is_found"),
    [
        (0, "stream_options", True),
        (0, "Stream Options", True),
        (0, "an option", False),
        (300_000, "stream_options", True),
        (300_000, "Stream Options", False),
    ],
)
@pytest.mark.parametrize("fields", [1, 3])
def test_of_a_large_request_the_beginning_is_searched_for_every_spelling(before_bytes, words, is_found, fields):
    """All of 10 MB would take the event loop for half a second."""
    padding = {f"x{number}": "x" * (before_bytes // fields) for number in range(fields)}
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, **padding, "user": words}
    assert writes_stream_options(parse_chat(json.dumps(body).encode())) is is_found


@LIVE
async def test_a_refusal_that_may_quote_the_caller_is_not_remembered(make_upstream, make_gateway, wire):
    """The provider refuses a prompt once, and quotes it: other callers keep their usage."""

    async def script(exchange):
        if len(upstream.exchanges) == 1:
            await exchange.reply({"error": {"message": "cannot read 'what is stream_options?' now"}}, 500)
        else:
            await wire.response(exchange)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    quoted = await gateway.stream(messages=[{"role": "user", "content": "what is stream_options?"}])
    assert quoted[-1] == b"[DONE]"
    await gateway.stream(stream_options={})
    assert ["stream_options" in each.json for each in upstream.exchanges] == [True, False, True]


@LIVE
@pytest.mark.parametrize(("status", "kind"), ABOUT_THE_ACCOUNT)
async def test_a_refusal_of_the_account_is_no_refusal_of_a_field(make_upstream, make_gateway, wire, *, status, kind):
    upstream = await make_upstream(refuses(wire, status, {"error": {"message": "no stream_options for this account"}}))
    gateway = await make_gateway(upstream)
    assert (await gateway.chat(stream=True)).status in {429, 502}
    (attempt,) = (await gateway.finished()).attempts
    assert attempt.error_kind == kind


@LIVE
async def test_stream_options_can_be_switched_off(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, stream_options=False)
    await gateway.stream(stream_options={"include_usage": True})
    assert "stream_options" not in upstream.exchanges[0].json


@LIVE
async def test_headers_key_and_query_are_the_configurations(make_upstream, make_gateway):
    upstream = await make_upstream()
    config = ProviderConfig(
        name="alpha",
        base_url=f"http://127.0.0.1:{upstream.port}/openai/deployments/x?api-version=2024-10-21",
        api_key_header="api-key",
        headers={"X-Title": "gatewayz"},
    )
    gateway = await make_gateway(config)
    assert (await gateway.chat()).status == 200
    (exchange,) = upstream.exchanges
    assert exchange.path == "/openai/deployments/x/chat/completions?api-version=2024-10-21"
    assert (exchange.headers["api-key"], exchange.headers["x-title"]) == ("key-of-alpha", "gatewayz")
    assert "authorization" not in exchange.headers


class Proxy:
    """An HTTP proxy that refuses everything; it keeps the heads that it got."""

    def __init__(self, status):
        self.heads = []
        self.status = status

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                announced = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(announced[1]) if announced else 0)
                writer.write(b"HTTP/1.1 %d Refused\r\ncontent-length: 2\r\n\r\nno" % self.status)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def proxied(make_gateway, stack):
    """Start a proxy and a gateway whose only provider is behind it."""

    async def start(proxy, base_url, credentials=""):
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        config = ProviderConfig(name="alpha", base_url=base_url, proxy=f"http://{credentials}127.0.0.1:{port}")
        return await make_gateway(config)

    return start


@LIVE
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_the_networks_fault(proxied, scheme, caplog):
    proxy = Proxy(407)
    gateway = await proxied(proxy, f"{scheme}://provider.example/v1", "user:hidden@")
    assert (await gateway.chat()).status == 502
    assert (await gateway.finished()).attempts[0].error_kind == "connect_error"
    (head,) = proxy.heads
    assert head.startswith(
        b"CONNECT provider.example:443 " if scheme == "https" else b"POST http://provider.example/v1/"
    )
    assert b"proxy-authorization: basic dxnlcjpoawrkzw4=" in head.lower()
    assert "hidden" not in caplog.text


@LIVE
async def test_a_proxy_where_nobody_listens_is_the_networks_fault(make_gateway, caplog):
    config = ProviderConfig(name="alpha", base_url="https://provider.example/v1", proxy="http://127.0.0.1:9")
    assert (await (await make_gateway(config)).chat()).status == 502
    reasons = [record.reason for record in caplog.records if record.name == "gatewayz.attempt"]
    assert reasons == ["the proxy: connection refused"]


@pytest.mark.parametrize(
    ("base_url", "environment", "expected"),
    [
        ("https://api.example/v1", {"https": "http://p:1"}, "http://p:1"),
        ("https://api.example/v1", {"http": "http://p:1"}, None),
        ("http://api.example/v1", {"all": "p:1"}, "http://p:1"),
        ("https://api.example/v1", {"https": "http://p:1", "no": "example"}, None),
        ("https://api.example/v1", {"https": "http://p:1", "no": " other, .EXAMPLE "}, None),
        ("https://api.example/v1", {"https": "http://p:1", "no": "xample,api.example:8443"}, "http://p:1"),
        ("https://api.example/v1", {"https": "http://p:1", "no": "api.example:443"}, None),
        ("https://api.example/v1", {"https": "http://p:1", "no": "*"}, None),
        ("http://10.1.2.3/v1", {"http": "http://p:1", "no": "10.0.0.0/8"}, None),
        ("http://11.1.2.3/v1", {"http": "http://p:1", "no": "10.0.0.0/8"}, "http://p:1"),
        ("http://127.0.0.1:8001/v1", {"http": "http://p:1", "all": "http://p:1"}, None),
        ("http://localhost:8001/v1", {"http": "http://p:1"}, None),
        ("http://[::1]:8001/v1", {"http": "http://p:1"}, None),
        ("https://api.example/v1", {"https": "socks5://p:1"}, None),
        ("https://api.example/v1", {"https": "http://p:99999"}, None),
    ],
)
def test_the_environments_proxy(base_url, environment, expected):
    endpoint = ProviderEndpoint(ProviderConfig(name="a", base_url=base_url), ProviderSecrets(environment=environment))
    assert (None if endpoint.proxy is None else str(endpoint.proxy).rstrip("/")) == expected


def test_the_providers_own_proxy_wins():
    secrets = ProviderSecrets(environment={"https": "http://p:1"})
    config = ProviderConfig(name="a", base_url="https://api.example/v1", proxy="off")
    assert ProviderEndpoint(config, secrets).proxy is None
    own = ProviderSecrets(environment={"https": "http://p:1", "no": "*"}, proxy="http://u:hidden@q:2")
    endpoint = ProviderEndpoint(ProviderConfig(name="a", base_url="http://127.0.0.1/v1"), own)
    assert str(endpoint.proxy).rstrip("/") == "http://q:2"
    assert "hidden" not in endpoint.scrub.text("failed with hidden at http://u:hidden@q:2")
    assert "hidden" not in repr(own)


@LIVE
async def test_two_targets_of_one_model_at_one_provider_have_their_own_breakers(make_upstream, make_gateway, wire):
    async def script(exchange):
        if exchange.json["model"] == "old":
            await exchange.reply({"error": {"message": "gone"}}, 404)
        else:
            await wire.response(exchange)

    routes = tuple(RouteConfig(provider="alpha", upstream_model=name) for name in ("old", "new"))
    gateway = await make_gateway(await make_upstream(script), models=[ModelConfig(name="acme/tiny", routes=routes)])
    for _ in range(30):
        assert (await gateway.chat()).status == 200
    assert gateway.states.model_breaker_states() == {("alpha", "acme/tiny"): "closed"}
    assert gateway.states["alpha"].targets["old"].breaker_state == "open"


@pytest.mark.parametrize(("count", "status"), [(20, 200), (1_000, 502)])
async def test_interim_responses_are_skipped_but_not_without_end(make_upstream, make_gateway, wire, count, status):
    async def script(exchange):
        await exchange.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * count)
        await exchange.reply(wire.completion)

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat()).status == status
    assert (await gateway.chat()).status == status
    await gateway.finished()
