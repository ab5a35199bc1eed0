"""Queries on one collection, by documented metric name and label.

A family without series is unknown and gives None, not 0. A label value that a known counter never
had gives 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import NumberDataPoint

from otel.exposition.buckets import classic_buckets
from otel.exposition.family import Point
from otel.exposition.merge import merge_points
from otel.exposition.quantile import histogram_quantile
from otel.metrics.reader import OVERFLOW_ATTRIBUTE, Snapshot, metrics_of

OVERFLOW = "overflow"
"""The label value of a family's overflow series."""


class Readings:
    """Queries one snapshot. With `where`, only series with these labels count."""

    def __init__(self, snapshot: Snapshot, exposed_name: Callable[[str], str] = str) -> None:
        self._exposed_name = exposed_name
        self._points: dict[str, list[Point]] = {}
        for metric in metrics_of(snapshot.data):
            self._points.setdefault(metric.name, []).extend(metric.data.data_points)
        self._by_label: dict[tuple[str, str], dict[str, list[Point]]] = {}

    def total(self, name: str, **where: str) -> float | None:
        """Return the sum of a counter's or gauge's series; None where the family has none."""
        return _sum(self._select(name, where)) if self._exposed_name(name) in self._points else None

    def gauge(self, name: str, **where: str) -> float | None:
        """Return the value of a gauge; None where no series has these labels."""
        points = self._select(name, where)
        return _sum(points) if points else None

    def by(self, name: str, key: str) -> dict[str, float | None] | None:
        """Return the sums by one label, sorted; None where the family has no series."""
        if self._exposed_name(name) not in self._points:
            return None
        return {value: _sum(points) for value, points in sorted(self._grouped(name, key).items())}

    def label_values(self, name: str, key: str) -> list[str]:
        """Return the values of a label, sorted; empty where the family has no series."""
        return sorted(self._grouped(name, key))

    def quantile(self, quantile: float, name: str, **where: str) -> float | None:
        """Return the quantile over all matching series of a histogram.

        None where nothing was observed.
        """
        points = self._select(name, where)
        merged = merge_points(points) if points else None
        if merged is None or isinstance(merged, NumberDataPoint):
            return None
        return histogram_quantile(quantile, *classic_buckets(merged))

    @property
    def earliest_start_unix_nanoseconds(self) -> int | None:
        """When the oldest series began; None where there is none."""
        starts = [point.start_time_unix_nano for points in self._points.values() for point in points]
        return min((start for start in starts if start), default=None)

    def _select(self, name: str, where: Mapping[str, str]) -> Sequence[Point]:
        """Return the matching points; the first label is looked up, the others are compared."""
        if not where:
            return self._points.get(self._exposed_name(name), ())
        (key, value), *others = where.items()
        candidates = self._grouped(name, key).get(value, ())
        return [point for point in candidates if all(_label(point, key) == value for key, value in others)]

    def _grouped(self, name: str, key: str) -> Mapping[str, list[Point]]:
        """Return a family's points by one label, grouped at the first query for it."""
        groups = self._by_label.get((name, key))
        if groups is None:
            groups = self._by_label[name, key] = {}
            for point in self._points.get(self._exposed_name(name), ()):
                groups.setdefault(_label(point, key), []).append(point)
        return groups


def _label(point: Point, key: str) -> str:
    attributes: Mapping[str, Any] = point.attributes or {}
    return OVERFLOW if OVERFLOW_ATTRIBUTE in attributes else str(attributes.get(key, ""))


def _value(point: Point) -> float:
    return point.value if isinstance(point, NumberDataPoint) else point.count


def _sum(points: Sequence[Point]) -> float | None:
    """Return the sum, or None where it is NaN or infinite, which JSON cannot express."""
    total = sum(_value(point) for point in points)
    return total if math.isfinite(total) else None
