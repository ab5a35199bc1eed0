"""What was measured since the last collection, in all series, behind one lock.

A reader's collection sees either all measurements of an event or none of them, because the event's
measurements are made under this lock or wait as one entry, and a collection takes all of them under
it. They are passed on to the SDK without the lock, so that an event never waits for a collection of
many series.
"""

import threading
from collections import defaultdict, deque
from typing import Any, Final, Protocol, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import SpanContext

MAX_WAITING: Final = 512
"""Those of some 80 requests: enough that events share their series, few enough to be added up in a millisecond."""


class Delta(Protocol):
    """What one series measured between two collections."""

    def pass_on(self) -> None:
        """Add it to the SDK's aggregations."""


class EventSeries(Protocol):
    """The series that an event changes."""

    def add_up(self, events: "list[Measured]") -> None:
        """Add the values of these events to the deltas of the series, under the lock."""


Measured: TypeAlias = tuple[EventSeries, tuple[Any, ...], int, Context | None, SpanContext | None]
"""Series, values in their order, Unix nanoseconds, context, its span where that is sampled.

A plain tuple: a named one costs five times as much to make.
"""


class Pending:
    """The deltas of the changed series, and events whose values have not been added to them yet.

    `deltas` and `period`, which counts collections, are used under `lock`, which one thread may
    acquire several times. A series begins a delta for each period in which it changes.
    """

    __slots__ = ("_passing", "deltas", "lock", "period", "waiting_events")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.deltas: list[Delta] = []
        self.period = 0
        self.waiting_events: deque[Measured] = deque()
        """Takes an event's values, from any thread, with or without the lock. Who adds the last of `MAX_WAITING` adds them up."""
        self._passing = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many events have not been added up."""
        return len(self.waiting_events)

    def add_up(self) -> None:
        """Add up what waits, under the lock; raises the first error after the last event."""
        failed = self._add_up()
        if failed is not None:
            raise failed

    def flush(self) -> None:
        """Pass everything on. Safe from any thread; two collections wait for each other.

        Raises the first error of a value that could not be recorded, after all others.
        """
        with self._passing:
            with self.lock:
                failed = self._add_up()
                deltas, self.deltas = self.deltas, []
                self.period += 1
            for each in deltas:
                each.pass_on()
        if failed is not None:
            raise failed

    def _add_up(self) -> Exception | None:
        """Add what waits to the deltas, under the lock; return the first error."""
        by_series: defaultdict[EventSeries, list[Measured]] = defaultdict(list)
        take = self.waiting_events.popleft
        for event in [take() for _ in range(len(self.waiting_events))]:  # meanwhile more may come
            by_series[event[0]].append(event)
        failed: Exception | None = None
        for series, events in by_series.items():
            try:
                series.add_up(events)
            except Exception as error:  # noqa: BLE001  returned: one value must not cost the others
                failed = failed or error
        return failed
