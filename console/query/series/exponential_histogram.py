"""Exponential histograms, read as Prometheus reads its native histograms.

Buckets are a mapping from index to count: index i of scale s covers (2^(i/2^s), 2^((i+1)/2^s)].
Negative observations have a mapping of their own, by their absolute value.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from console.query.series.extrapolation import Sampled, counter_factor, reach
from console.query.series.samples import LOOKBACK_MS

MAX_SCALE: Final = 8
"""The finest scale of a native histogram; finer points are merged to it when Prometheus receives them."""

_MS_PER_SECOND: Final = 1_000.0
_HALF: Final = 0.5

Indices = Mapping[int, float]


class ExponentialBuckets(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one point, or a sum or difference of several."""

    scale: int
    count: float
    sum: float
    zero_count: float = 0.0
    zero_threshold: float = 0.0
    positive: Indices = {}
    negative: Indices = {}

    def at_scale(self, scale: int) -> "ExponentialBuckets":
        """Return the same with fewer, wider buckets: 2^(difference of the scales) become one."""
        shift = self.scale - scale
        if shift <= 0:
            return self
        return msgspec.structs.replace(
            self, scale=scale, positive=_shifted(self.positive, shift), negative=_shifted(self.negative, shift)
        )

    def plus(self, other: "ExponentialBuckets", sign: int = 1) -> "ExponentialBuckets":
        """Return the sum, or with `sign` -1 the difference, at the coarser scale and the wider zero bucket."""
        scale = min(self.scale, other.scale)
        left, right = _same_zero(self.at_scale(scale), other.at_scale(scale))
        return ExponentialBuckets(
            scale=scale,
            count=left.count + sign * right.count,
            sum=left.sum + sign * right.sum,
            zero_count=left.zero_count + sign * right.zero_count,
            zero_threshold=left.zero_threshold,
            positive=_added(left.positive, right.positive, sign),
            negative=_added(left.negative, right.negative, sign),
        )

    def times(self, factor: float) -> "ExponentialBuckets":
        """Return every count multiplied."""
        return msgspec.structs.replace(
            self,
            count=self.count * factor,
            sum=self.sum * factor,
            zero_count=self.zero_count * factor,
            positive={index: count * factor for index, count in self.positive.items()},
            negative={index: count * factor for index, count in self.negative.items()},
        )

    def is_reset_of(self, before: "ExponentialBuckets") -> bool:
        """Return whether it cannot have grown out of `before`.

        Source: `FloatHistogram.DetectReset` in Prometheus, model/histogram/float_histogram.go.
        """
        if self.count < before.count or self.scale > before.scale or self.zero_threshold < before.zero_threshold:
            return True
        old = before.at_scale(self.scale)
        if old.zero_threshold < self.zero_threshold:
            old = _widened(old, self.zero_threshold)
        return (
            old.zero_threshold != self.zero_threshold
            or self.zero_count < old.zero_count
            or any(count > self.positive.get(index, 0.0) for index, count in old.positive.items())
            or any(count > self.negative.get(index, 0.0) for index, count in old.negative.items())
        )


class ExponentialPoint(NamedTuple):
    """One point of a series; `buckets` None: the sender ended the series."""

    time_ms: int
    start_ms: int
    buckets: ExponentialBuckets | None


class ExponentialHistogram:
    """One series."""

    def __init__(self, points: Sequence[ExponentialPoint], *, is_delta: bool) -> None:
        self._points = [
            (point.time_ms, point.start_ms, point.buckets.at_scale(MAX_SCALE))
            for point in points
            if point.buckets is not None
        ]
        if not is_delta:
            # Of two totals in the same millisecond the later one counts.
            self._points = list({point[0]: point for point in self._points}.values())
        self._times = [time_ms for time_ms, _, _ in self._points]
        self._is_delta = is_delta

    def rate(self, start_ms: int, end_ms: int) -> ExponentialBuckets | None:
        """Return the increase per second over (start, end], extrapolated as by Prometheus' `rate`.

        Source: `histogramRate` and `extrapolatedRate`, promql/functions.go. Delta points are added
        and divided by the length of the window.
        """
        inside = self._points[bisect_right(self._times, start_ms) : bisect_right(self._times, end_ms)]
        seconds = (end_ms - start_ms) / _MS_PER_SECOND
        if self._is_delta:
            return _sum([buckets for _, _, buckets in inside], 1 / seconds)
        if len(inside) <= 1:
            return None
        increase = _growth([buckets for _, _, buckets in inside])
        wide = reach(Sampled(inside[0][0], inside[-1][0], len(inside)), start_ms, end_ms)
        return increase.times(counter_factor(wide, inside[0][2].count, increase.count) / seconds)

    def increase(self, start_ms: int, end_ms: int) -> ExponentialBuckets | None:
        """Return what was counted in (start, end], like `Counter.increase`."""
        first, last = bisect_right(self._times, start_ms), bisect_right(self._times, end_ms) - 1
        if last < first:
            return None
        if self._is_delta:
            return _sum([buckets for _, _, buckets in self._points[first : last + 1]], 1.0)
        if first > 0:
            return self._counted(first - 1, last)
        grown = self._counted(0, last)
        time_ms, begun_ms, buckets = self._points[0]
        if 0 < begun_ms < time_ms and (begun_ms >= start_ms or time_ms - begun_ms <= LOOKBACK_MS):
            return grown.plus(buckets)
        return grown if last > 0 else None

    def _counted(self, before: int, last: int) -> ExponentialBuckets:
        """Return what was counted after a point up to another; a start after the point before is a reset, too."""
        restarts = [
            index
            for index in range(before + 1, last + 1)
            if self._times[index - 1] < self._points[index][1] < self._times[index]
        ]
        ends = [*restarts, last + 1]
        buckets = [each for _, _, each in self._points]
        grown = _growth(buckets[before : ends[0]])
        for begin, end in pairwise(ends):
            grown = grown.plus(buckets[begin]).plus(_growth(buckets[begin:end]))
        return grown

    def latest(self, at_ms: int) -> ExponentialBuckets | None:
        """Return the last point at or before a time."""
        index = bisect_right(self._times, at_ms) - 1
        return None if index < 0 else self._points[index][2]


def _growth(points: Sequence[ExponentialBuckets]) -> ExponentialBuckets:
    """Return the last minus the first, plus what was there before each reset."""
    first, last = points[0], points[-1]
    if len(points) > 1 and points[1].is_reset_of(first):
        # Whatever the first one holds, none of it is in the others.
        first = ExponentialBuckets(scale=points[1].scale, count=0.0, sum=0.0)
    scale = min(point.scale for point in points)
    grown = last.at_scale(scale).plus(first, -1)
    before = first
    for point in points[1:]:
        if point.is_reset_of(before):
            grown = grown.plus(before)
        before = point
    return grown


def _sum(many: Sequence[ExponentialBuckets], factor: float) -> ExponentialBuckets | None:
    if not many:
        return None
    total = many[0]
    for buckets in many[1:]:
        total = total.plus(buckets)
    return total.times(factor)


def _shifted(indices: Indices, shift: int) -> Indices:
    merged: dict[int, float] = {}
    for index, count in indices.items():
        merged[index >> shift] = merged.get(index >> shift, 0.0) + count
    return merged


def _added(left: Indices, right: Indices, sign: int) -> Indices:
    total = dict(left)
    for index, count in right.items():
        total[index] = total.get(index, 0.0) + sign * count
    return total


def _upper(index: int, scale: int) -> float:
    try:
        return float(2.0 ** math.ldexp(index + 1, -scale))
    except OverflowError:
        return math.inf if index >= 0 else 0.0


def _same_zero(left: ExponentialBuckets, right: ExponentialBuckets) -> tuple[ExponentialBuckets, ExponentialBuckets]:
    """Return both with one zero bucket that divides no bucket with observations.

    Source: `reconcileZeroBuckets` in Prometheus, model/histogram/float_histogram.go.
    """
    while left.zero_threshold != right.zero_threshold:
        if left.zero_threshold < right.zero_threshold:
            left = _widened(left, right.zero_threshold)
        else:
            right = _widened(right, left.zero_threshold)
    return left, right


def _widened(buckets: ExponentialBuckets, threshold: float) -> ExponentialBuckets:
    """Return the same with a zero bucket up to `threshold`, or up to the end of the bucket that it divides."""
    while True:
        inside = [
            (index, count)
            for indices in (buckets.positive, buckets.negative)
            for index, count in indices.items()
            if count and _upper(index - 1, buckets.scale) < threshold
        ]
        end = max((_upper(index, buckets.scale) for index, _ in inside), default=threshold)
        if end <= threshold:
            break
        threshold = end
    return msgspec.structs.replace(
        buckets,
        zero_count=buckets.zero_count + sum(count for _, count in inside),
        zero_threshold=threshold,
        positive=_from(buckets.positive, buckets.scale, threshold),
        negative=_from(buckets.negative, buckets.scale, threshold),
    )


def _from(indices: Indices, scale: int, threshold: float) -> Indices:
    return {index: count for index, count in indices.items() if _upper(index - 1, scale) >= threshold}


def exponential_quantile(quantile: float, buckets: ExponentialBuckets) -> float | None:
    """Return `histogram_quantile` of a native histogram; None where nothing was observed.

    Inside a bucket it interpolates exponentially, in the zero bucket linearly. Source:
    `HistogramQuantile` in Prometheus, promql/quantile.go.
    """
    if not 0 <= quantile <= 1 or not buckets.count > 0:
        return None
    has_nan = math.isnan(buckets.sum)
    is_forward = has_nan or quantile < _HALF
    rank = (quantile if is_forward else 1 - quantile) * buckets.count
    reached, found = 0.0, None
    ordered = list(_ordered(buckets))
    for bucket in ordered if is_forward else reversed(ordered):
        found = bucket
        reached += bucket.observed
        if reached >= rank:
            break
    if found is None:
        return None
    reached = min(reached, buckets.count)
    if reached < rank:
        return None if has_nan else found.upper
    inside = rank - (reached - found.observed) if is_forward else reached - rank
    share = inside / found.observed
    if found.lower <= 0 <= found.upper:
        return found.lower + (found.upper - found.lower) * share
    low, high = math.log2(abs(found.lower)), math.log2(abs(found.upper))
    if found.lower > 0:
        return float(2.0 ** (low + (high - low) * share))
    return -float(2.0 ** (high + (low - high) * (1 - share)))


class _Bucket(NamedTuple):
    lower: float
    upper: float
    observed: float


def _ordered(buckets: ExponentialBuckets) -> Iterator[_Bucket]:
    """Return the buckets with observations, the lowest values first."""
    scale = buckets.scale
    for index in sorted(buckets.negative, reverse=True):
        if buckets.negative[index]:
            yield _Bucket(-_upper(index, scale), -_upper(index - 1, scale), buckets.negative[index])
    if buckets.zero_count:
        lower = 0.0 if buckets.positive and not buckets.negative else -buckets.zero_threshold
        upper = 0.0 if buckets.negative and not buckets.positive else buckets.zero_threshold
        yield _Bucket(lower, upper, buckets.zero_count)
    for index in sorted(buckets.positive):
        if buckets.positive[index]:
            yield _Bucket(_upper(index - 1, scale), _upper(index, scale), buckets.positive[index])
