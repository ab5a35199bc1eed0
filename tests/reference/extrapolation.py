"""Two rules of Prometheus, written again from its documentation: how `rate` extrapolates, and how a quantile is interpolated.

Sources: https://prometheus.io/docs/prometheus/latest/querying/functions/ (`rate`, `histogram_quantile`), and the comments of
`extrapolatedRate` and `bucketQuantile` in Prometheus' own promql/functions.go and promql/quantile.go.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

_NEAR: Final = 1.1
"""A series reaches the edge of the window where its last sample is at most so many intervals away from it."""

_FEWEST: Final = 2
"""A rate needs two samples."""


def increase(first: float, last: float, stamps_ms: Sequence[int], start_ms: int, end_ms: int) -> float | None:
    """Return what `increase` is of a counter that went from `first` to `last` between samples at these times; None with fewer than two.

    Times are whole milliseconds since any moment, as Prometheus has them.
    """
    if len(stamps_ms) < _FEWEST:
        return None
    raw = last - first
    sampled = float(stamps_ms[-1] - stamps_ms[0])
    interval = sampled / (len(stamps_ms) - 1)
    to_start, to_end = float(stamps_ms[0] - start_ms), float(end_ms - stamps_ms[-1])
    if to_start >= _NEAR * interval:
        to_start = interval / 2
    if raw > 0:
        # A counter is not extrapolated to below 0.
        to_start = min(to_start, sampled * first / raw)
    if to_end >= _NEAR * interval:
        to_end = interval / 2
    return raw * (sampled + to_start + to_end) / sampled


def quantile(share: float, cumulative: Mapping[float, float]) -> float:
    """Return a quantile of cumulative counts by upper bound, the last of which is infinite; NaN without observations."""
    bounds = sorted(cumulative)
    counts = [cumulative[bound] for bound in bounds]
    if not bounds or counts[-1] == 0:
        return math.nan
    rank = share * counts[-1]
    place = next((index for index, count in enumerate(counts[:-1]) if count >= rank), len(bounds) - 1)
    if place == len(bounds) - 1:
        return bounds[-2]
    below, counted = (bounds[place - 1], counts[place - 1]) if place else (0.0, 0.0)
    return below + (bounds[place] - below) * (rank - counted) / (counts[place] - counted)
