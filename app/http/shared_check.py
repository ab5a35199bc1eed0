"""Shares one slow check between callers: one runs at a time, and none while the last result is fresh.

Any client may request readiness, at any rate: the load on the database must not grow
with that, and none of them waits for longer than the time limit.
"""

import asyncio
from collections.abc import Awaitable, Callable

from app.gateway.ports import Clock


class SharedCheck:
    """One check with a boolean result; later than `timeout_seconds` it counts as false until it arrives. For one event loop."""

    def __init__(
        self, check: Callable[[], Awaitable[bool]], *, timeout_seconds: float, share_seconds: float, clock: Clock
    ) -> None:
        self._check = check
        self._timeout_seconds = timeout_seconds
        self._share_seconds = share_seconds
        self._clock = clock
        self._started_seconds = 0.0
        self._running: asyncio.Task[bool] | None = None

    async def get(self) -> bool:
        """Return the result; checks again when it is older than `share_seconds`."""
        now_seconds = self._clock.monotonic()
        if self._running is None or (
            self._running.done() and now_seconds - self._started_seconds >= self._share_seconds
        ):
            self._started_seconds = now_seconds
            self._running = asyncio.create_task(self._run())
        running = self._running
        left_seconds = self._started_seconds + self._timeout_seconds - now_seconds
        # Unlike `wait_for` it does not cancel the check: a second one would not end sooner.
        await asyncio.wait({running}, timeout=max(0.0, left_seconds))
        return running.done() and not running.cancelled() and running.result()

    async def _run(self) -> bool:
        try:
            return await self._check()
        except Exception:  # noqa: BLE001  whatever the reason, the dependency does not respond
            return False
