"""Interrupts: a block ended from outside, beside timeouts and cancellations that mean something else."""

import asyncio

import pytest

from app.gateway.cancellation import Deadlines, Interrupt, InterruptedCallError, RunningTime


async def test_the_reason_arrives():
    interrupt = Interrupt()
    asyncio.get_running_loop().call_later(0.01, interrupt.fire, "client_left")
    with pytest.raises(InterruptedCallError) as caught, interrupt:
        await asyncio.sleep(5)
    assert caught.value.reason == "client_left"
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_only_the_first_reason_counts_and_only_inside():
    interrupt = Interrupt()
    with pytest.raises(InterruptedCallError) as caught, interrupt:
        asyncio.get_running_loop().call_soon(interrupt.fire, "shutdown")
        asyncio.get_running_loop().call_soon(interrupt.fire, "client_left")
        await asyncio.sleep(5)
    assert caught.value.reason == "shutdown"
    done = Interrupt()
    with done:
        pass
    done.fire("client_left")
    await asyncio.sleep(0)


async def test_what_was_fired_before_is_raised_at_the_entrance():
    interrupt = Interrupt()
    interrupt.fire("client_left")
    with pytest.raises(InterruptedCallError), interrupt:
        pytest.fail("entered")


async def test_a_cancellation_of_the_task_stays_one():
    entered = asyncio.Event()

    async def work():
        with Interrupt():
            entered.set()
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_wins_over_an_interrupt_at_the_same_moment():
    interrupt = Interrupt()
    entered = asyncio.Event()

    async def work():
        with interrupt:
            entered.set()
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await entered.wait()
    interrupt.fire("client_left")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_outer_of_two_ends_both():
    outer, inner = Interrupt(), Interrupt()
    asyncio.get_running_loop().call_soon(outer.fire, "client_left")
    seen = []
    with pytest.raises(InterruptedCallError) as caught, outer:
        try:
            with inner:
                await asyncio.sleep(5)
        except BaseException as error:
            seen.append(type(error))
            raise
    assert seen == [asyncio.CancelledError]
    assert caught.value.reason == "client_left"


async def test_both_at_once_end_in_the_outer():
    outer, inner = Interrupt(), Interrupt()
    asyncio.get_running_loop().call_soon(inner.fire, "idle_timeout")
    asyncio.get_running_loop().call_soon(outer.fire, "client_left")
    with pytest.raises(InterruptedCallError) as caught, outer, inner:
        await asyncio.sleep(5)
    assert caught.value.reason == "client_left"
    assert asyncio.current_task().cancelling() == 0


async def test_it_nests_with_timeouts():
    interrupt = Interrupt()
    asyncio.get_running_loop().call_later(0.01, interrupt.fire, "client_left")
    with pytest.raises(InterruptedCallError), interrupt:
        async with asyncio.timeout(5):
            await asyncio.sleep(5)
    with pytest.raises(TimeoutError), Interrupt():
        async with asyncio.timeout(0.01):
            await asyncio.sleep(5)


@pytest.fixture
async def advance(monkeypatch):
    """Stop the event loop's clock, and return the function that moves it on and lets what is due happen."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)

    async def advance(seconds):
        nonlocal now
        now += seconds
        for _ in range(3):
            await asyncio.sleep(0)

    return advance


def sent_deadlines(**seconds):
    """Return deadlines whose request has been sent, and the interrupt that they fire."""
    interrupt = Interrupt()
    deadlines = Deadlines(interrupt, **seconds)
    deadlines.sent()
    return interrupt, deadlines


@pytest.mark.parametrize(
    ("first_byte", "idle", "total", "progress", "reason", "seconds"),
    [
        (1, 50, 50, False, "first_byte_timeout", 1),
        # The idle timeout is the shorter one: the timer that was set for the first byte must not hide it.
        (50, 1, 50, True, "idle_timeout", 1),
        (1, 3, 50, True, "idle_timeout", 3),
        (50, 50, 1, True, "total_timeout", 1),
        # Nothing came at all: whichever limit is the shorter, the first byte is missing.
        (50, 50, 1, False, "first_byte_timeout", 1),
    ],
)
async def test_deadlines(advance, *, first_byte, idle, total, progress, reason, seconds):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=first_byte, idle_seconds=idle, total_seconds=total)
    if progress:
        deadlines.progress()
    await advance(seconds - 0.1)
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == reason


async def test_progress_keeps_it_alive_and_a_pause_stops_the_idle_clock(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=100)
    for _ in range(6):
        deadlines.progress()
        await advance(0.9)
    deadlines.pause()
    await advance(10)
    deadlines.progress()
    await advance(0.9)
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == "idle_timeout"


async def test_after_a_pause_the_idle_clock_counts_from_its_end(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=100)
    deadlines.progress()
    await advance(0.5)
    deadlines.pause()
    deadlines.resume()
    await advance(0.4)
    deadlines.pause()
    await advance(10)
    deadlines.resume()
    await advance(0.9)
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == "idle_timeout"


async def test_a_pause_without_time_leaves_the_idle_clock_as_it_was(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=100)
    deadlines.progress()
    await advance(0.9)
    deadlines.pause()
    deadlines.resume()
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == "idle_timeout"


async def test_a_pause_that_lasts_for_the_total_is_the_clients(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=5)
    deadlines.progress()
    deadlines.pause()
    await advance(4.9)
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == "slow_client"


async def test_pauses_add_up_for_the_client_and_not_for_the_provider(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=5)
    for _ in range(4):
        deadlines.progress()
        await advance(0.9)
        deadlines.pause()
        await advance(1.2)
    assert interrupt.reason is None, "3.6 s of the provider's, 4.8 of the client's"
    await advance(0.3)
    assert interrupt.reason == "slow_client"


async def test_a_stall_of_the_loop_gives_the_provider_another_chance(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=2, total_seconds=50)
    await advance(3)
    assert interrupt.reason is None
    deadlines.progress()
    await advance(1.9)
    assert interrupt.reason is None
    await advance(0.2)
    assert interrupt.reason == "idle_timeout"


async def test_running_time_counts_no_stall(advance):
    done = []
    RunningTime(1.6, lambda: done.append("done"))
    for _ in range(8):
        await advance(0.1)
    await advance(30)
    for _ in range(7):
        await advance(0.1)
    assert done == []
    for _ in range(3):
        await advance(0.1)
    assert done == ["done"]


async def test_deadlines_that_are_closed_end_nothing(advance):
    interrupt, deadlines = sent_deadlines(first_byte_seconds=1, idle_seconds=1, total_seconds=1)
    deadlines.close()
    await advance(10)
    assert interrupt.reason is None
