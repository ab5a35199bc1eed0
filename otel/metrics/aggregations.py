"""The SDK's sums and histograms, which give the same point again while a series does not change.

Most series of a process are idle between two collections, and making a point costs many times what
it costs to see that nothing was measured. A reader that gets the same point knows that it renders
as before. Only the time of the point moves: that of the collection, at which the value still held.
What collects here is the cumulative value; tests compare it with what the SDK collects.
"""

import math
import sys
from collections.abc import Callable, Sequence
from operator import add
from typing import Any, Final

from opentelemetry.metrics import Counter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics._internal import aggregation as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation
from opentelemetry.sdk.metrics.view import SumAggregation as SdkSumAggregation

from otel.metrics.columns import HistogramNumbers
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir

_set: Final = object.__setattr__
"""Writes a field of a point, which is frozen for everybody else."""

Reservoirs = Callable[[type[Any]], Callable[..., Any]]
"""Returns the reservoir's constructor for a type of aggregation."""


class _Keeping:
    """Collects for one reader, in front of the SDK's aggregation; recorded to from any thread.

    Of the last two points, the older one is used again where no collection holds it any more: a hundred
    thousand new points at each collection would make the garbage collector stop the process.
    """

    _latest: Any = None
    _spare: Any = None
    _is_kept = False
    _value: Any
    _reservoir: Any
    _collect_exemplars: Callable[[], Sequence[Exemplar]]
    _instrument_aggregation_temporality: AggregationTemporality

    def collect(self, collection_aggregation_temporality: Any, collection_start_nano: int) -> Any:
        """Return the point of this collection, the last one where nothing was measured since."""
        is_known = (
            collection_aggregation_temporality is AggregationTemporality.CUMULATIVE
            and type(self._reservoir) is LatestExemplarReservoir
            and self._instrument_aggregation_temporality is AggregationTemporality.DELTA
        )
        if not is_known:
            self._is_kept = False
            return super().collect(collection_aggregation_temporality, collection_start_nano)  # type: ignore[misc]  # the SDK's
        latest, offered = self._latest, self._reservoir.offered
        # With an exemplar that came without a value the SDK makes a point of its own.
        if self._is_kept and self._value is None and not offered:
            _set(latest, "time_unix_nano", collection_start_nano)
            return latest
        spare = self._spare if self._spare is not None and _references(self) == _UNSHARED else None
        self._spare = None
        point = self._cumulative(spare, collection_start_nano)
        self._spare, self._latest = latest, point
        # The next point is the same while nothing is measured, but has no exemplars.
        self._is_kept = not point.exemplars
        return point

    def _cumulative(self, spare: Any, time_unix_nano: int) -> Any:
        """Return the point of what was measured until now, made of `spare` where there is one."""
        raise NotImplementedError

    def _exemplars(self) -> Sequence[Exemplar]:
        """Return the exemplars since the last collection."""
        return self._collect_exemplars() if self._reservoir.offered else ()


class CumulativeSum(_Keeping, sdk._SumAggregation):  # noqa: SLF001  the SDK has no public aggregation to derive from
    """The sum of one series."""

    def take_recorded(self) -> None:
        """Add what the instrument itself recorded."""
        with self._lock:
            self._take_recorded()

    def _take_recorded(self) -> None:
        if self._value is not None:
            self._previous_value += self._value
            self._value = None

    def _cumulative(self, spare: Any, time_unix_nano: int) -> Any:
        with self._lock:
            self._take_recorded()
            value, exemplars = self._previous_value, self._exemplars()
        if spare is None:
            return NumberDataPoint(self._attributes, self._start_time_unix_nano, time_unix_nano, value, exemplars)
        _set(spare, "time_unix_nano", time_unix_nano)
        _set(spare, "value", value)
        _set(spare, "exemplars", exemplars)
        return spare


class CumulativeHistogram(_Keeping, sdk._ExplicitBucketHistogramAggregation):  # noqa: SLF001  as above
    """The histogram of one series. `numbers` are those of the last collection, None where there are newer ones."""

    numbers: HistogramNumbers | None = None

    def add(self, counts: list[int], total: float, lowest: float, highest: float) -> None:
        """Add what a bound series added up."""
        with self._lock:
            self._add(counts, total, lowest, highest)

    def take_numbers(self) -> HistogramNumbers:
        """Return what was measured until now, with what the instrument itself recorded."""
        with self._lock:
            counts = self._take_recorded()
            if self.numbers is None:
                self.numbers = HistogramNumbers(
                    self._boundaries,
                    counts,
                    sum(counts),
                    self._previous_sum,
                    self._previous_min,
                    self._previous_max,
                )
            return self.numbers

    def _add(self, counts: list[int], total: float, lowest: float, highest: float) -> None:
        before: Any = self._previous_value
        # The garbage collector looks at a tuple of numbers once, and at a list again and again.
        self._previous_value = tuple(counts) if before is None else tuple(map(add, before, counts))  # type: ignore[assignment]  # the SDK declares only what it is at first
        self._previous_sum += total  # type: ignore[assignment]  # likewise
        self._previous_min = min(lowest, self._previous_min)
        self._previous_max = max(highest, self._previous_max)
        self.numbers = None

    def _take_recorded(self) -> tuple[int, ...]:
        """Add what the instrument itself recorded; return the counts of the buckets."""
        if self._value is not None:
            self._add(self._value, self._sum, self._min, self._max)
            self._value = None
            self._sum, self._min, self._max = 0, math.inf, -math.inf
        if self._previous_value is None:
            self._previous_value = tuple(self._get_empty_bucket_counts())  # type: ignore[assignment]  # likewise
        return self._previous_value  # type: ignore[return-value]  # likewise

    def _cumulative(self, spare: Any, time_unix_nano: int) -> Any:
        with self._lock:
            before = self._take_recorded()
            exemplars = self._exemplars()
        bucket_counts, total = before, sum(before)
        if spare is None:
            return HistogramDataPoint(
                self._attributes,
                self._start_time_unix_nano,
                time_unix_nano,
                total,
                self._previous_sum,
                bucket_counts,
                self._boundaries,
                self._previous_min,
                self._previous_max,
                exemplars,
            )
        _set(spare, "time_unix_nano", time_unix_nano)
        _set(spare, "count", total)
        _set(spare, "sum", self._previous_sum)
        _set(spare, "bucket_counts", bucket_counts)
        _set(spare, "min", self._previous_min)
        _set(spare, "max", self._previous_max)
        _set(spare, "exemplars", exemplars)
        return spare


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


def _references(holder: Any) -> int:
    """Return how many references there are to the spare point of an aggregation."""
    return sys.getrefcount(holder._spare)  # noqa: SLF001  an aggregation's own


class _Unshared:
    """Holds a point that nothing else holds."""

    def __init__(self) -> None:
        self._spare = object()


_UNSHARED: Final = _references(_Unshared())
"""The references to a point that only its aggregation holds; how many are counted is the interpreter's affair."""
