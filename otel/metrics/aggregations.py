"""The SDK's sums and histograms, which give the same point again while a series does not change.

Most series of a process are idle between two collections, and making a point costs many times what
it costs to see that nothing was measured. A reader that gets the same point knows that it renders
as before. Only the time of the point moves: that of the collection, at which the value still held.
"""

from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import Counter
from opentelemetry.sdk.metrics._internal import aggregation as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation
from opentelemetry.sdk.metrics.view import SumAggregation as SdkSumAggregation

from otel.metrics.exemplar_reservoir import LatestExemplarReservoir

Reservoirs = Callable[[type[Any]], Callable[..., Any]]
"""Returns the reservoir's constructor for a type of aggregation."""


class _Keeping:
    """Collects for one reader, in front of the SDK's aggregation; recorded to from any thread."""

    _kept: Any = None
    _value: Any
    _reservoir: Any

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the point of this collection, the last one where nothing was measured since."""
        kept = self._kept
        # With an exemplar that came without a value the SDK makes a point of its own.
        if kept is not None and self._value is None and not self._reservoir.offered:
            object.__setattr__(kept, "time_unix_nano", collection_start_nano)
            return kept
        point = super().collect(collection_aggregation_temporality, collection_start_nano)  # type: ignore[misc]  # the SDK's
        self._kept = point if _may_be_kept(point, self, collection_aggregation_temporality) else None
        return point


class CumulativeSum(_Keeping, sdk._SumAggregation):  # noqa: SLF001  the SDK has no public aggregation to derive from
    """The sum of one series."""


class CumulativeHistogram(_Keeping, sdk._ExplicitBucketHistogramAggregation):  # noqa: SLF001  as above
    """The histogram of one series."""


class SumAggregation(SdkSumAggregation):
    """Makes `CumulativeSum`, for a view of a synchronous instrument."""

    def _create_aggregation(
        self, instrument: Any, attributes: Any, reservoir_factory: Reservoirs, start_time_unix_nano: int
    ) -> Any:
        is_monotonic, reservoirs = isinstance(instrument, Counter), reservoir_factory(CumulativeSum)
        return CumulativeSum(attributes, is_monotonic, AggregationTemporality.DELTA, start_time_unix_nano, reservoirs)


class HistogramAggregation(ExplicitBucketHistogramAggregation):
    """Makes `CumulativeHistogram`, for a view of a histogram."""

    def _create_aggregation(
        self,
        instrument: Any,  # noqa: ARG002  the SDK's signature
        attributes: Any,
        reservoir_factory: Reservoirs,
        start_time_unix_nano: int,
    ) -> Any:
        reservoirs = reservoir_factory(CumulativeHistogram)
        return CumulativeHistogram(
            attributes, AggregationTemporality.DELTA, start_time_unix_nano, reservoirs, self._boundaries
        )


def _may_be_kept(
    point: NumberDataPoint | HistogramDataPoint | None, aggregation: Any, temporality: AggregationTemporality
) -> bool:
    """Whether the next point is the same while nothing is measured: cumulative, without exemplars."""
    return (
        point is not None
        and not point.exemplars
        and temporality is AggregationTemporality.CUMULATIVE
        and type(aggregation._reservoir) is LatestExemplarReservoir  # noqa: SLF001  as above
    )
