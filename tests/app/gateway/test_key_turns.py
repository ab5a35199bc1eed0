"""Calls that could all go on at the same moment take turns by key, and a key with one call waits behind none of another's."""

import asyncio
import random

import pytest

from app.gateway.capacity.key_queue import KeyQueue
from app.gateway.capacity.key_turns import KeyTurns
from app.gateway.capacity.loop_sharing import LoopSharing
from tests.harness.clock import ManualClock
from tests.harness.passes import Passes

START = 4
"""The weight of a call's start: eight of them fill a pass."""


class Steps:
    """Steps of many keys; `order` has their keys as they went on."""

    def __init__(self):
        self.clock = ManualClock()
        self.sharing = LoopSharing(self.clock)
        self.turns = KeyTurns(self.clock, self.sharing)
        self.order = []

    async def step(self, key, weight=START):
        if not self.turns.take(key, weight):
            await self.turns.wait(key, weight)
        self.order.append(key)

    def begin(self, *keys):
        return [asyncio.create_task(self.step(key)) for key in keys]


async def passes(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_call_of_another_key_waits_behind_none_of_a_flood():
    steps = Steps()
    tasks = steps.begin(*"A" * 100)
    await passes(1)
    assert steps.order == ["A"] * 8
    await steps.step("B")
    assert steps.order == ["A"] * 8 + ["B"]
    await asyncio.gather(*tasks)


async def test_a_whole_call_and_its_response_wait_for_no_turn_while_a_flood_does():
    steps = Steps()
    tasks = steps.begin(*"A" * 100)
    await passes(1)
    for _ in range(4):
        assert steps.turns.take("B", START)
    assert not steps.turns.take("B", START)
    assert not steps.turns.take("A", START)
    await asyncio.gather(*tasks)


async def test_those_that_wait_take_turns_by_key_and_keep_their_order_within_it():
    steps, ended = Steps(), []

    async def named(key, name):
        await steps.turns.wait(key, START)
        ended.append(name)

    tasks = [asyncio.create_task(named(name[0], name)) for name in ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1"]]
    await asyncio.gather(*tasks)
    assert ended == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]


async def test_so_much_goes_on_in_each_pass():
    steps, seen = Steps(), Passes()

    async def step():
        await steps.step("A")
        seen.note()

    await asyncio.gather(*(step() for _ in range(50)))
    assert seen.stop() == (50, 8)


async def test_less_goes_on_in_each_pass_while_several_keys_use_the_loop():
    steps = Steps()
    tasks, counts = steps.begin(*"A" * 60), []
    await passes(1)
    for seconds in (0.0005, 0.0005, 0.0015, 0.0015, 0.0005, 0.0005):
        assert steps.turns.take("B", START)
        before = len(steps.order)
        steps.clock.advance(seconds)
        await passes(1)
        counts.append(len(steps.order) - before)
    # Those that go on are called in one pass and run in the next.
    assert counts == [0, 2, 2, 1, 1, 2]
    steps.clock.advance(2.0)
    before = len(steps.order)
    await passes(4)
    assert len(steps.order) - before >= 16
    await asyncio.gather(*tasks)


async def test_what_is_heavy_takes_the_room_of_many():
    steps = Steps()
    assert steps.turns.take("A", 50)
    assert not steps.turns.take("A", START)
    assert steps.turns.take("B", START)


async def test_what_comes_alone_never_waits_and_reads_no_clock():
    steps = Steps()
    steps.turns._clock = None
    for _ in range(50):
        assert steps.turns.take("A", 20)
        await passes(1)


async def test_a_crowd_of_keys_cannot_lengthen_a_pass_without_end():
    steps, seen = Steps(), Passes()

    async def step(key):
        await steps.step(key)
        seen.note()

    keys = [f"key {number}" for number in range(300)]
    await asyncio.gather(*map(step, keys))
    assert seen.stop() == (300, 16)
    assert steps.order == keys


async def test_less_goes_on_while_the_passes_are_long_and_more_again_afterwards():
    steps = Steps()
    tasks, counts = steps.begin(*"A" * 300), []
    await passes(2)
    for seconds in (0.02,) * 4 + (0.001,) * 4:
        before = len(steps.order)
        steps.clock.advance(seconds)
        await passes(1)
        counts.append(len(steps.order) - before)
    assert counts == [8, 4, 4, 4, 4, 8, 8, 8]
    await asyncio.gather(*tasks)


async def test_those_that_left_hold_nobody_up():
    steps = Steps()
    tasks = steps.begin(*"A" * 500)
    await passes(1)
    for task in tasks[8:-1]:
        task.cancel()
    await passes(3)
    assert tasks[-1].done()
    assert not steps.turns._waiting
    assert steps.turns.take("A", START)


@pytest.mark.parametrize("seed", range(20))
async def test_cancelled_at_any_moment_nobody_is_lost_and_nothing_is_kept(seed):
    chance, steps, tasks, cancelled = random.Random(seed), Steps(), [], set()
    for number in range(300):
        tasks += steps.begin(f"key {number % 5}")
        if chance.random() < 0.5:
            chosen = chance.choice(tasks)
            if chosen.cancel():
                cancelled.add(chosen)
        if chance.random() < 0.1:
            await passes(1)
        steps.clock.advance(chance.choice([0.0, 0.01]))
    async with asyncio.timeout(20):
        await asyncio.wait(tasks)
    assert {task for task in tasks if task.cancelled()} <= cancelled
    assert sum(not task.cancelled() for task in tasks) == len(steps.order)
    await passes(2)
    assert not steps.turns._waiting
    assert not steps.turns._taken
    assert not steps.turns._is_counting


async def test_an_empty_queue_has_no_next_one():
    queue = KeyQueue()
    assert queue.call_next() is None
    turn = queue.join("A")
    turn.cancel()
    assert queue
    assert queue.call_next() is None
    assert not queue
