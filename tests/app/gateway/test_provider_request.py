"""A small request to a provider is written in the pass of the event loop in which it begins; any request arrives whole."""

import asyncio
import time
from types import SimpleNamespace

import pytest

import app.gateway.gateway as gateway_module
from app.config.schema import ProviderConfig
from app.gateway.connector import ProviderConnection
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.overhead import OverheadTimer
from app.gateway.provider_client import Provider
from tests.harness.passes import Passes

pytestmark = pytest.mark.live


async def test_a_small_request_leaves_in_the_pass_in_which_it_begins(make_upstream, make_gateway, monkeypatch):
    gateway = await make_gateway(await make_upstream())
    # It makes the connection.
    assert (await gateway.chat()).status == 200
    passes, seen = Passes(), []
    try_providers, start_timeout = gateway_module.try_providers, ProviderConnection.start_timeout

    def begun(*arguments, **options):
        seen.append(passes.number)
        return try_providers(*arguments, **options)

    def written(connection):
        seen.append(passes.number)
        start_timeout(connection)

    monkeypatch.setattr(gateway_module, "try_providers", begun)
    monkeypatch.setattr(ProviderConnection, "start_timeout", written)
    assert (await gateway.chat()).status == 200
    passes.note()
    passes.stop()
    assert seen[0] == seen[1]
    await gateway.finished()


@pytest.mark.parametrize("characters", [1, 20_000, 40_000, 300_000])
async def test_a_request_of_any_size_arrives_whole(make_upstream, make_gateway, characters):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    for _ in range(2):
        response = await gateway.chat(messages=[{"role": "user", "content": "a" * characters}])
        assert response.status == 200
    for exchange in upstream.exchanges:
        assert exchange.json["messages"][0]["content"] == "a" * characters
        assert int(exchange.headers["content-length"]) == len(exchange.body)
    await gateway.finished()


async def test_the_connection_is_not_read_while_a_stream_waits_for_its_turn(
    make_upstream, make_gateway, wire, monkeypatch
):
    release, is_open, paused = asyncio.Event(), asyncio.Event(), []

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("a")))
        await is_open.wait()
        await exchange.send(wire.sse(wire.chunk("b")))
        await exchange.send(wire.sse(wire.chunk("c", finish="stop"), b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    turns = gateway.gateway._turns
    take, wait = turns.take, turns.wait

    async def wait_here(key, weight):
        paused.extend(each.transport.is_reading() for each in connections)
        is_open.set()
        await release.wait()
        await wait(key, weight)
        monkeypatch.setattr(turns, "take", take)

    connections = []
    start_timeout = ProviderConnection.start_timeout

    def written(connection):
        connections.append(connection)
        start_timeout(connection)

    monkeypatch.setattr(ProviderConnection, "start_timeout", written)
    # The start of the call goes on, its first piece waits.
    monkeypatch.setattr(turns, "take", lambda _key, weight: weight >= 4)
    monkeypatch.setattr(turns, "wait", wait_here)
    streaming = asyncio.create_task(gateway.stream())
    await wire.until(is_open.is_set, "the stream that waits")
    assert paused == [False]
    release.set()
    events = await streaming
    assert [each["choices"][0]["delta"].get("content") for each in events[:-1]] == ["a", "b", "c"]
    await gateway.finished()


@pytest.mark.parametrize("keepalive_seconds", [30.0, 0.0])
async def test_a_small_request_has_the_fields_of_a_large_one(make_upstream, make_gateway, keepalive_seconds):
    # The head of a small one is made once, that of a large one by the HTTP client, each time.
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, keepalive_seconds=keepalive_seconds)
    for characters in (1, 40_000):
        assert (await gateway.chat(messages=[{"role": "user", "content": "a" * characters}])).status == 200
    small, large = ({**each.headers, "content-length": "", "traceparent": ""} for each in upstream.exchanges)
    assert small == large
    assert ("host" in small, small.get("connection")) == (True, None if keepalive_seconds else "close")
    await gateway.finished()


@pytest.fixture
async def provider(make_upstream):
    upstream = await make_upstream()
    config = ProviderConfig(name="alpha", base_url=f"http://127.0.0.1:{upstream.port}/v1", headers={"x-team": "blue"})
    provider = Provider(config, "sk")
    await provider.start()
    yield SimpleNamespace(provider=provider, upstream=upstream)
    await provider.close()


async def post(provider, headers):
    timer = OverheadTimer(time.monotonic)
    response = await provider.post("chat", b"{}", headers, on_connected=lambda: None, timer=timer)
    await response.read()
    return response.status


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-1-2-01"}, {"x-team": "red"}])
async def test_the_headers_of_one_request_are_added_or_replace_the_providers(provider, headers):
    assert await post(provider.provider, headers) == 200
    (exchange,) = provider.upstream.exchanges
    sent = {name: exchange.headers.get(name) for name in ("traceparent", "x-team", "authorization", "content-length")}
    expected = {"traceparent": None, "x-team": "blue", "authorization": "Bearer sk", "content-length": "2"}
    assert sent == {**expected, **headers}


async def test_a_header_with_a_line_end_is_not_sent(provider):
    with pytest.raises(UpstreamFailure):
        await post(provider.provider, {"tracestate": "a\r\nx-team: red"})
    assert not provider.upstream.exchanges


async def test_small_and_large_requests_share_the_pool(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    for characters in (1, 40_000, 1):
        assert (await gateway.chat(messages=[{"role": "user", "content": "a" * characters}])).status == 200
    assert upstream.connections == 1
    await gateway.finished()
