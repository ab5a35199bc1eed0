"""The points of one stream as columns: a list of attributes, and a list of what was measured.

A collection of a hundred thousand series makes a handful of lists, where the SDK makes as many
points: making these takes most of a collection's time, and the garbage collector stops the process
to look at them. Who wants points gets them, made at the first request.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, overload

import msgspec
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint


class HistogramNumbers(msgspec.Struct, frozen=True, gc=False):
    """What a histogram's series measured since it began.

    The garbage collector need not know of it: it holds numbers alone.
    """

    bounds: tuple[float, ...]
    bucket_counts: tuple[int, ...]
    observations: int
    sum: float
    min: float
    max: float


PointT = TypeVar("PointT", NumberDataPoint, HistogramDataPoint)
ByPosition: TypeAlias = Mapping[int, Sequence[Exemplar]]


class Columns(Sequence[PointT], Generic[PointT]):
    """An immutable sequence of cumulative points, all of one collection.

    `attributes` is the same list as long as no series is added. `items` are values, or
    `HistogramNumbers`; that of an idle series is the same object at each collection. `exemplars` are
    by position. `overflow` is the position of the series beyond the series limit, if there is one.
    """

    __slots__ = ("_point", "_points", "attributes", "exemplars", "items", "overflow", "starts", "time_unix_nano")

    def __init__(
        self,
        attributes: list[Any],
        starts: list[int],
        items: list[Any],
        exemplars: ByPosition,
        *,
        overflow: int | None,
        time_unix_nano: int,
        point: Callable[[Any, int, int, Any, Sequence[Exemplar]], PointT],
    ) -> None:
        self.attributes = attributes
        self.starts = starts
        self.items = items
        self.exemplars = exemplars
        self.overflow = overflow
        self.time_unix_nano = time_unix_nano
        self._point: Callable[[Any, int, int, Any, Sequence[Exemplar]], PointT] = point
        self._points: list[PointT] | None = None

    @overload
    def __getitem__(self, index: int) -> PointT: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PointT]: ...

    def __getitem__(self, index: int | slice) -> PointT | Sequence[PointT]:
        """Return a point or several."""
        if isinstance(index, slice) or self._points is not None:
            return self._all()[index]
        return self._make(range(len(self.items))[index])

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.items)

    def __iter__(self) -> Iterator[PointT]:
        """Return each point."""
        return iter(self._all())

    def _all(self) -> list[PointT]:
        if self._points is None:
            self._points = [self._make(position) for position in range(len(self.items))]
        return self._points

    def _make(self, position: int) -> PointT:
        return self._point(
            self.attributes[position],
            self.starts[position],
            self.time_unix_nano,
            self.items[position],
            self.exemplars.get(position, ()),
        )

    def with_exemplars(self, exemplars: ByPosition) -> "Columns[PointT]":
        """Return the same points with these exemplars and no others."""
        return Columns(
            self.attributes,
            self.starts,
            self.items,
            exemplars,
            overflow=self.overflow,
            time_unix_nano=self.time_unix_nano,
            point=self._point,
        )


def attributes_of(points: Sequence[Any]) -> list[Any]:
    """Return the attributes of a stream's points, in their order."""
    return points.attributes if isinstance(points, Columns) else [point.attributes for point in points]


def items_of(points: Sequence[Any]) -> list[Any]:
    """Return what was measured: values, `HistogramNumbers`, or the points of exponential histograms."""
    return points.items if isinstance(points, Columns) else [item_of(point) for point in points]


def item_of(point: Any) -> Any:
    """Return what one point has measured."""
    if isinstance(point, NumberDataPoint):
        return point.value
    if isinstance(point, HistogramDataPoint):
        counts, bounds = tuple(point.bucket_counts), point.explicit_bounds
        return HistogramNumbers(bounds, counts, point.count, point.sum, point.min, point.max)  # type: ignore[arg-type]  # a tuple, whatever the SDK declares
    return point


def number_point(
    attributes: Any, start_unix_nano: int, time_unix_nano: int, value: float, exemplars: Sequence[Exemplar]
) -> NumberDataPoint:
    """Return the SDK's point of a counter or gauge."""
    return NumberDataPoint(attributes, start_unix_nano, time_unix_nano, value, exemplars)


def histogram_point(
    attributes: Any, start_unix_nano: int, time_unix_nano: int, item: HistogramNumbers, exemplars: Sequence[Exemplar]
) -> HistogramDataPoint:
    """Return the SDK's point of a histogram."""
    return HistogramDataPoint(
        attributes,
        start_unix_nano,
        time_unix_nano,
        item.observations,
        item.sum,
        item.bucket_counts,
        item.bounds,
        item.min,
        item.max,
        exemplars,
    )
