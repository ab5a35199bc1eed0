"""Merges series that OpenTelemetry distinguishes and Prometheus cannot.

Labels become equal for two scopes with one instrument, for `1` and `"1"`, for `a.b` and `a_b`. An
exposition with the same series twice is invalid, and a scraper would drop all but one.
"""

from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint

from otel.exposition.family import Point


def merge_points(points: Sequence[Point]) -> Point:
    """Return the sum of counters or histograms; the latest of gauges, which have no start time.

    Histograms whose buckets differ cannot be added: the one with the most observations is returned.
    """
    numbers = [point for point in points if isinstance(point, NumberDataPoint)]
    if numbers and all(point.start_time_unix_nano for point in numbers):
        return replace(numbers[0], value=sum(point.value for point in numbers))
    if numbers:
        return max(numbers, key=lambda point: point.time_unix_nano)
    histograms = [point for point in points if isinstance(point, HistogramDataPoint)]
    if len(histograms) == len(points) and len({tuple(point.explicit_bounds) for point in histograms}) == 1:
        return replace(
            histograms[0],
            count=sum(point.count for point in histograms),
            sum=sum(point.sum for point in histograms),
            bucket_counts=[sum(column) for column in zip(*(point.bucket_counts for point in histograms), strict=True)],
        )
    return max(points, key=_observations)


def _observations(point: Point) -> int:
    return 0 if isinstance(point, NumberDataPoint) else point.count
