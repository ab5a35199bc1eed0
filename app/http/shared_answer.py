"""Asks a slow question for all who want the answer: once at a time, and not again while the answer is fresh.

Readiness is asked by anybody, as often as they like: what they cause at the database must not grow
with that, and none of them waits for longer than the time limit.
"""

import asyncio
from collections.abc import Awaitable, Callable

from app.gateway.ports import Clock


class SharedAnswer:
    """One yes-or-no question. An answer later than `timeout_seconds` counts as no until it arrives. For one event loop."""

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
        """Return the answer; asks where there is none that is younger than `share_seconds`."""
        now_seconds = self._clock.monotonic()
        if self._asking is None or (self._asking.done() and now_seconds - self._asked_seconds >= self._share_seconds):
            self._asked_seconds = now_seconds
            self._asking = asyncio.create_task(self._asked())
        asking = self._asking
        left_seconds = self._asked_seconds + self._timeout_seconds - now_seconds
        # Unlike `wait_for` it leaves the question going: a second one would not be answered sooner.
        await asyncio.wait({asking}, timeout=max(0.0, left_seconds))
        return asking.done() and not asking.cancelled() and asking.result()

    async def _asked(self) -> bool:
        try:
            return await self._ask()
        except Exception:  # noqa: BLE001  whatever the reason, the dependency does not answer
            return False
