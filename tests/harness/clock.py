"""The one clock of the tests of `otel`: monotonic seconds that stand still until a test moves them.

`app.gateway.clock.ManualClock` is the same for the gateway, with the time of day.
"""


class ManualClock:
    """Call it for the time; set `seconds`, or `advance` it."""

    def __init__(self, seconds: float = 1_000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.seconds += seconds
