"""The one estimate of a quantile from histogram buckets, equal to Prometheus' `histogram_quantile`.

It interpolates linearly inside a bucket. The lowest bucket starts at 0 if its bound is positive.
The estimate never exceeds the highest finite bound.
"""

from bisect import bisect_left
from collections.abc import Sequence


def histogram_quantile(quantile: float, bounds: Sequence[float], cumulative_counts: Sequence[float]) -> float | None:
    """Return the estimate for `quantile` in (0, 1].

    `cumulative_counts` has one more entry than `bounds`, for `+Inf`. None where nothing was
    observed. Formula: `bucketQuantile` in Prometheus, promql/quantile.go. Raises ValueError for a
    quantile outside (0, 1] and for counts that do not fit the bounds.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile {quantile} is not in (0, 1]")
    if len(cumulative_counts) != len(bounds) + 1:
        raise ValueError(f"{len(cumulative_counts)} counts for {len(bounds)} bounds and +Inf")
    observations = cumulative_counts[-1]
    if not bounds or not observations > 0:
        return None
    rank = quantile * observations
    bucket = bisect_left(cumulative_counts, rank, hi=len(bounds))
    if bucket == len(bounds):
        return bounds[-1]
    upper = bounds[bucket]
    if bucket == 0:
        return upper if upper <= 0 else upper * (rank / cumulative_counts[0])
    lower, below = bounds[bucket - 1], cumulative_counts[bucket - 1]
    share = (rank - below) / (cumulative_counts[bucket] - below)
    return min(upper, lower + (upper - lower) * share)  # rounding must not raise p50 above p95
