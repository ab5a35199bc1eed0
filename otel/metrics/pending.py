"""What was measured since the last collection, in all series, behind one lock.

A reader's collection sees either all measurements of an event or none of them, because the event's
measurements are made under this lock, and a collection takes all of them under it. They are
passed on to the SDK without the lock, so that an event never waits for a collection of many series.
"""

import threading
from typing import Protocol


class Delta(Protocol):
    """What one series measured between two collections."""

    def pass_on(self) -> None:
        """Add it to the SDK's aggregations."""


class Pending:
    """The deltas of the changed series.

    `deltas` and `period`, which counts collections, are used under `lock`, which one thread may
    acquire several times. A series begins a delta for each period in which it changes.
    """

    __slots__ = ("_passing", "deltas", "lock", "period")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.deltas: list[Delta] = []
        self.period = 0
        self._passing = threading.Lock()

    def flush(self) -> None:
        """Pass everything on. Safe from any thread; two collections wait for each other."""
        with self._passing:
            with self.lock:
                deltas, self.deltas = self.deltas, []
                self.period += 1
            for each in deltas:
                each.pass_on()
