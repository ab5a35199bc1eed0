"""Room for bytes: an owner's calls get it in their order, no owner waits for another's share, and nothing is lost when one gives up."""

import asyncio

from app.gateway.capacity.byte_budget import ByteBudget


def budget(all_bytes=100, one=50, wait_seconds=30.0):
    return ByteBudget(max_bytes=all_bytes, max_bytes_per_owner=one, wait_seconds=wait_seconds)


async def passes(count=3):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_that_needs_little_does_not_overtake_one_that_needs_much() -> None:
    room, got = budget(), []
    assert room.try_hold("key", 40)

    async def hold(size):
        assert await room.hold("key", size)
        got.append(size)

    tasks = [asyncio.create_task(hold(size)) for size in (30, 5, 20)]
    await passes()
    assert got == []
    room.release("key", 20)
    await passes()
    assert got == [30]
    room.release("key", 50)
    await asyncio.gather(*tasks)
    assert (got, room.held_bytes) == ([30, 5, 20], 25)


async def test_who_waits_for_its_own_share_holds_up_nobody_else() -> None:
    room = budget()
    assert room.try_hold("greedy", 50)
    waiting = asyncio.create_task(room.hold("greedy", 10))
    await passes()
    assert await room.hold("other", 50)
    room.release("greedy", 50)
    assert await waiting


async def test_one_that_gives_up_stands_in_nobodys_way() -> None:
    room = budget()
    assert room.try_hold("key", 50)
    first, second = (asyncio.create_task(room.hold("key", size)) for size in (50, 10))
    await passes()
    first.cancel()
    await passes()
    room.release("key", 40)
    assert await second
    assert room.held_bytes == 20


async def test_room_that_came_too_late_is_given_back() -> None:
    room = budget()
    assert room.try_hold("key", 50)
    first, second = (asyncio.create_task(room.hold("key", 50)) for _ in range(2))
    await passes()
    room.release("key", 50)
    # It has its room, and has not run since.
    first.cancel()
    await passes()
    assert second.done()
    room.release("key", 50)
    assert room.held_bytes == 0


async def test_who_waits_too_long_is_told_and_forgotten() -> None:
    room = budget(wait_seconds=0.0)
    assert room.try_hold("key", 50)
    assert not await room.hold("key", 1)
    room.release("key", 50)
    assert await room.hold("key", 50)
