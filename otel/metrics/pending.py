"""What was measured since the last collection, in all series, behind one lock.

A reader's collection sees either all measurements of an event or none of them, because the event's
measurements are made, and passed on to the SDK, under this lock.
"""

import threading
from typing import Protocol


class Flushable(Protocol):
    """A series with values that the SDK does not have yet."""

    def flush(self) -> None:
        """Pass them on."""


class Pending:
    """The changed series. `series` is used under `lock`, which one thread may take several times."""

    __slots__ = ("lock", "series")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.series: list[Flushable] = []

    def flush(self) -> None:
        """Pass everything on. Safe from any thread."""
        with self.lock:
            changed, self.series = self.series, []
            for each in changed:
                each.flush()
