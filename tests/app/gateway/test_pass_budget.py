"""However much arrives in the same moment, one pass of the event loop takes only so much of it."""

import asyncio
from collections import Counter

import pytest

import app.gateway.gateway as gateway_module
from app.gateway.capacity.pass_budget import PassBudget
from app.gateway.openai.chunks import StreamChunks


class Passes:
    """Counts passes of the event loop, and what happened in each."""

    def __init__(self):
        self._number = 0
        self._seen = Counter()
        self._is_stopped = False
        self._tick()

    def _tick(self):
        self._number += 1
        if not self._is_stopped:
            asyncio.get_running_loop().call_soon(self._tick)

    def note(self):
        self._seen[self._number] += 1

    def stop(self):
        """Return how many there were in all, and at most in one pass."""
        self._is_stopped = True
        return self._seen.total(), max(self._seen.values())


async def test_so_many_go_on_in_each_pass_in_their_order():
    budget, passes, seen = PassBudget(3), Passes(), []

    async def piece(name):
        if not budget.take():
            await budget.wait()
        passes.note()
        seen.append(name)

    await asyncio.gather(*(piece(number) for number in range(20)))
    assert passes.stop() == (20, 3)
    assert seen == list(range(20))


async def test_what_comes_alone_never_waits():
    budget = PassBudget(1)
    for _ in range(3):
        assert budget.take()
        await asyncio.sleep(0)


async def test_one_that_left_holds_nobody_up():
    budget = PassBudget(1)
    assert budget.take()
    waiting = [asyncio.create_task(budget.wait()) for _ in range(4)]
    await asyncio.sleep(0)
    for task in waiting[:3]:
        task.cancel()
    await waiting[3]
    await asyncio.sleep(0)
    assert budget.take()


@pytest.mark.live
@pytest.mark.parametrize("case", [(40_000, 4_096, 16), (10, 10, 16)], ids=["large", "small"])
async def test_pieces_of_many_streams_are_read_a_few_at_a_time(make_upstream, make_gateway, wire, monkeypatch, case):
    (characters, counted_from, at_most), streams, release = case, 40, asyncio.Event()

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


@pytest.mark.live
@pytest.mark.parametrize("case", [(100_000, 1), (10, 16)], ids=["large", "small"])
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
    assert most <= at_most
    await gateway.finished()


@pytest.mark.live
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

    def begun(*args):
        passes.note()
        return try_providers(*args)

    monkeypatch.setattr(gateway.gateway._keys, "find", found)
    monkeypatch.setattr(gateway_module, "try_providers", begun)
    responses = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(calls)]
    await wire.until(lambda: len(waiting) == calls)
    passes = Passes()
    release.set()
    assert {(await response).status for response in responses} == {200}
    assert passes.stop() == (calls, 16)
    await gateway.finished()
