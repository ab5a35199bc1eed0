"""LABEL SET: the labels of one series, made once and shared by all events that move it.

Comes in: bounded label values, one at a time. Goes out: the same object for the same values, so
that what is known about its series (their place in the SDK's aggregation) can be kept with it. What
comes in must have passed `otel/labels.py`: each set stays for ever.
"""

from typing import Final

from otel.metrics.bound_series import Series

_MAX_LARGER: Final = 10_000
"""More values than any closed set has; what is beyond is made anew each time instead of being kept."""


class LabelSet(dict[str, str]):
    """A mapping that nobody changes, and a node of a tree: `plus` returns the set with one label more.

    `series` belongs to the one `Instruments` that the set is recorded with: its series by family. Safe from any thread: two that
    make the same set at once get two that are equal.
    """

    __slots__ = ("_larger", "series")

    def __init__(self, labels: dict[str, str] | None = None) -> None:
        super().__init__(labels or {})
        self._larger: dict[tuple[str, str], LabelSet] = {}
        self.series: dict[str, Series] = {}

    def plus(self, key: str, value: str) -> "LabelSet":
        """Return the set with this label; `value` is from a closed set."""
        larger = self._larger.get((key, value))
        if larger is None:
            larger = LabelSet({**self, key: value})
            if len(self._larger) < _MAX_LARGER:
                self._larger[key, value] = larger
        return larger
