"""The series of counters and of histograms with explicit buckets, each adding values up in a delta.

Values of many events come at once. Where all of them are usual, they are added in a few calls; else
one by one.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from otel.metrics.aggregations import CumulativeHistogram, CumulativeSum
from otel.metrics.bound_series import Refused, Series, Values
from otel.metrics.deltas import HistogramDelta, SumDelta
from otel.metrics.pending import Measured


class SumSeries(Series[SumDelta]):
    """A series of a counter."""

    __slots__ = ()

    aggregation_type = CumulativeSum

    def _new_delta(self) -> SumDelta:
        return SumDelta(self._aggregations)

    def _add(self, value: float) -> int:
        self._delta.total += value
        return 0

    def _add_all(self, values: Sequence[Any], ordered: Sequence[Any], events: Sequence[Measured]) -> None:  # noqa: ARG002  of a counter none is lowest
        delta, latest = self._delta, events[-1]
        delta.total = sum(values, delta.total)
        delta.exemplars[0] = (values[-1], latest[2], self._labels, latest[4])  # type: ignore[assignment]  # its span is not None

    def _add_each(self, values: Values, events: Sequence[Measured]) -> Refused:
        rest: Refused = []
        lowest, labels, delta = self._lowest, self._labels, None
        for value, event in zip(values, events, strict=True):
            if value is None:
                continue
            try:
                if lowest <= value < math.inf and (delta is not None or self._begins_here()):
                    delta = self._delta
                    delta.total += value
                    if event[4] is not None:
                        delta.exemplars[0] = (value, event[2], labels, event[4])
                    continue
            except TypeError:  # no number: `record` raises it again
                pass
            rest.append((value, event))
        return rest

    def count(self, amount: int, events: Sequence[Measured]) -> None:
        """Add the same amount for each event; the latest sampled span becomes the exemplar of one above 0."""
        if not self._begins_here():
            for event in events:
                self.record(amount, event[3] if amount > 0 else None)
            return
        self._delta.total += amount * len(events)
        if amount < 0:
            return
        for event in reversed(events):
            if event[4] is not None:
                self._delta.exemplars[0] = (amount, event[2], self._labels, event[4])
                break


class HistogramSeries(Series[HistogramDelta]):
    """A series of a histogram with explicit buckets, the same in all aggregations."""

    __slots__ = ()

    aggregation_type = CumulativeHistogram

    def _fits(self, aggregations: Sequence[Any]) -> bool:
        if not aggregations or not super()._fits(aggregations):
            return False
        self._boundaries = aggregations[0]._boundaries  # noqa: SLF001  as above
        return all(each._boundaries == self._boundaries for each in aggregations)  # noqa: SLF001  as above

    def _new_delta(self) -> HistogramDelta:
        return HistogramDelta(self._aggregations, len(self._boundaries) + 1)

    def _add(self, value: float) -> int:
        delta = self._delta
        slot = bisect_left(self._boundaries, value)
        delta.counts[slot] += 1
        delta.sum += value
        if value < delta.lowest:  # noqa: PLR1730  a call of `min` costs three times as much
            delta.lowest = value
        if value > delta.highest:  # noqa: PLR1730
            delta.highest = value
        return slot

    def _add_all(self, values: Sequence[Any], ordered: Sequence[Any], events: Sequence[Measured]) -> None:
        delta, boundaries, labels = self._delta, self._boundaries, self._labels
        counts, exemplars = delta.counts, delta.exemplars
        slots = list(map(bisect_left, repeat(boundaries), values))
        for slot, added in Counter(slots).items():
            counts[slot] += added
        delta.sum = sum(values, delta.sum)
        delta.lowest = min(delta.lowest, ordered[0])
        delta.highest = max(delta.highest, ordered[-1])
        # Of each bucket the latest event is left.
        for slot, position in dict(zip(slots, range(len(events)), strict=True)).items():
            event = events[position]
            exemplars[slot] = (values[position], event[2], labels, event[4])  # type: ignore[assignment]  # likewise

    def _add_each(self, values: Values, events: Sequence[Measured]) -> Refused:
        rest: Refused = []
        lowest, labels, boundaries, delta = self._lowest, self._labels, self._boundaries, None
        for value, event in zip(values, events, strict=True):
            if value is None:
                continue
            try:
                if lowest <= value < math.inf and (delta is not None or self._begins_here()):
                    if delta is None:
                        delta, boundaries = self._delta, self._boundaries
                    delta.sum += value
                    slot = bisect_left(boundaries, value)
                    delta.counts[slot] += 1
                    if value < delta.lowest:  # noqa: PLR1730  as above
                        delta.lowest = value
                    if value > delta.highest:  # noqa: PLR1730
                        delta.highest = value
                    if event[4] is not None:
                        delta.exemplars[slot] = (value, event[2], labels, event[4])
                    continue
            except TypeError:  # no number: `record` raises it again
                pass
            rest.append((value, event))
        return rest
