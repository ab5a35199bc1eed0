"""BACKOFF: how long to wait before the next try: exponential, jittered, bounded, endless."""

from collections.abc import Callable
from typing import Final

FIRST_SECONDS: Final = 0.25
CAP_SECONDS: Final = 5.0
"""An endpoint that is back is found within this time, and no endpoint is asked more often than its load can bear."""

RETRY_AFTER_CAP_SECONDS: Final = 60.0
"""The longest wait an endpoint can ask for: a wrong `Retry-After` must not silence a signal for a day."""


class Backoff:
    """Counts failures in a row. `rng` returns a number in [0, 1): "equal jitter" spreads the tries of many processes."""

    def __init__(self, rng: Callable[[], float]) -> None:
        self._rng = rng
        self._seconds = FIRST_SECONDS

    def next_seconds(self, retry_after_seconds: float | None = None) -> float:
        """Return the wait after one more failure; what the endpoint asked for wins, within its cap."""
        upper, self._seconds = self._seconds, min(self._seconds * 2, CAP_SECONDS)
        if retry_after_seconds is not None:
            return min(max(retry_after_seconds, 0.0), RETRY_AFTER_CAP_SECONDS)
        return upper / 2 + upper / 2 * self._rng()

    def reset(self) -> None:
        """Start again: something was accepted."""
        self._seconds = FIRST_SECONDS
