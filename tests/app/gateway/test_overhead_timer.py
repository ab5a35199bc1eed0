"""What an `OverheadTimer` counts as the gateway's own time."""

import asyncio

import pytest

from app.gateway.clock import ManualClock
from app.gateway.overhead import OverheadTimer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def timer(clock: ManualClock) -> OverheadTimer:
    return OverheadTimer(clock.monotonic)


def test_time_counts_unless_a_wait_is_open(clock: ManualClock, timer: OverheadTimer) -> None:
    clock.advance(1.0)
    timer.wait("provider")
    clock.advance(10.0)
    assert timer.overhead_seconds == 1.0
    timer.resume("provider")
    clock.advance(2.0)
    assert (timer.overhead_seconds, timer.provider_seconds) == (3.0, 10.0)


def test_it_counts_from_the_arrival_of_the_request(clock: ManualClock) -> None:
    arrived_seconds = clock.monotonic()
    clock.advance(0.5)
    assert OverheadTimer(clock.monotonic, arrived_seconds).overhead_seconds == 0.5


def test_a_wait_inside_of_another_one_changes_nothing(clock: ManualClock, timer: OverheadTimer) -> None:
    """A comment is sent to a slow client while the provider is waited for."""
    timer.wait("provider")
    timer.wait("reader")
    clock.advance(1.0)
    timer.resume("reader")
    clock.advance(1.0)
    timer.resume("provider")
    assert (timer.overhead_seconds, timer.provider_seconds) == (0.0, 2.0)


def test_the_wait_for_the_pool_is_taken_once_per_attempt(clock: ManualClock, timer: OverheadTimer) -> None:
    assert timer.take_pool_seconds() is None
    for _ in range(2):
        timer.wait("pool")
        clock.advance(1.5)
        timer.resume("pool")
    assert timer.take_pool_seconds() == 3.0
    assert timer.take_pool_seconds() is None
    assert timer.overhead_seconds == 0.0


def test_nothing_counts_after_the_end(clock: ManualClock, timer: OverheadTimer) -> None:
    clock.advance(1.0)
    timer.stop()
    clock.advance(1.0)
    timer.wait("provider")
    clock.advance(1.0)
    timer.resume("provider")
    assert timer.overhead_seconds == 1.0


def test_an_end_while_a_wait_is_open_counts_what_was_before(clock: ManualClock, timer: OverheadTimer) -> None:
    clock.advance(1.0)
    timer.wait("reader")
    clock.advance(1.0)
    timer.stop()
    timer.resume("reader")
    clock.advance(1.0)
    assert timer.overhead_seconds == 1.0


async def test_what_is_written_leaves_before_the_wait_begins(clock: ManualClock, timer: OverheadTimer) -> None:
    timer.wait_when_flushed("provider")
    clock.advance(1.0)
    await asyncio.sleep(0)
    clock.advance(10.0)
    timer.resume("provider")
    assert (timer.overhead_seconds, timer.provider_seconds) == (1.0, 10.0)


async def test_what_arrives_at_once_is_not_waited_for(clock: ManualClock, timer: OverheadTimer) -> None:
    timer.wait_when_flushed("provider")
    timer.resume("provider")
    await asyncio.sleep(0)
    clock.advance(1.0)
    assert timer.overhead_seconds == 1.0


async def test_the_end_of_another_wait_leaves_what_is_about_to_begin(clock: ManualClock, timer: OverheadTimer) -> None:
    timer.wait_when_flushed("provider")
    timer.resume("body")
    await asyncio.sleep(0)
    clock.advance(1.0)
    timer.resume("provider")
    assert (timer.overhead_seconds, timer.provider_seconds) == (0.0, 1.0)
