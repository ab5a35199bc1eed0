"""Every histogram point as a classic histogram: ascending upper bounds and cumulative counts.

An exponential histogram has no text form, so its populated range is written bound by bound. OTLP
carries the native form.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

from opentelemetry.sdk.metrics.export import Buckets, ExponentialHistogramDataPoint, HistogramDataPoint


def classic_buckets(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> tuple[Sequence[float], Sequence[int]]:
    """Return the finite upper bounds and the cumulative counts.

    One more count, for `+Inf`, comes last.
    """
    if isinstance(point, HistogramDataPoint):
        return point.explicit_bounds, list(accumulate(point.bucket_counts))
    return _exponential(point)


def _exponential(point: ExponentialHistogramDataPoint) -> tuple[Sequence[float], Sequence[int]]:
    """Convert base-2 exponential buckets: bucket i of scale s covers (2^(i/2^s), 2^((i+1)/2^s)].

    Negative buckets mirror that, and the zero bucket ends at 0. The lower edge of the first
    positive bucket is a bound of its own, so that interpolation starts there and not at 0.
    """
    bounds: list[float] = []
    counts: list[int] = []
    total = 0
    for index, count in reversed(list(_populated(point.negative))):
        total += count
        _append(bounds, counts, -_power(index, point.scale), total)
    total += point.zero_count
    positive = list(_populated(point.positive))
    if total:
        _append(bounds, counts, 0.0, total)
    if positive:
        _append(bounds, counts, _power(positive[0][0], point.scale), total)
    for index, count in positive:
        total += count
        _append(bounds, counts, _power(index + 1, point.scale), total)
    return bounds, [*counts, point.count]


def _populated(buckets: Buckets) -> list[tuple[int, int]]:
    """Return (index, count) from the first to the last bucket that is not empty."""
    filled = [position for position, count in enumerate(buckets.bucket_counts) if count]
    if not filled:
        return []
    return [
        (buckets.offset + position, buckets.bucket_counts[position]) for position in range(filled[0], filled[-1] + 1)
    ]


def _power(index: int, scale: int) -> float:
    """Return 2^(index / 2^scale); infinite where it exceeds a float."""
    try:
        return math.pow(2.0, math.ldexp(index, -scale))
    except OverflowError:
        return math.inf


def _append(bounds: list[float], counts: list[int], bound: float, total: int) -> None:
    """Add a bound, or raise the count of the last one where floats cannot distinguish the two."""
    if bounds and bound <= bounds[-1]:
        counts[-1] = total
    elif math.isfinite(bound):
        bounds.append(bound + 0.0)  # -0.0 becomes 0.0
        counts.append(total)
