"""What the buckets of histograms counted in a window, as `growth.py` reads it of counters."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple, TypeAlias

from console.query.series.classic_histogram import (
    Buckets,
    ClassicHistogram,
    HistogramPoint,
    add_buckets,
    classic_quantile,
)
from console.query.series.exponential_histogram import (
    ExponentialBuckets,
    ExponentialHistogram,
    ExponentialPoint,
    exponential_quantile,
)
from console.query.shapes.base import Labels
from console.query.times import MS, ceil_ms
from console.query.view import View
from console.store.read_metrics import read_exponentials, read_families, read_histograms, read_series
from console.store.rows import ExponentialPoint as StoredExponential
from console.store.rows import Family, Series
from console.store.rows import HistogramPoint as StoredHistogram

_DELTA: Final = 1
_INFINITY: Final = float("inf")

Distribution: TypeAlias = Buckets | ExponentialBuckets


class HistogramGrowth(NamedTuple):
    """One series."""

    labels: Labels
    distribution: Distribution
    """What each bucket counted."""


def read_histogram_growth(
    view: View, name: str, begin_ns: int, end_ns: int, keep: Callable[[Labels], bool] = lambda _: True
) -> list[HistogramGrowth]:
    """Return the series of a histogram with samples in (begin, end], whole milliseconds."""
    found = []
    for family in read_families(view.connection, name):
        read = _READ.get(family.kind)
        if read is None:
            continue
        for series in read_series(view.connection, family.id):
            labels = view.labels(series.attributes, series.resource_id)
            distribution = read(view.connection, family, series, begin_ns, end_ns) if keep(labels) else None
            if distribution is not None:
                found.append(HistogramGrowth(labels, distribution))
    return found


def _classic(
    connection: sqlite3.Connection, family: Family, series: Series, begin_ns: int, end_ns: int
) -> Buckets | None:
    first_ns, last_ns = _sample_times(connection, "histogram_points", series.id, begin_ns, end_ns)
    if last_ns is None:
        return None
    if family.temporality != _DELTA and first_ns is not None:
        ends = (next(read_histograms(connection, (series.id,), each, each)) for each in (first_ns, last_ns))
        difference = _difference(*ends, bounds=series.bounds)
        if difference is not None:
            return difference
    points = read_histograms(connection, (series.id,), begin_ns + 1 if first_ns is None else first_ns, end_ns)
    histogram = ClassicHistogram(
        [classic_point(point, series.bounds) for point in points], is_delta=family.temporality == _DELTA
    )
    return histogram.increases(begin_ns // MS, end_ns // MS)


def _difference(first: StoredHistogram, last: StoredHistogram, *, bounds: Sequence[float]) -> Buckets | None:
    """Return what was counted between two points of one uninterrupted counting; None where it was interrupted."""
    is_same = first.start_ns == last.start_ns != 0 and first.count is not None
    if not is_same or any(new < old for old, new in zip(first.counts, last.counts, strict=False)):
        return None
    counts = accumulate(new - old for old, new in zip(first.counts, last.counts, strict=False))
    return dict(zip((*bounds, _INFINITY), counts, strict=False))


def _exponential(
    connection: sqlite3.Connection, family: Family, series: Series, begin_ns: int, end_ns: int
) -> ExponentialBuckets | None:
    first_ns, last_ns = _sample_times(connection, "exponential_points", series.id, begin_ns, end_ns)
    if last_ns is None:
        return None
    points = read_exponentials(connection, (series.id,), begin_ns + 1 if first_ns is None else first_ns, end_ns)
    histogram = ExponentialHistogram(
        [exponential_point(point) for point in points], is_delta=family.temporality == _DELTA
    )
    return histogram.increase(begin_ns // MS, end_ns // MS)


_READ: Final = {"histogram": _classic, "exponential_histogram": _exponential}


def _sample_times(
    connection: sqlite3.Connection, table: str, series_id: int, begin_ns: int, end_ns: int
) -> tuple[int | None, int | None]:
    """Return when the last sample until the begin was, and the last one in the window."""
    last = f"SELECT max(time_ns) FROM {table} WHERE series_id = ? AND time_ns <= ? AND count IS NOT NULL"
    first_ns = connection.execute(last, (series_id, begin_ns)).fetchone()[0]
    last_ns = connection.execute(last, (series_id, end_ns)).fetchone()[0]
    return first_ns, (None if last_ns == first_ns else last_ns)


def classic_point(
    point: StoredHistogram, bounds: Sequence[float], milliseconds: Callable[[int], int] = ceil_ms
) -> HistogramPoint:
    """Return a stored point for the mathematics; its times are rounded up, like those of `growth.py`."""
    return HistogramPoint(
        time_ms=milliseconds(point.time_ns),
        start_ms=milliseconds(point.start_ns),
        count=point.count,
        sum=point.sum,
        bounds=bounds,
        counts=point.counts,
    )


def exponential_point(point: StoredExponential, milliseconds: Callable[[int], int] = ceil_ms) -> ExponentialPoint:
    """Return a stored point for the mathematics, as `classic_point` does."""
    time_ms, start_ms = milliseconds(point.time_ns), milliseconds(point.start_ns)
    if point.count is None:
        return ExponentialPoint(time_ms, start_ms, None)
    buckets = ExponentialBuckets(
        scale=point.scale,
        count=point.count,
        sum=point.sum or 0.0,
        zero_count=point.zero_count,
        zero_threshold=point.zero_threshold,
        positive={point.positive_offset + index: count for index, count in enumerate(point.positive_counts) if count},
        negative={point.negative_offset + index: count for index, count in enumerate(point.negative_counts) if count},
    )
    return ExponentialPoint(time_ms, start_ms, buckets)


def distribution_quantile(quantile: float, distributions: Iterable[Distribution]) -> float | None:
    """Return the quantile over all of them; None where nothing was observed.

    Classic and exponential histograms are not added to each other: the kind with more observations counts.
    """
    classic: list[Buckets] = []
    exponential: ExponentialBuckets | None = None
    for each in distributions:
        if isinstance(each, ExponentialBuckets):
            exponential = each if exponential is None else exponential.plus(each)
        else:
            classic.append(each)
    buckets = add_buckets(classic)
    if exponential is not None and exponential.count > buckets.get(_INFINITY, 0.0):
        return exponential_quantile(quantile, exponential)
    return classic_quantile(quantile, buckets)


def observations(distributions: Sequence[Distribution]) -> float:
    """Return how many observations they have together."""
    return sum(
        each.count if isinstance(each, ExponentialBuckets) else each.get(_INFINITY, 0.0) for each in distributions
    )
