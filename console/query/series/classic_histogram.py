"""Histograms with explicit bounds: each bucket is a counter of its own, as in Prometheus.

Series of one group may have different bounds, for example during a deployment: their buckets are
added by bound.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from console.query.series.counter import Counter
from console.query.series.samples import NumberSeries

_TOLERANCE: Final = 1e-12
"""Differences of counts below this share come from rounding: `smallDeltaTolerance` in promql/quantile.go."""

_MIN_BUCKETS: Final = 2

Buckets = Mapping[float, float]
"""Upper bound, `inf` included, to the cumulative count or rate."""


class HistogramPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point; counts are not cumulative over the bounds. `count` None: the sender ended the series."""

    time_ms: int
    start_ms: int
    count: float | None
    sum: float | None
    bounds: Sequence[float] = ()
    counts: Sequence[float] = ()
    """One more than the bounds; empty where the sender reports no buckets."""


class ClassicHistogram:
    """One series."""

    def __init__(self, points: Sequence[HistogramPoint], *, is_delta: bool) -> None:
        living = [point for point in points if point.count is not None]
        if not is_delta:
            # Of two totals in the same millisecond the later one counts.
            living = list({point.time_ms: point for point in living}.values())
        self.count = _counter(living, [point.count for point in living], is_delta=is_delta)
        self.sum = _counter(living, [point.sum for point in living], is_delta=is_delta)
        self._buckets = {
            bound: _counter(points_of, counts, is_delta=is_delta) for bound, points_of, counts in _columns(living)
        }
        self._is_regular = not is_delta and all(each.samples == self.count.samples for each in self._buckets.values())

    def rates(self, start_ms: int, end_ms: int) -> Buckets:
        """Return the rate of each bucket over (start, end], by Prometheus' `rate`."""
        if self._is_regular:
            # Nearly always all points have all buckets: where the samples are is found once.
            return Counter.rates_in(self.count.window(start_ms, end_ms), self._buckets.items())
        rates = ((bound, bucket.rate(start_ms, end_ms)) for bound, bucket in self._buckets.items())
        return {bound: rate for bound, rate in rates if rate is not None}

    def increases(self, start_ms: int, end_ms: int) -> Buckets:
        """Return what each bucket counted in (start, end]."""
        increases = ((bound, bucket.increase(start_ms, end_ms)) for bound, bucket in self._buckets.items())
        return {bound: increase for bound, increase in increases if increase is not None}


def _columns(points: Sequence[HistogramPoint]) -> Iterator[tuple[float, Sequence[HistogramPoint], Sequence[float]]]:
    """Return each bound with the points that have it, and what each of them counted up to it."""
    if not points:
        return
    bounds, length = points[0].bounds, len(points[0].counts)
    if all(point.bounds == bounds and len(point.counts) == length for point in points):
        columns = zip(*(accumulate(point.counts) for point in points), strict=True)
        for bound, column in zip((*bounds, math.inf), columns, strict=False):
            yield bound, points, column
        return
    by_bound: dict[float, tuple[list[HistogramPoint], list[float]]] = {}
    for point in points:
        for bound, count in zip((*point.bounds, math.inf), accumulate(point.counts), strict=False):
            points_of, counts = by_bound.setdefault(bound, ([], []))
            points_of.append(point)
            counts.append(count)
    for bound, (points_of, counts) in by_bound.items():
        yield bound, points_of, counts


def _counter(points: Sequence[HistogramPoint], values: Sequence[float | None], *, is_delta: bool) -> Counter:
    return Counter(
        NumberSeries(
            times_ms=[point.time_ms for point in points],
            values=values,
            starts_ms=[point.start_ms for point in points],
            is_delta=is_delta,
        )
    )


def add_buckets(many: Sequence[Buckets]) -> Buckets:
    """Return the sum by bound: `sum by (le)`."""
    total: dict[float, float] = {}
    for buckets in many:
        for bound, count in buckets.items():
            total[bound] = total.get(bound, 0.0) + count
    return total


def classic_quantile(quantile: float, buckets: Buckets) -> float | None:
    """Return `histogram_quantile` of Prometheus; None where nothing was observed or no bucket is infinite.

    Source: `BucketQuantile` in Prometheus, promql/quantile.go.
    """
    bounds = sorted(buckets)
    if len(bounds) < _MIN_BUCKETS or not math.isinf(bounds[-1]) or not 0 < quantile <= 1:
        return None
    counts = _monotonic([buckets[bound] for bound in bounds])
    if not counts[-1] > 0:
        return None
    rank, last = quantile * counts[-1], len(bounds) - 1
    index = bisect_left(counts, rank, hi=last)
    if index == last:
        return bounds[-2]
    if index == 0:
        return bounds[0] if bounds[0] <= 0 else bounds[0] * (rank / counts[0])
    low, below = bounds[index - 1], counts[index - 1]
    return low + (bounds[index] - low) * ((rank - below) / (counts[index] - below))


def _monotonic(counts: Sequence[float]) -> list[float]:
    """Return the counts without falls and without differences of rounding.

    Source: `ensureMonotonicAndIgnoreSmallDeltas` in Prometheus, promql/quantile.go.
    """
    fixed = [counts[0]]
    for count in counts[1:]:
        previous = fixed[-1]
        is_rounding = abs(count - previous) < _TOLERANCE * (abs(count) + abs(previous))
        fixed.append(previous if is_rounding or count < previous else count)
    return fixed
