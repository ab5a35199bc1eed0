"""Tedious work has one turn in each pass of the loop, and what arrived of a stream is cut into such work."""

import asyncio

from app.gateway.capacity.loop_yield import LoopYield
from app.gateway.openai.sse import SseSplitter, slices


async def test_one_goes_on_in_each_pass_and_all_take_turns():
    turns, seen, passes = LoopYield(), [], []

    async def work(name):
        for _ in range(2):
            await turns.wait("key")
            seen.append(name)

    tasks = [asyncio.create_task(work(name)) for name in "abc"]
    for _ in range(20):
        count = len(seen)
        await asyncio.sleep(0)
        passes.append(len(seen) - count)
    await asyncio.gather(*tasks)
    assert "".join(seen) == "abcabc"
    assert max(passes) == 1


async def test_one_that_left_holds_nobody_up():
    turns = LoopYield()
    waiting = [asyncio.create_task(turns.wait("key")) for _ in range(3)]
    await asyncio.sleep(0)
    for task in waiting[:2]:
        task.cancel()
    await waiting[2]
    await turns.wait("key")


async def test_the_keys_take_turns():
    turns, seen = LoopYield(), []

    async def work(name):
        await turns.wait(name[0])
        seen.append(name)

    await asyncio.gather(*map(work, ["a1", "a2", "a3", "a4", "b1"]))
    assert seen == ["a1", "b1", "a2", "a3", "a4"]


def test_the_usual_read_is_one_piece():
    data = b'data: {"a": 1}\n\n' * 100
    assert list(slices(data)) == [data]
    assert list(slices(b"a" * 1_000_000)) == [b"a" * 1_000_000]


def test_many_lines_are_cut_into_small_pieces_that_say_the_same():
    for line in (b":\n\n", b"data:\n\n", b"data: a\r", b'data: {"a": 1}\n\n', b"\r\n"):
        data = line * 20_000 + b"\n\n"
        parts = list(slices(data))
        assert b"".join(parts) == data
        assert max(part.count(b"\n") + part.count(b"\r") for part in parts) <= 600
        whole, cut = SseSplitter(2_000_000), SseSplitter(2_000_000)
        assert [event for part in parts for event in cut.feed(part)] == whole.feed(data)
