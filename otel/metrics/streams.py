"""Collects the series of one stream as columns, in place of the SDK's loop that makes a point of each.

The series are still the SDK's aggregations, so that what the instrument itself records is in them,
too. Tests compare collections with those of the SDK.
"""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import AggregationTemporality

from otel.metrics.aggregations import CumulativeSum
from otel.metrics.columns import Columns, histogram_point, number_point
from otel.metrics.reader import OVERFLOW_ATTRIBUTE


def collect_as_columns(match: Any) -> None:
    """Let the SDK collect a stream, which it calls a match, as columns.

    All aggregations of the stream are `CumulativeSum`, or all are `CumulativeHistogram`.
    """
    if type(getattr(match.collect, "__self__", None)) is not Stream:
        match.collect = Stream(match).collect


class Stream:
    """One stream's series, in the order of their first measurement. One thread at a time collects."""

    def __init__(self, match: Any) -> None:
        self._match = match
        self._collect_points = match.collect
        self._aggregations: list[Any] = []
        self._attributes: list[Any] = []
        self._starts: list[int] = []
        self._overflow: int | None = None

    def collect(
        self, collection_aggregation_temporality: AggregationTemporality, collection_start_nanos: int
    ) -> Sequence[Any] | None:
        """Return the points of this collection, None where there are none."""
        if collection_aggregation_temporality is not AggregationTemporality.CUMULATIVE:
            points: Sequence[Any] | None = self._collect_points(
                collection_aggregation_temporality, collection_start_nanos
            )
            return points
        self._take_new()
        aggregations = self._aggregations
        if not aggregations:
            return None
        is_sum = type(aggregations[0]) is CumulativeSum
        items = _values(aggregations) if is_sum else _numbers(aggregations)
        exemplars = {
            position: each._collect_exemplars()  # noqa: SLF001  the SDK has no public way to collect columns
            for position, each in enumerate(aggregations)
            if each._reservoir.offered  # noqa: SLF001  as above
        }
        return Columns(
            self._attributes,
            self._starts,
            items,
            exemplars,
            overflow=self._overflow,
            time_unix_nano=collection_start_nanos,
            point=number_point if is_sum else histogram_point,
        )

    def _take_new(self) -> None:
        """Take the series that were added since the last collection; none is ever removed."""
        with self._match._lock:  # noqa: SLF001  as above
            known = self._match._attributes_aggregation  # noqa: SLF001  as above
            if len(known) == len(self._aggregations):
                return
            aggregations = list(known.values())
        new = aggregations[len(self._aggregations) :]
        self._aggregations = aggregations
        self._attributes = [*self._attributes, *(each._attributes for each in new)]  # noqa: SLF001  as above
        self._starts = [*self._starts, *(each._start_time_unix_nano for each in new)]  # noqa: SLF001  as above
        for position, attributes in enumerate(self._attributes):
            if attributes and OVERFLOW_ATTRIBUTE in attributes:
                self._overflow = position


def _values(aggregations: Sequence[Any]) -> list[Any]:
    for each in aggregations:
        if each._value is not None:  # noqa: SLF001  as above
            each.take_recorded()
    return [each._previous_value for each in aggregations]  # noqa: SLF001  as above


def _numbers(aggregations: Sequence[Any]) -> list[Any]:
    return [
        each.numbers if each._value is None and each.numbers is not None else each.take_numbers()  # noqa: SLF001  as above
        for each in aggregations
    ]
