"""What blocks the event loop is measured with its length."""

import asyncio
import time

from app.jobs.event_loop_lag import EventLoopWatch
from otel.events import EventLoopLagged
from tests.harness.recording import RecordingRecorder

INTERVAL_SECONDS = 0.01
BLOCKED_SECONDS = 0.2


async def measured(recorder: RecordingRecorder, count: int) -> list[float]:
    """Return the first `count` measurements."""
    deadline = time.monotonic() + 10.0
    while len(found := recorder.of(EventLoopLagged)) < count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(INTERVAL_SECONDS / 2)
    return [event.lag_seconds for event in found]


async def test_a_blocked_loop_is_one_long_lag_and_then_it_goes_on() -> None:
    recorder = RecordingRecorder()
    async with EventLoopWatch(recorder, time.monotonic, INTERVAL_SECONDS).running():
        before = len(await measured(recorder, 3))
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251  blocking is what is measured
        lags = await measured(recorder, before + 5)
    assert max(lags[before:]) >= BLOCKED_SECONDS - 2 * INTERVAL_SECONDS
    assert min(lags) >= 0.0


async def test_nothing_is_measured_after_the_end() -> None:
    recorder = RecordingRecorder()
    async with EventLoopWatch(recorder, time.monotonic, INTERVAL_SECONDS).running():
        await measured(recorder, 2)
    count = len(recorder.events)
    await asyncio.sleep(5 * INTERVAL_SECONDS)
    assert len(recorder.events) == count


async def test_a_clock_that_is_read_early_is_no_negative_lag() -> None:
    recorder = RecordingRecorder()
    async with EventLoopWatch(recorder, lambda: 5.0, INTERVAL_SECONDS).running():
        assert await measured(recorder, 2) == [0.0, 0.0]
