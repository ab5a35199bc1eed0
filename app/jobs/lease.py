"""LEASE: which of several instances speaks for all of them, for example about what the database says.

Comes in: a table that decides, a clock. Goes out: `is_held`, true in at most one instance at a time
as long as their clocks are less than `clock_skew_seconds` apart. Whoever cannot renew in time stops
by itself; another takes over when the lease has run out, or was released.
"""

from typing import Final, Protocol

from app.gateway.ports import Clock

_CLOCK_SKEW_SECONDS: Final = 2.0


class LeaseTable(Protocol):
    """Where instances meet."""

    async def acquire(self, name: str, holder: str, *, expires_unix_ms: int, free_if_expired_unix_ms: int) -> bool:
        """Take or renew a lease; false when it is somebody else's."""

    async def release(self, name: str, holder: str) -> None:
        """Give a lease up, if it is theirs."""


class Lease:
    """One instance's view of one lease. `holder` is unique to the instance; `renew` every third of `seconds` or more often."""

    def __init__(
        self,
        table: LeaseTable,
        clock: Clock,
        *,
        name: str,
        holder: str,
        seconds: float,
        clock_skew_seconds: float = _CLOCK_SKEW_SECONDS,
    ) -> None:
        self._table = table
        self._clock = clock
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._clock_skew_seconds = clock_skew_seconds
        self._held_until = float("-inf")

    def is_held(self) -> bool:
        """Whether this instance holds the lease now; from any thread."""
        return self._clock.monotonic() < self._held_until

    async def renew(self) -> None:
        """Take or renew it; raises what the table raises, and what is held then lasts no longer than it would have."""
        asked = self._clock.monotonic()
        now_unix_ms = self._clock.unix_ms()
        is_ours = await self._table.acquire(
            self._name,
            self._holder,
            expires_unix_ms=now_unix_ms + round(self._seconds * 1_000),
            free_if_expired_unix_ms=now_unix_ms - round(self._clock_skew_seconds * 1_000),
        )
        self._held_until = asked + self._seconds if is_ours else float("-inf")

    async def release(self) -> None:
        """Hold it no longer, and let another take it at once."""
        self._held_until = float("-inf")
        await self._table.release(self._name, self._holder)
