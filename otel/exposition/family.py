"""Groups the streams of a collection under their exposed names, in catalogue order.

It reads streams and never points, so its cost does not grow with the number of series.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TypeAlias

import msgspec
from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from otel.catalogue.spec import Category, MetricSpec
from otel.exposition.syntax import metric_name, unit_word
from otel.metrics.reader import metrics_of

Point: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint


class FamilyType(StrEnum):
    """Types, as text 0.0.4 declares them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric family.

    `labels` are the documented keys; `unit` is the word that its name may end with, such as
    `seconds`.
    """

    name: str
    type: FamilyType
    help: str
    unit: str
    labels: tuple[str, ...]
    categories: tuple[Category, ...]
    points: Sequence[Point]

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names of its samples, the same in both formats."""
        if self.type is FamilyType.HISTOGRAM:
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)


class FamilyIndex:
    """Turns collections into families, with order, help, labels and categories of the catalogue."""

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._specs = {spec.stream_name: spec for spec in specs}
        self._order = {name: position for position, name in enumerate(self._specs)}

    def families(self, data: MetricsData) -> list[Family]:
        """Return the families with points: those of the catalogue in its order, others by name.

        Streams with one exposed name share a family. Where their types differ, the first stream
        decides and the others are omitted: a second TYPE for a name would make the whole exposition
        invalid.
        """
        streams: dict[str, list[Metric]] = {}
        for metric in metrics_of(data):
            if metric.data.data_points:
                name = metric.name if metric.name in self._specs else metric_name(metric.name)
                streams.setdefault(name, []).append(metric)
        names = sorted(streams, key=lambda name: (self._order.get(name, len(self._order)), name))
        return [self._family(name, streams[name]) for name in names]

    def _family(self, name: str, streams: list[Metric]) -> Family:
        first = streams[0]
        type_ = _type_of(first)
        spec = self._specs.get(name)
        points = (
            first.data.data_points
            if len(streams) == 1
            else [point for stream in streams if _type_of(stream) is type_ for point in stream.data.data_points]
        )
        return Family(
            name=spec.name if spec else name,
            type=type_,
            help=spec.help if spec else (first.description or "").strip() or _no_help(first),
            unit=unit_word(spec.unit if spec else first.unit or ""),
            labels=spec.label_keys if spec and not spec.convention else (),
            categories=spec.categories if spec else (),
            points=points,
        )


def _no_help(metric: Metric) -> str:
    return f"Instrument {metric.name}, which is not catalogued."


def _type_of(metric: Metric) -> FamilyType:
    if isinstance(metric.data, Histogram | ExponentialHistogram):
        return FamilyType.HISTOGRAM
    if isinstance(metric.data, Sum) and metric.data.is_monotonic:
        return FamilyType.COUNTER
    return FamilyType.GAUGE
