"""Of much that arrives in the same moment each pass of the event loop takes a part, and another key's call goes on among the first."""

import asyncio

import pytest

import app.gateway.exchange as exchange_module
import app.gateway.gateway as gateway_module
from app.gateway.openai.chunks import StreamChunks
from tests.harness.passes import Passes

pytestmark = pytest.mark.live


@pytest.mark.parametrize("case", [(40_000, 4_096, 40, 8), (10, 10, 100, 16)], ids=["large", "small"])
async def test_pieces_of_many_streams_are_read_a_few_at_a_time(make_upstream, make_gateway, wire, monkeypatch, case):
    (characters, counted_from, streams, at_most), release = case, asyncio.Event()

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("a")))
        await release.wait()
        await exchange.send(wire.sse(wire.chunk("b" * characters), wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    feed = StreamChunks.feed
    begun = []

    def first(self, data):
        begun.append(data)
        return feed(self, data)

    monkeypatch.setattr(StreamChunks, "feed", first)
    calls = [asyncio.create_task(gateway.chat(stream=True)) for _ in range(streams)]
    await wire.until(lambda: len(upstream.exchanges) == streams)
    await wire.until(lambda: len(begun) >= streams)
    passes = Passes()

    def noted(self, data):
        if len(data) > counted_from:
            passes.note()
        return feed(self, data)

    monkeypatch.setattr(StreamChunks, "feed", noted)
    release.set()
    assert {(await call).status for call in calls} == {200}
    pieces, most = passes.stop()
    assert pieces >= streams
    # Those that were woken, and as many that came later.
    assert most <= 2 * at_most
    await gateway.finished()


@pytest.mark.parametrize("case", [(100_000, 4), (10, 8)], ids=["large", "small"])
async def test_responses_that_came_in_the_same_moment_are_read_a_few_at_a_time(
    make_upstream, make_gateway, wire, monkeypatch, case
):
    (characters, at_most), calls, release = case, 40, asyncio.Event()

    async def script(exchange):
        await release.wait()
        await exchange.reply(wire.completion | {"padding": "a" * characters})

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    read, passes = gateway_module.read_response, Passes()

    def noted(*args):
        passes.note()
        return read(*args)

    monkeypatch.setattr(gateway_module, "read_response", noted)
    calling = [asyncio.create_task(gateway.chat()) for _ in range(calls)]
    await wire.until(lambda: len(upstream.exchanges) == calls)
    release.set()
    assert {(await call).status for call in calling} == {200}
    pieces, most = passes.stop()
    assert pieces == calls
    assert most <= 2 * at_most
    await gateway.finished()


@pytest.mark.parametrize("case", [(200, 4, False), (1, 16, False), (200, 4, True)], ids=["long", "short", "streamed"])
async def test_refusals_that_came_in_the_same_moment_are_read_a_few_at_a_time(
    make_upstream, make_gateway, wire, monkeypatch, case
):
    (words, at_most, stream), calls, release = case, 40, asyncio.Event()

    async def script(exchange):
        await release.wait()
        await exchange.reply({"error": {"message": "Too long. " * words}}, status=400)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    classify, passes = exchange_module.failure_of_status, Passes()

    def noted(*args, **options):
        passes.note()
        return classify(*args, **options)

    monkeypatch.setattr(exchange_module, "failure_of_status", noted)
    calling = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(calls)]
    await wire.until(lambda: len(upstream.exchanges) == calls)
    release.set()
    assert {(await call).status for call in calling} == {400}
    refusals, most = passes.stop()
    assert refusals == calls
    assert most <= 2 * at_most
    await gateway.finished()


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_that_waited_for_the_same_key_begin_a_few_at_a_time(
    make_upstream, make_gateway, wire, monkeypatch, stream
):
    calls, release, waiting = 60, asyncio.Event(), []
    gateway = await make_gateway(await make_upstream())
    find, try_providers = gateway.gateway._keys.find, gateway_module.try_providers

    async def found(secret):
        waiting.append(secret)
        await release.wait()
        return await find(secret)

    def begun(*args, **options):
        passes.note()
        return try_providers(*args, **options)

    monkeypatch.setattr(gateway.gateway._keys, "find", found)
    monkeypatch.setattr(gateway_module, "try_providers", begun)
    responses = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(calls)]
    await wire.until(lambda: len(waiting) == calls)
    passes = Passes()
    release.set()
    assert {(await response).status for response in responses} == {200}
    assert passes.stop() == (calls, 8)
    await gateway.finished()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_another_key_begins_before_those_that_came_earlier(
    make_upstream, make_gateway, wire, monkeypatch, stream
):
    calls, release, waiting, begun = 60, asyncio.Event(), [], []
    gateway = await make_gateway(await make_upstream())
    find, try_providers = gateway.gateway._keys.find, gateway_module.try_providers

    async def found(secret):
        waiting.append(secret)
        await release.wait()
        return await find(secret)

    def noted(call, *args, **options):
        begun.append(call.caller.key_id)
        return try_providers(call, *args, **options)

    monkeypatch.setattr(gateway.gateway._keys, "find", found)
    monkeypatch.setattr(gateway_module, "try_providers", noted)
    responses = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(calls)]
    await wire.until(lambda: len(waiting) == calls)
    other = {"authorization": f"Bearer {wire.other_key}"}
    body = wire.json.encode({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": stream})
    responses.append(asyncio.create_task(gateway.post("/v1/chat/completions", body, other)))
    await wire.until(lambda: len(waiting) == calls + 1)
    assert waiting == [wire.key] * calls + [wire.other_key]
    release.set()
    assert {(await response).status for response in responses} == {200}
    # Eight calls fill a pass of the event loop; without turns by key it would be the last of all.
    assert begun.index("key_2") <= 8
    await gateway.finished()
