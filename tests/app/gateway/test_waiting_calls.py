"""Calls that wait for their turn: those that leave or are stopped there are accounted for, and hold up no other call."""

import asyncio
import contextlib
import random

import aiohttp
import pytest

pytestmark = pytest.mark.live
CHAT = "/v1/chat/completions"
CALLS = 30


class Held:
    """No call goes on until `release`; `waiting` counts them."""

    def __init__(self, gateway):
        self._turns = gateway.gateway._turns
        self.count = 0
        self._wait = self._turns.wait
        self._held = asyncio.Event()
        self._turns.take = lambda _key, _weight: False
        self._turns.wait = self._wait_here

    async def _wait_here(self, key, weight):
        self.count += 1
        try:
            await self._held.wait()
            await self._wait(key, weight)
        finally:
            self.count -= 1

    def release(self):
        del self._turns.take, self._turns.wait
        self._held.set()


def body(wire, *, stream):
    return wire.json.encode({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": stream})


async def is_free(gateway, wire):
    """Nothing waits and nothing is held, and a call of each key is served."""
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0, "the end of all calls")
    for key in (wire.key, wire.other_key):
        response = await gateway.post(CHAT, body(wire, stream=False), {"authorization": f"Bearer {key}"})
        assert response.status == 200
    await wire.until(lambda: not gateway.gateway._turns._is_counting, "the end of the pass")
    assert not gateway.gateway._turns._waiting
    assert not gateway.gateway._turns._taken


@pytest.mark.parametrize("stream", [False, True])
async def test_clients_that_leave_while_they_wait_for_the_start_reach_no_provider(
    make_upstream, make_gateway, wire, *, stream
):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    held = Held(gateway)
    calls = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(CALLS)]
    await wire.until(lambda: held.count == CALLS, "calls that wait")
    for call in calls[1:]:
        call.cancel()
    await wire.until(lambda: held.count == 1, "those that left")
    assert upstream.exchanges == []
    held.release()
    assert (await calls[0]).status == 200
    await is_free(gateway, wire)
    recorded = await gateway.finished()
    assert [row.status for row in recorded.rows].count("cancelled") == CALLS - 1
    # The one that stayed, and the two of afterwards.
    assert len(recorded.attempts) == len(upstream.exchanges) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_clients_that_leave_while_their_response_waits_are_cancelled_calls(
    make_upstream, make_gateway, wire, *, stream
):
    release = asyncio.Event()

    async def script(exchange):
        await release.wait()
        await wire.response(exchange)

    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    calls = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(CALLS)]
    await wire.until(lambda: len(upstream.exchanges) == CALLS)
    held = Held(gateway)
    release.set()
    await wire.until(lambda: held.count == CALLS, "responses that wait")
    for call in calls[1:]:
        call.cancel()
    await wire.until(lambda: held.count == 1, "those that left")
    held.release()
    assert (await calls[0]).status == 200
    await is_free(gateway, wire)
    recorded = await gateway.finished()
    assert [row.status for row in recorded.rows].count("cancelled") == CALLS - 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_ends_those_that_wait(make_upstream, make_gateway, wire, *, stream):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, grace_seconds=0.05)
    held = Held(gateway)
    calls = [asyncio.create_task(gateway.chat(stream=stream)) for _ in range(CALLS)]
    await wire.until(lambda: held.count == CALLS, "calls that wait")
    gateway.server.should_exit = True
    assert {(await call).status for call in calls} == {503}
    async with asyncio.timeout(20):
        await gateway.serve_task
    assert (held.count, upstream.exchanges) == (0, [])
    recorded = await gateway.finished()
    assert {row.error_kind for row in recorded.rows} == {"shutdown"}


@pytest.mark.parametrize("seed", range(3))
async def test_a_key_is_served_while_the_clients_of_another_one_leave_at_any_moment(
    make_upstream, make_gateway, wire, seed
):
    chance = random.Random(seed)

    async def script(exchange):
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        if chance.random() < 0.1:
            exchange.close()
        else:
            await wire.response(exchange)

    gateway = await make_gateway(await make_upstream(script), whole_answer_seconds=5.0)
    flood = []

    async def leave(task):
        for _ in range(chance.randrange(60)):
            await asyncio.sleep(0)
        task.cancel()

    async def send(stream):
        with contextlib.suppress(aiohttp.ClientError):
            await gateway.chat(stream=stream)

    other = {"authorization": f"Bearer {wire.other_key}"}
    for number in range(12):
        for _ in range(12):
            task = asyncio.create_task(send(chance.random() < 0.5))
            flood += [task, asyncio.create_task(leave(task))] if chance.random() < 0.6 else [task]
        async with asyncio.timeout(20):
            response = await gateway.post(CHAT, body(wire, stream=bool(number % 2)), other)
        assert response.status in {200, 502}
    await asyncio.gather(*flood, return_exceptions=True)
    await wire.until(lambda: len(gateway.gateway.calls_in_flight) == 0, "the end of all calls")
    await wire.until(lambda: not gateway.gateway._turns._is_counting, "the end of the pass")
    assert not gateway.gateway._turns._waiting
    await gateway.finished()
