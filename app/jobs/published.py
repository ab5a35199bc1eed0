"""Holds the newest result of a job for the collecting thread, while it is fresh.

The result is None while it is unknown or while another instance publishes. A computation that fails
or is cancelled removes the old result: unknown is not zero.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from app.gateway.ports import Clock

T = TypeVar("T")


class Published(Generic[T]):
    """One state. `may_publish` returns whether this instance publishes; a result older than `max_age_seconds` is unknown."""

    def __init__(
        self,
        compute: Callable[[], Awaitable[T]],
        *,
        clock: Clock,
        max_age_seconds: float,
        may_publish: Callable[[], bool],
    ) -> None:
        self._compute = compute
        self._clock = clock
        self._max_age_seconds = max_age_seconds
        self._may_publish = may_publish
        self._newest: tuple[float, T] | None = None

    async def refresh(self) -> None:
        """Compute the result again, in a job's run; raises what the computation raises."""
        started_seconds = self._clock.monotonic()
        try:
            self._newest = (started_seconds, await self._compute())
        except BaseException:
            self._newest = None
            raise

    def read(self) -> T | None:
        """Return the newest result; from any thread."""
        newest = self._newest
        if newest is None or not self._may_publish() or self._clock.monotonic() - newest[0] > self._max_age_seconds:
            return None
        return newest[1]
