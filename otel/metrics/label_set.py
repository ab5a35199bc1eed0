"""The labels of one series, created once and shared by all events that update it.

Equal labels give the same object, so that it can hold its bound series. Values must have passed
`otel/labels.py`, because a label set is kept for the life of the process.
"""

from collections.abc import Hashable
from typing import Any, Final

from otel.metrics.bound_series import Series
from otel.metrics.event_series import EventSeries

_MAX_LARGER: Final = 10_000
"""More values than any closed set has; sets beyond it are created each time and not kept."""


class LabelSet(dict[str, str]):
    """An immutable mapping and a node of a tree: `plus` returns the set with one more label.

    `series` holds the bound series by family, `of_events` the series of kinds of events that have
    at least these labels. Both belong to the `Instruments` that records the set. Safe from any
    thread: two threads that create the same set at once get two equal ones.
    """

    __slots__ = ("_larger", "of_events", "series")

    def __init__(self, labels: dict[str, str] | None = None) -> None:
        super().__init__(labels or {})
        self._larger: dict[tuple[str, str], LabelSet] = {}
        self.series: dict[str, Series[Any]] = {}
        self.of_events: dict[Hashable, EventSeries] = {}

    def plus(self, key: str, value: str) -> "LabelSet":
        """Return the set with this label; `value` is from a closed set."""
        larger = self._larger.get((key, value))
        if larger is None:
            larger = LabelSet({**self, key: value})
            if len(self._larger) < _MAX_LARGER:
                self._larger[key, value] = larger
        return larger
