"""While several clients use the event loop its passes are short, and the calls of one are not held up by those of another."""

import asyncio
import json
import random
import statistics

import aiohttp
import pytest

from app.gateway.capacity.key_turns import KeyTurns
from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.http_exchange import Exchange
from app.server.http_protocol import HttpConnection
from tests.app.gateway.raw_client import exchange, post
from tests.harness.clock import ManualClock

FLOOD = 100
CALLS = 8
MOST_STEPS = 12
COUNTED_STEPS = 64


def test_a_client_beside_few_steps_of_each_other_one_shares_with_none():
    sharing = LoopSharing(ManualClock())
    for steps, clients in ((0, 0), (3, 1), (60, 16)):
        sharing.came_beside(steps, clients)
        assert not sharing.is_shared


def test_a_client_beside_one_with_many_steps_is_remembered_for_a_second():
    clock = ManualClock()
    sharing = LoopSharing(clock)
    sharing.came_beside(4, 1)
    assert sharing.is_shared
    clock.advance(0.5)
    sharing.came_beside(3, 1)
    clock.advance(0.6)
    assert not sharing.is_shared
    sharing.came_beside(100, 5)
    assert sharing.is_shared


@pytest.mark.parametrize("few", [1, 7])
def test_a_client_with_few_steps_of_many_shares_though_none_waits(few):
    sharing = LoopSharing(ManualClock())
    for _ in range(64 - few):
        sharing.count_step("many")
    for _ in range(few):
        assert not sharing.is_shared
        sharing.count_step("few")
    assert sharing.is_shared


@pytest.mark.parametrize("steps", [{"one": 640}, {"one": 320, "other": 320}, {"one": 100, "other": 100, "third": 40}])
def test_clients_of_about_as_many_steps_share_with_none(steps):
    sharing = LoopSharing(ManualClock())
    for n in range(640):
        sharing.count_step(list(steps)[n % len(steps)])
        assert not sharing.is_shared


@pytest.mark.parametrize("clients", range(2, 40))
def test_equal_clients_share_with_none_by_chance(clients):
    sharing, chance = LoopSharing(ManualClock()), random.Random(clients)
    for _ in range(20_000):
        sharing.count_step(str(chance.randrange(clients)))
        assert not sharing.is_shared


def test_who_watches_shares_with_one_that_has_few_steps_and_is_none_itself():
    sharing = LoopSharing(ManualClock())
    for client in ("one", *(None,) * 63):
        assert not sharing.is_shared
        sharing.count_step(client)
    assert sharing.is_shared
    for steps in ((None, *("one",) * 63), (None,) * 64):
        sharing = LoopSharing(ManualClock())
        for client in steps:
            sharing.count_step(client)
        assert not sharing.is_shared


def test_steps_are_forgotten_after_64_of_them():
    clock = ManualClock()
    sharing = LoopSharing(clock)
    for _ in range(63):
        sharing.count_step("many")
    sharing.count_step("few")
    clock.advance(1.1)
    for n in range(128):
        sharing.count_step(("many", "few")[n % 2])
        assert not sharing.is_shared


class Between:
    """How many steps of the flood's key came between the arrival of each call of the other key and the end of its response."""

    def __init__(self, monkeypatch):
        self.steps, self._seen, self._before = [], 0, None
        count, begin, complete = KeyTurns._count, HttpConnection._begin, Exchange._complete

        def counted(turns, key, weight):
            self._seen += key == "key_1"
            count(turns, key, weight)

        def begun(connection, head):
            # Which key a connection has is known from its second request on.
            if connection.key_id == "key_2":
                self._before = self._seen
            begin(connection, head)

        def completed(exchange, connection):
            if connection.key_id == "key_2" and self._before is not None:
                self.steps.append(self._seen - self._before)
            complete(exchange, connection)

        monkeypatch.setattr(KeyTurns, "_count", counted)
        monkeypatch.setattr(HttpConnection, "_begin", begun)
        monkeypatch.setattr(Exchange, "_complete", completed)


@pytest.mark.live
@pytest.mark.parametrize("stream", [False, True])
async def test_few_steps_of_a_flood_come_between_a_call_of_another_key_and_its_response(
    make_upstream, make_gateway, wire, monkeypatch, stream
):
    between = Between(monkeypatch)
    gateway = await make_gateway(await make_upstream(), max_connections=2 * FLOOD, max_concurrent_requests=2 * FLOOD)
    # No pass is long: what goes on in each does not depend on the machine.
    for turns in (gateway.gateway._turns, gateway.server.config.http_protocol_class.turns):
        monkeypatch.setattr(turns, "_clock", lambda: 0.0)
    is_over = False

    async def repeat():
        while not is_over:
            assert (await gateway.chat(stream=stream)).status == 200

    flood = [asyncio.create_task(repeat()) for _ in range(FLOOD)]
    await wire.until(lambda: between._seen > 2 * FLOOD, "the flood")
    body = wire.json.encode({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": False})
    async with aiohttp.ClientSession(gateway.url, headers={"authorization": f"Bearer {wire.other_key}"}) as other:
        for _ in range(CALLS + 1):
            async with other.post("/v1/chat/completions", data=body) as response:
                assert response.status == 200
    is_over = True
    await asyncio.gather(*flood)
    assert len(between.steps) == CALLS
    # Two in each of the passes that a call takes, which are five with client and upstream on the same loop. It would be eight in each.
    assert statistics.median(between.steps) <= MOST_STEPS
    await gateway.finished()


@pytest.mark.live
async def test_the_loop_is_shared_though_none_has_to_wait_but_not_with_oneself(make_upstream, make_gateway, wire):
    """Whose a request is, is known on a new connection as well; not that of the first one of all."""
    gateway = await make_gateway(await make_upstream())
    sharing = gateway.gateway.loop_sharing
    headers = {"authorization": f"Bearer {wire.other_key}"}
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}]}

    async def call(session, times):
        for _ in range(times):
            async with session.post("/v1/chat/completions", json=body) as response:
                assert response.status == 200

    new = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(gateway.url, headers=headers) as kept:
        await call(kept, COUNTED_STEPS)
        await wire.until(lambda: not sharing.is_shared, "the end of what the first request began")
        async with aiohttp.ClientSession(gateway.url, headers=headers, connector=new) as fresh:
            await call(fresh, 8)
            await call(kept, 2 * COUNTED_STEPS - 8)
        assert not sharing.is_shared
        for calls in (COUNTED_STEPS - 2, 1):
            await asyncio.gather(*(gateway.chat() for _ in range(calls)))
            await call(kept, 1)
    assert sharing.is_shared
    await gateway.finished()


@pytest.mark.live
@pytest.mark.parametrize("fields", [(), (b"x-a: 1", b"x-a: 2")])
async def test_a_request_and_its_body_are_one_clients(make_upstream, make_gateway, wire, monkeypatch, fields):
    """Also where a field is there twice, and the connection is new."""
    gateway = await make_gateway(await make_upstream())
    body = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x" * 700_000}]}).encode()
    counted = []
    monkeypatch.setattr(gateway.gateway.loop_sharing, "count_step", counted.append)
    for _ in range(3):
        await exchange(gateway.port, post(*fields, b"connection: close", body=body))
        assert len(counted) > 1
        assert len(set(counted)) == 1
        counted.clear()
    await gateway.finished()
