"""BACKOFF: when the next try may be made: exponential, jittered, bounded, endless, and squeezed into what a shutdown leaves.

Comes in: each failure and success. Goes out: waits and time limits, in seconds. It waits for
nothing itself.
"""

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.25
CAP_SECONDS: Final = 5.0
"""An endpoint that is back is found within this time, and no endpoint is asked more often than its load can bear."""

RETRY_AFTER_CAP_SECONDS: Final = 60.0
"""The longest wait an endpoint can ask for: a wrong `Retry-After` must not silence a signal for a day."""

_LAST_TRY_SECONDS: Final = 0.05


class Backoff:
    """The pace of one signal's tries. `hurry` may be called from any thread, the rest by the one that sends.

    `rng` returns a number in [0, 1): "equal jitter" spreads the tries of many processes. `clock` is monotonic, in seconds.
    """

    def __init__(self, rng: Callable[[], float], clock: Callable[[], float]) -> None:
        self._rng = rng
        self._clock = clock
        self._seconds = FIRST_SECONDS
        self._not_before = float("-inf")
        self._was_asked_to_wait = False
        self._deadline = float("inf")

    def hurry(self, deadline: float) -> None:
        """Shut down until `deadline`: the next try may be now, unless the endpoint asked for patience."""
        self._deadline = deadline
        self._seconds = FIRST_SECONDS
        if not self._was_asked_to_wait:
            self._not_before = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether no try can be made any more before the deadline."""
        return max(self._clock(), self._not_before) >= self._deadline

    def wait_seconds(self) -> float:
        """Return how long until the next try may be made, 0 or less if now."""
        return self._not_before - self._clock()

    def limit_seconds(self, timeout_seconds: float) -> float:
        """Return what a try may take, 0 or less if it is too late for one."""
        return min(timeout_seconds, self._deadline - self._clock())

    def failed(self, retry_after_seconds: float | None) -> None:
        """Push the next try out; what the endpoint asked for wins, within its cap."""
        now = self._clock()
        upper, self._seconds = self._seconds, min(self._seconds * 2, CAP_SECONDS)
        self._was_asked_to_wait = retry_after_seconds is not None
        if retry_after_seconds is not None:
            self._not_before = now + min(max(retry_after_seconds, 0.0), RETRY_AFTER_CAP_SECONDS)
            return
        seconds = upper / 2 + upper / 2 * self._rng()
        left_seconds = self._deadline - now
        if left_seconds > _LAST_TRY_SECONDS:
            # While shutting down a wait may not eat up what is left: the endpoint could be back in the last second.
            seconds = min(seconds, left_seconds / 2)
        self._not_before = now + seconds

    def succeeded(self) -> None:
        """Start again: the endpoint answered for good, one way or the other."""
        self._seconds = FIRST_SECONDS
        self._was_asked_to_wait = False
