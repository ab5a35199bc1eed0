"""Turns: what comes in the same moment is taken a few at a time, in order, and other callbacks of the loop run in between."""

import asyncio
import itertools

from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.lanes import LIVE_AT_ONCE, Place
from app.server.turns import Turns


def kept():
    return Place("kept", "10.0.0.1")


async def passes(turns, acts):
    """Return which acts were called in which pass of the loop."""
    seen, counted = [[]], len(acts)
    for act in acts:
        turns.take(lambda act=act: seen[-1].append(act()), kept)
    while sum(map(len, seen)) < counted:
        seen.append([])
        await asyncio.sleep(0)
    return [each for each in seen if each]


async def test_so_many_in_one_pass_and_in_order():
    taken = await passes(Turns(lambda: 0.0, LoopSharing(lambda: 0.0)), [lambda n=n: n for n in range(100)])
    assert [len(each) for each in taken] == [32, 32, 32, 4]
    assert list(itertools.chain(*taken)) == list(range(100))


async def test_work_that_takes_long_ends_the_pass():
    now = 0.0

    def work():
        nonlocal now
        now += 0.001

    taken = await passes(Turns(lambda: now, LoopSharing(lambda: 0.0)), [work] * 7)
    assert [len(each) for each in taken] == [2, 2, 2, 1]


async def test_fewer_start_in_each_pass_while_several_clients_use_the_loop():
    sharing, now = LoopSharing(lambda: 0.0), 0.0
    sharing.came_beside(100, 1)

    def work():
        nonlocal now
        now += 0.00015

    assert [len(each) for each in await passes(Turns(lambda: 0.0, sharing), [lambda: None] * 10)] == [4, 4, 2]
    assert [len(each) for each in await passes(Turns(lambda: now, sharing), [work] * 5)] == [2, 2, 1]


async def test_the_loop_is_shared_where_a_client_comes_beside_one_with_many_requests():
    sharing = LoopSharing(lambda: 0.0)
    turns = Turns(lambda: 0.0, sharing)
    for _ in range(40):
        turns.take(lambda: None, kept)
    assert not sharing.is_shared
    turns.take(lambda: None, lambda: Place("kept", "10.0.0.2"))
    assert sharing.is_shared
    await asyncio.sleep(0)


async def test_what_comes_alone_is_taken_at_once():
    turns = Turns(lambda: 0.0, LoopSharing(lambda: 0.0))
    for _ in range(100):
        assert turns.take(lambda: None, kept)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_nobody_overtakes_those_who_wait():
    turns, seen = Turns(lambda: 0.0, LoopSharing(lambda: 0.0)), []
    for n in range(40):
        turns.take(lambda n=n: seen.append(n), kept)
    await asyncio.sleep(0)
    turns.take(lambda: seen.append(40), kept)
    for _ in range(5):
        await asyncio.sleep(0)
    assert seen == list(range(41))


async def test_what_is_tedious_goes_on_once_in_a_pass_and_holds_nobody_up():
    turns, seen = Turns(lambda: 0.0, LoopSharing(lambda: 0.0)), []
    for _ in range(3):
        turns.take_later(lambda: seen.append("tedious"))
    for _ in range(3):
        await asyncio.sleep(0)
        turns.take(lambda: seen.append("new"), kept)
    assert sorted(seen[:4]) == ["new", "new", "tedious", "tedious"]
    for _ in range(5):
        await asyncio.sleep(0)
    assert (seen.count("new"), seen.count("tedious")) == (3, 3)


async def test_a_health_check_behind_thousands_of_refusals_has_its_turn_at_once():
    turns, seen = Turns(lambda: 0.0, LoopSharing(lambda: 0.0)), []
    for n in range(3_000):
        turns.take(lambda n=n: seen.append(n), lambda: Place("new", "10.0.0.1"))
    begun = len(seen)
    assert turns.take(lambda: seen.append("probe"), lambda: Place("live", "10.0.0.1"))
    assert seen[begun:] == ["probe"]


async def test_health_checks_go_before_all_else_but_a_few_in_each_pass():
    turns, seen = Turns(lambda: 0.0, LoopSharing(lambda: 0.0)), []
    for n in range(3_000):
        turns.take(lambda n=n: seen.append(n), lambda: Place("new", "10.0.0.1"))
    for _ in range(3 * LIVE_AT_ONCE):
        turns.take(lambda: seen.append("probe"), lambda: Place("live", "10.0.0.1"))
    assert seen[-LIVE_AT_ONCE:] == ["probe"] * LIVE_AT_ONCE
    begun = len(seen)
    await asyncio.sleep(0)
    assert seen[begun:][:LIVE_AT_ONCE] == ["probe"] * LIVE_AT_ONCE
    # Their lane has its turns beside that.
    assert LIVE_AT_ONCE < seen[begun:].count("probe") < 2 * LIVE_AT_ONCE + 32


async def test_fewer_start_at_once_while_the_passes_are_long_and_more_again_afterwards():
    now, seen = 0.0, []
    turns = Turns(lambda: now, LoopSharing(lambda: 0.0))
    for n in range(500):
        turns.take(lambda n=n: seen.append(n), kept)
    counts = []
    for seconds in (0.05,) * 4 + (0.001,) * 3:
        now += seconds
        before = len(seen)
        await asyncio.sleep(0)
        counts.append(len(seen) - before)
    assert counts == [16, 8, 4, 4, 8, 16, 32]


async def test_the_place_is_asked_for_only_where_something_waits():
    turns = Turns(lambda: 0.0, LoopSharing(lambda: 0.0))
    for _ in range(32):
        assert turns.take(lambda: None, None)
