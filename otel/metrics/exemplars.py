"""Remembers the latest exemplars, because every SDK collection empties the reservoirs.

A scrape shows the latest exemplar of each series and bucket, however many scrapers there are. A
push sends those that arrived since the last push. Exemplars without a trace id are dropped, as are
those of series that no longer exist.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    DataPointT,
    ExponentialHistogramDataPoint,
    Metric,
    MetricsData,
)

from otel.metrics.columns import Columns, attributes_of

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

    def absorb(self, streams: Iterable[Sequence[DataPointT]]) -> None:
        """Add the exemplars of a whole collection, and remove series that are not in it."""
        alive: set[int] = set()
        has_any = self._latest or self._unpushed
        found: list[tuple[Any, Sequence[float] | None, Sequence[Exemplar]]] = []
        for points in streams:
            if has_any:
                alive.update([id(each) for each in attributes_of(points)])
            found += _exemplars_of(points)
        latest = {key: kept for key, kept in self._latest.items() if key in alive}
        unpushed = {key: kept for key, kept in self._unpushed.items() if key in alive}
        for attributes, bounds, exemplars in found:
            traced = [exemplar for exemplar in exemplars if exemplar.trace_id]
            if traced:
                key = id(attributes)
                before = latest.get(key)
                latest[key] = merged = _merge(before, attributes, bounds, traced)
                since_push = unpushed.get(key)
                unpushed[key] = merged if since_push is before else _merge(since_push, attributes, bounds, traced)
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
    if isinstance(points, Columns):
        by_position = {
            position: list(exemplars[key].by_slot.values())
            for position, key in enumerate(map(id, points.attributes if exemplars else ()))
            if key in exemplars
        }
        if not by_position and not points.exemplars:
            return metric
        columns = points.with_exemplars(by_position)
        return replace(metric, data=replace(metric.data, data_points=columns))  # type: ignore[arg-type]  # as below
    if not any(point.exemplars or id(point.attributes) in exemplars for point in points):
        return metric
    replaced = [_point_with(point, exemplars.get(id(point.attributes))) for point in points]
    # The four data classes share this field, which the type checker cannot express in `replace`.
    return replace(metric, data=replace(metric.data, data_points=replaced))  # type: ignore[arg-type]


def _point_with(point: DataPointT, kept: SeriesExemplars | None) -> DataPointT:
    if kept is None:
        return replace(point, exemplars=[]) if point.exemplars else point
    return replace(point, exemplars=list(kept.by_slot.values()))


def _exemplars_of(
    points: Sequence[DataPointT],
) -> list[tuple[Any, Sequence[float] | None, Sequence[Exemplar]]]:
    """Return attributes, bounds and exemplars of each series that has new ones.

    Bounds are empty where there is one slot, and None where buckets move.
    """
    if isinstance(points, Columns):
        items, attributes = points.items, points.attributes
        return [
            (attributes[position], getattr(items[position], "bounds", ()), exemplars)
            for position, exemplars in points.exemplars.items()
        ]
    return [
        (
            point.attributes,
            None if isinstance(point, ExponentialHistogramDataPoint) else getattr(point, "explicit_bounds", ()),
            point.exemplars,
        )
        for point in points
        if point.exemplars
    ]


def _merge(
    kept: SeriesExemplars | None, attributes: Any, bounds: Sequence[float] | None, traced: Sequence[Exemplar]
) -> SeriesExemplars:
    """Return `kept`, updated with these exemplars."""
    if bounds is None:
        older = list(kept.by_slot.values()) if kept is not None else []
        newest = sorted([*older, *traced], key=lambda exemplar: exemplar.time_unix_nano)[-EXPONENTIAL_EXEMPLARS:]
        return SeriesExemplars(attributes, dict(enumerate(newest)))
    if not bounds:
        return SeriesExemplars(attributes, {0: traced[-1]})
    by_slot = dict(kept.by_slot) if kept is not None else {}
    for exemplar in traced:
        by_slot[bisect_left(bounds, exemplar.value)] = exemplar
    return SeriesExemplars(attributes, by_slot)
