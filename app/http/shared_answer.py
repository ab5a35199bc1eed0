"""Shares one slow check between callers: one runs at a time, and none while the last result is fresh.

Any client may request readiness, at any rate: the load on the database must not grow
with that, and none of them waits for longer than the time limit.
"""

import asyncio
from collections.abc import Awaitable, Callable

from app.gateway.ports import Clock


class SharedAnswer:
    """One check with a boolean result; later than `timeout_seconds` it counts as false until it arrives. For one event loop."""

    def __init__(
        self, ask: Callable[[], Awaitable[bool]], *, timeout_seconds: float, share_seconds: float, clock: Clock
    ) -> None:
        self._ask = ask
        self._timeout_seconds = timeout_seconds
        self._share_seconds = share_seconds
        self._clock = clock
        self._asked_seconds = 0.0
        self._asking: asyncio.Task[bool] | None = None

    async def get(self) -> bool:
        """Return the result; checks again when it is older than `share_seconds`."""
        now_seconds = self._clock.monotonic()
        if self._asking is None or (self._asking.done() and now_seconds - self._asked_seconds >= self._share_seconds):
            self._asked_seconds = now_seconds
            self._asking = asyncio.create_task(self._asked())
        asking = self._asking
        left_seconds = self._asked_seconds + self._timeout_seconds - now_seconds
        # Unlike `wait_for` it does not cancel the check: a second one would not end sooner.
        await asyncio.wait({asking}, timeout=max(0.0, left_seconds))
        return asking.done() and not asking.cancelled() and asking.result()

    async def _asked(self) -> bool:
        try:
            return await self._ask()
        except Exception:  # noqa: BLE001  whatever the reason, the dependency does not respond
            return False
