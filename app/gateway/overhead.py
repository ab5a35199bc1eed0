"""Splits the time of one request: what the gateway spends, and what it waits for a provider, a client or a limit.

The server starts the timer when the bytes of the request's head arrive, and stops it when the last byte of
the response has left the process. In between it is the gateway's time unless a wait is open.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

WaitFor: TypeAlias = Literal["body", "reader", "provider", "pool", "room"]
"""The client's body; a client that reads slowly; a provider, connecting included; a pooled connection; room for a large response."""

SCOPE_KEY: Final = "gatewayz.overhead"
"""The scope key of the server's `OverheadTimer`."""


class OverheadTimer:
    """One request's time; for one event loop. `clock` is monotonic, in seconds.

    One wait is open at a time: what begins inside of another one changes nothing, nor does the end of
    a wait that is not open.
    """

    __slots__ = (
        "_clock", "_own_seconds", "_pool_seconds", "_since", "_soon", "_soon_for", "_stopped", "_wait", "provider_seconds",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float], started_seconds: float | None = None) -> None:
        self._clock = clock
        self._since = clock() if started_seconds is None else started_seconds
        self._wait: WaitFor | None = None
        self._soon: asyncio.Handle | None = None
        self._soon_for: WaitFor | None = None
        self._own_seconds = 0.0
        self._pool_seconds: float | None = None
        self._stopped = False
        self.provider_seconds = 0.0

    def wait(self, reason: WaitFor) -> None:
        """Begin a wait."""
        if self._wait is None and not self._stopped:
            now = self._clock()
            self._own_seconds += now - self._since
            self._since, self._wait = now, reason

    def wait_when_flushed(self, reason: WaitFor) -> None:
        """Begin a wait in the next pass of the event loop: what was written leaves the process at the end of this one."""
        if self._soon is None:
            self._soon, self._soon_for = asyncio.get_running_loop().call_soon(self._begin_soon, reason), reason

    def resume(self, reason: WaitFor) -> None:
        """End a wait: what was waited for has arrived."""
        if self._soon is not None and self._soon_for == reason:
            self._soon.cancel()
            self._soon = None
        if self._wait == reason:
            now = self._clock()
            if reason == "provider":
                self.provider_seconds += now - self._since
            elif reason == "pool":
                self._pool_seconds = (self._pool_seconds or 0.0) + now - self._since
            self._since, self._wait = now, None

    def stop(self) -> None:
        """End the measurement; what follows changes nothing."""
        self._own_seconds = self.overhead_seconds
        self._stopped = True

    @property
    def overhead_seconds(self) -> float:
        """What the gateway has spent, until now or until `stop`."""
        if self._wait is not None or self._stopped:
            return self._own_seconds
        return self._own_seconds + self._clock() - self._since

    def take_pool_seconds(self) -> float | None:
        """Return how long a pooled connection was waited for since the last call; None where none was."""
        seconds, self._pool_seconds = self._pool_seconds, None
        return seconds

    def _begin_soon(self, reason: WaitFor) -> None:
        self._soon = None
        self.wait(reason)
