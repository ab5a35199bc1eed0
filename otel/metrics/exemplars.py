"""Remembers the latest exemplars, because every SDK collection empties the reservoirs.

A scrape shows the latest exemplar of each series and bucket, however many scrapers there are. A
push sends those that arrived since the last push. Exemplars without a trace id are dropped, as are
those of series that no longer exist.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    DataPointT,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    MetricsData,
)

EXPONENTIAL_EXEMPLARS = 20
"""How many exemplars an exponential series keeps; its buckets move, so there is no slot per bucket.

The SDK keeps 20, too.
"""


class SeriesExemplars(msgspec.Struct, frozen=True):
    """The exemplars of one series, by slot: the bucket's index, or 0 where there are no buckets.

    `attributes` is the point's own attributes object; holding it prevents the reuse of its `id`,
    the series' key.
    """

    attributes: Any
    by_slot: Mapping[int, Exemplar]


Exemplars: TypeAlias = Mapping[int, SeriesExemplars]
"""Exemplars by `id(point.attributes)`.

A cumulative stream returns the same attributes object at every collection.
"""


class ExemplarStore:
    """The exemplars for scrapes and for the next push.

    Not thread safe: the reader calls it under its lock.
    """

    def __init__(self) -> None:
        self._latest: dict[int, SeriesExemplars] = {}
        self._unpushed: dict[int, SeriesExemplars] = {}

    def absorb(self, points: Iterable[DataPointT]) -> None:
        """Add the exemplars of a whole collection, and remove series that are not in it."""
        points = list(points)
        has_any = self._latest or self._unpushed
        alive = {id(point.attributes) for point in points} if has_any else set()
        latest = {key: kept for key, kept in self._latest.items() if key in alive}
        unpushed = {key: kept for key, kept in self._unpushed.items() if key in alive}
        for point in [point for point in points if point.exemplars]:
            key = id(point.attributes)
            for kept in (latest, unpushed):
                merged = _merge(kept.get(key), point)
                if merged is not None:
                    kept[key] = merged
        self._latest, self._unpushed = latest, unpushed

    @property
    def latest(self) -> Exemplars:
        """The latest exemplar of each series and slot.

        Later collections do not change what was returned.
        """
        return self._latest

    def take_unpushed(self) -> Exemplars:
        """Return the exemplars that arrived since the last call."""
        taken, self._unpushed = self._unpushed, {}
        return taken


def with_exemplars(data: MetricsData, exemplars: Exemplars) -> MetricsData:
    """Return `data` with these exemplars in its points, and no others."""
    return replace(
        data,
        resource_metrics=[
            replace(
                resource_metrics,
                scope_metrics=[
                    replace(
                        scope_metrics, metrics=[_metric_with(metric, exemplars) for metric in scope_metrics.metrics]
                    )
                    for scope_metrics in resource_metrics.scope_metrics
                ],
            )
            for resource_metrics in data.resource_metrics
        ],
    )


def _metric_with(metric: Metric, exemplars: Exemplars) -> Metric:
    points = metric.data.data_points
    if not any(point.exemplars or id(point.attributes) in exemplars for point in points):
        return metric
    replaced = [_point_with(point, exemplars.get(id(point.attributes))) for point in points]
    # The four data classes share this field, which the type checker cannot express in `replace`.
    return replace(metric, data=replace(metric.data, data_points=replaced))  # type: ignore[arg-type]


def _point_with(point: DataPointT, kept: SeriesExemplars | None) -> DataPointT:
    if kept is None:
        return replace(point, exemplars=[]) if point.exemplars else point
    return replace(point, exemplars=list(kept.by_slot.values()))


def _merge(kept: SeriesExemplars | None, point: DataPointT) -> SeriesExemplars | None:
    """Return `kept`, updated with the traced exemplars of `point`."""
    traced = [exemplar for exemplar in point.exemplars if exemplar.trace_id]
    if not traced:
        return kept
    if isinstance(point, ExponentialHistogramDataPoint):
        older = list(kept.by_slot.values()) if kept is not None else []
        newest = sorted([*older, *traced], key=lambda exemplar: exemplar.time_unix_nano)[-EXPONENTIAL_EXEMPLARS:]
        return SeriesExemplars(point.attributes, dict(enumerate(newest)))
    by_slot = dict(kept.by_slot) if kept is not None else {}
    bounds = point.explicit_bounds if isinstance(point, HistogramDataPoint) else ()
    for exemplar in traced:
        by_slot[bisect_left(bounds, exemplar.value)] = exemplar
    return SeriesExemplars(point.attributes, by_slot)
