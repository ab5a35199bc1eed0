"""Time for the domain, from outside; nothing else in `app/gateway` reads the machine's clocks.

Provides `SystemClock` for production, `ManualClock` for tests (shipped, so that
users' own tests can have it).
"""

import time


class SystemClock:
    """Satisfies `Clock` with the machine's clocks; safe from any thread."""

    monotonic = staticmethod(time.monotonic)
    """Seconds on a clock that never goes back. Read two dozen times per request: without a call in between."""

    def unix_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """Satisfies `Clock`; stands still until a test moves it. Both readings move together."""

    def __init__(self, *, monotonic: float = 1_000.0, unix_ms: int = 1_700_000_000_000) -> None:
        self._start_monotonic = monotonic
        self._start_unix_ms = unix_ms
        self._elapsed_seconds = 0.0

    def monotonic(self) -> float:
        """Seconds, as far as the test has moved them."""
        return self._start_monotonic + self._elapsed_seconds

    def unix_ms(self) -> int:
        """Milliseconds since the Unix epoch, as far as the test has moved them."""
        return self._start_unix_ms + round(self._elapsed_seconds * 1_000)

    def advance(self, seconds: float) -> None:
        """Move both readings forward."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._elapsed_seconds += seconds
