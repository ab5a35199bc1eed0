"""Decides when the next try may be made: exponential, jittered, bounded, without end, and within a shutdown's deadline.

It returns waits and time limits in seconds; it waits for nothing itself.
"""

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.25
CAP_SECONDS: Final = 5.0
"""An endpoint that works again is found within this time, and one that is overloaded is not called more often."""

RETRY_AFTER_CAP_SECONDS: Final = 60.0
"""The longest wait an endpoint can request: a wrong `Retry-After` must not silence a signal for a day."""

_LAST_TRY_SECONDS: Final = 0.05


class Backoff:
    """The pace of one signal's tries. `enter_shutdown` may be called from any thread, the rest by the one that sends.

    `rng` returns a number in [0, 1): "equal jitter" spreads the tries of many processes. `clock` is monotonic, in seconds.
    """

    def __init__(self, rng: Callable[[], float], clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock
        self._seconds = FIRST_SECONDS
        self._not_before = float("-inf")
        self._has_retry_after = False
        self._deadline = float("inf")

    def enter_shutdown(self, deadline: float) -> None:
        """Bound every try by `deadline`; the next may be now, unless the endpoint requested a wait."""
        self._deadline = deadline
        self._seconds = FIRST_SECONDS
        if not self._has_retry_after:
            self._not_before = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether no try can be made any more before the deadline."""
        return max(self._clock(), self._not_before) >= self._deadline

    def wait_seconds(self) -> float:
        """Return how long until the next try may be made, 0 or less if now."""
        return self._not_before - self._clock()

    def limit_seconds(self, timeout_seconds: float) -> float:
        """Return how long a try may take, 0 or less if it is too late for one."""
        return min(timeout_seconds, self._deadline - self._clock())

    def failed(self, retry_after_seconds: float | None) -> None:
        """Postpone the next try; the wait that the endpoint requested wins, up to its cap."""
        now = self._clock()
        upper, self._seconds = self._seconds, min(self._seconds * 2, CAP_SECONDS)
        self._has_retry_after = retry_after_seconds is not None
        if retry_after_seconds is not None:
            self._not_before = now + min(max(retry_after_seconds, 0.0), RETRY_AFTER_CAP_SECONDS)
            return
        seconds = upper / 2 + upper / 2 * self._rng()
        left_seconds = self._deadline - now
        if left_seconds > _LAST_TRY_SECONDS:
            # During shutdown a wait takes at most half of what is left: the endpoint could work again in the last second.
            seconds = min(seconds, left_seconds / 2)
        self._not_before = now + seconds

    def succeeded(self) -> None:
        """Start again from the first wait: the endpoint accepted or refused."""
        self._seconds = FIRST_SECONDS
        self._has_retry_after = False
