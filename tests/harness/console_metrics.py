"""Metrics messages for a console: sums, gauges and histograms from a few numbers."""

from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from tests.harness.console import NOW_NS, SECOND_NS, key_values

DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
NO_VALUE = 1


def at(seconds: float) -> int:
    """Return a time relative to the harness's now, in nanoseconds."""
    return NOW_NS + round(seconds * SECOND_NS)


def number(value: float | None, seconds: float, labels: dict[str, Any], started: float | None) -> NumberDataPoint:
    point = NumberDataPoint(attributes=key_values(labels), time_unix_nano=at(seconds))
    if started is not None:
        point.start_time_unix_nano = at(started)
    if value is None:
        point.flags = NO_VALUE
    elif isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    return point


def counter(
    name: str, *points: tuple[float, float | None, dict[str, Any]], started: float | None = -3_000, delta: bool = False
) -> Metric:
    """Return a counter; each point is (seconds, value, labels)."""
    metric = Metric(name=name, unit="{request}")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = DELTA if delta else CUMULATIVE
    metric.sum.data_points.extend(number(value, seconds, labels, started) for seconds, value, labels in points)
    return metric


def gauge(name: str, *points: tuple[float, float | None, dict[str, Any]]) -> Metric:
    """Return a gauge; each point is (seconds, value, labels)."""
    metric = Metric(name=name, unit="1")
    metric.gauge.data_points.extend(number(value, seconds, labels, None) for seconds, value, labels in points)
    return metric


def histogram(
    name: str,
    *points: tuple[float, list[int], dict[str, Any]],
    bounds: tuple[float, ...] = (1.0, 2.0),
    started: float = -3_000,
    sums: list[float] | None = None,
) -> Metric:
    """Return a histogram; each point is (seconds, counts by bucket, labels)."""
    metric = Metric(name=name, unit="s")
    metric.histogram.aggregation_temporality = CUMULATIVE
    for index, (seconds, counts, labels) in enumerate(points):
        metric.histogram.data_points.append(
            HistogramDataPoint(
                attributes=key_values(labels),
                start_time_unix_nano=at(started),
                time_unix_nano=at(seconds),
                count=sum(counts),
                sum=float(sum(counts)) if sums is None else sums[index],
                bucket_counts=counts,
                explicit_bounds=bounds,
            )
        )
    return metric


def exponential(name: str, *points: tuple[float, list[int], dict[str, Any]], scale: int = 0) -> Metric:
    """Return an exponential histogram; each point is (seconds, counts from index 0 on, labels)."""
    metric = Metric(name=name, unit="s")
    metric.exponential_histogram.aggregation_temporality = CUMULATIVE
    for seconds, counts, labels in points:
        point = ExponentialHistogramDataPoint(
            attributes=key_values(labels),
            start_time_unix_nano=at(-3_000),
            time_unix_nano=at(seconds),
            count=sum(counts),
            sum=float(sum(counts)),
            scale=scale,
        )
        point.positive.offset = 0
        point.positive.bucket_counts.extend(counts)
        metric.exponential_histogram.data_points.append(point)
    return metric


def summary(name: str, *points: tuple[float, dict[float, float]]) -> Metric:
    """Return a summary; each point is (seconds, values by quantile)."""
    metric = Metric(name=name, unit="s")
    for seconds, values in points:
        point = SummaryDataPoint(start_time_unix_nano=at(-3_000), time_unix_nano=at(seconds), count=10, sum=20.0)
        for quantile, value in values.items():
            point.quantile_values.add(quantile=quantile, value=value)
        metric.summary.data_points.append(point)
    return metric
