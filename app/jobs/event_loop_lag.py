"""Measures how late the event loop runs a timer; one `EventLoopLagged` per interval.

Code that blocks the loop delays every request by this time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from otel.events import EventLoopLagged, Recorder


class EventLoopWatch:
    """Measures while `running()` is entered. `monotonic` counts seconds; the loop's own clock is too coarse in some loops."""

    def __init__(self, recorder: Recorder, monotonic: Callable[[], float], interval_seconds: float) -> None:
        self._recorder = recorder
        self._monotonic = monotonic
        self._interval_seconds = interval_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Measure on the running loop until the end."""
        self._plan_next(asyncio.get_running_loop())
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _plan_next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = self._monotonic() + self._interval_seconds
        self._timer = loop.call_later(self._interval_seconds, self._measure, loop)

    def _measure(self, loop: asyncio.AbstractEventLoop) -> None:
        self._recorder.record(EventLoopLagged(lag_seconds=max(0.0, self._monotonic() - self._due)))
        self._plan_next(loop)
