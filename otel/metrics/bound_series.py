"""One label set of one instrument, bound to its aggregations in the SDK.

The instrument cleans, copies, filters, sorts and hashes the same labels for each value, and the
aggregation takes a lock for each, which together is nine tenths of the cost of a measurement. A
bound series adds values up in a delta, which is passed on when a reader collects. The
instrument itself takes each value that it may refuse, and all values where the SDK is not built as
expected.
"""

import math
import sys
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any, Final, Generic, TypeVar

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal import _view_instrument_match as sdk_match
from opentelemetry.trace import get_current_span

from otel.metrics.aggregations import CumulativeHistogram, CumulativeSum
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir, Offered
from otel.metrics.pending import Pending
from otel.traces.context import TracedContext

Write = Callable[[float, Mapping[str, str], Context | None], None]
"""How an instrument records: value, labels, context."""


class _UnknownConsumer:
    """Stands for that of an SDK which is not built as expected: nothing is ever bound to it."""

    _reader_storages: Final = None


_UNKNOWN: Final = _UnknownConsumer()


class SumDelta:
    """What a counter's series added up between two collections; `exemplars` by slot."""

    __slots__ = ("aggregations", "exemplars", "total")

    def __init__(self, aggregations: tuple[Any, ...]) -> None:
        self.aggregations = aggregations
        self.exemplars: dict[int, Offered] = {}
        self.total: float = 0

    def pass_on(self) -> None:
        """Move it into the aggregations."""
        total = self.total
        for each in self.aggregations:
            with each._lock:  # noqa: SLF001  the SDK has no public bound instruments
                each._value = total if each._value is None else each._value + total  # noqa: SLF001  as above
            if self.exemplars:
                each._reservoir.put(self.exemplars)  # noqa: SLF001  as above


class HistogramDelta:
    """What a histogram's series recorded between two collections; `exemplars` by bucket."""

    __slots__ = ("aggregations", "counts", "exemplars", "highest", "lowest", "sum")

    def __init__(self, aggregations: tuple[Any, ...], buckets: int) -> None:
        self.aggregations = aggregations
        self.exemplars: dict[int, Offered] = {}
        self.counts = [0] * buckets
        self.sum: float = 0
        self.lowest, self.highest = math.inf, -math.inf

    def pass_on(self) -> None:
        """Move it into the aggregations."""
        for each in self.aggregations:
            with each._lock:  # noqa: SLF001  as above
                counts = each._value  # noqa: SLF001  as above
                each._value = (  # noqa: SLF001  as above
                    list(self.counts)
                    if counts is None
                    else [own + added for own, added in zip(self.counts, counts, strict=True)]
                )
                each._sum += self.sum  # noqa: SLF001  as above
                each._min = min(each._min, self.lowest)  # noqa: SLF001  as above
                each._max = max(each._max, self.highest)  # noqa: SLF001  as above
            if self.exemplars:
                each._reservoir.put(self.exemplars)  # noqa: SLF001  as above


AnyDelta = TypeVar("AnyDelta", SumDelta, HistogramDelta)


class Series(Generic[AnyDelta]):
    """One series of `instrument`. Used under the lock of `pending`.

    `may_fall`: values below 0 are allowed. A subclass adds values up.
    """

    __slots__ = (
        "_aggregations",
        "_bound_to",
        "_consumer",
        "_delta",
        "_filter",
        "_instrument",
        "_is_trace_based",
        "_labels",
        "_lowest",
        "_pending",
        "_period",
        "_write",
    )

    aggregation_type: type

    def __init__(
        self, pending: Pending, instrument: object, write: Write, labels: Mapping[str, str], *, may_fall: bool
    ) -> None:
        self._pending = pending
        self._instrument = instrument
        self._write = write
        self._labels = labels
        # Comparing also refuses NaN, because every comparison with it is false.
        self._lowest = -sys.float_info.max if may_fall else 0.0
        self._consumer: Any = getattr(instrument, "_measurement_consumer", _UNKNOWN)
        self._filter: Any = None
        self._is_trace_based = False
        self._aggregations: tuple[Any, ...] = ()
        self._bound_to: object = None
        self._period = -1
        self._delta: AnyDelta = self._new_delta()

    def record(self, value: float, context: Context | None) -> None:
        """Add or record the value; the span of `context` may become its exemplar."""
        is_valid = self._lowest <= value < math.inf
        if is_valid and self._bound_to is not self._consumer._reader_storages:  # noqa: SLF001  replaced, never changed in place, when a reader comes or goes
            self._bind()
        if is_valid and self._aggregations:
            pending = self._pending
            if self._period != pending.period:
                self._period = pending.period
                self._delta = self._new_delta()
                pending.deltas.append(self._delta)
            slot = self._add(value)
            if not self._is_trace_based:
                self._offer(slot, value, context or get_current())
            elif type(context) is TracedContext:
                if context.is_sampled:
                    self._delta.exemplars[slot] = (value, time_ns(), self._labels, context.span_context)
            else:
                context = context or get_current()
                if context:  # without a span there is nothing to take
                    self._offer(slot, value, context)
        else:
            self._write(value, self._labels, context)

    def _offer(self, slot: int, value: float, context: Context) -> None:
        """Take an exemplar where the SDK's filter does."""
        now_ns = time_ns()
        if self._filter.should_sample(value, now_ns, self._labels, context):
            span = get_current_span(context).get_span_context()
            self._delta.exemplars[slot] = (value, now_ns, self._labels, span)

    def _new_delta(self) -> AnyDelta:
        """Return an empty delta for the aggregations of now."""
        raise NotImplementedError

    def _add(self, value: float) -> int:
        """Add a value to the delta; returns the slot of its exemplar."""
        raise NotImplementedError

    def _bind(self) -> None:
        """Find the aggregations; without any where the SDK replaces them or is not built as expected.

        What was measured before still goes to the earlier ones.
        """
        self._bound_to = self._consumer._reader_storages  # noqa: SLF001  as above
        self._aggregations = ()
        self._period = -1
        try:
            matches = [
                match
                for storage in self._consumer._reader_storages.values()  # noqa: SLF001  as above
                for match in storage._get_or_init_view_instrument_match(self._instrument)  # noqa: SLF001  as above
            ]
            if any(match._reset_on_collect for match in matches):  # noqa: SLF001  delta: aggregations are replaced
                return
            aggregations = tuple(_aggregation(match, self._labels) for match in matches)
            self._filter = self._consumer._sdk_config.exemplar_filter  # noqa: SLF001  as above
            self._is_trace_based = type(self._filter) is TraceBasedExemplarFilter
            if self._fits(aggregations):
                self._aggregations = aggregations
        except (AttributeError, TypeError):
            return

    def _fits(self, aggregations: Sequence[Any]) -> bool:
        """Whether the values can be added up here."""
        return all(
            type(each._reservoir) is LatestExemplarReservoir and type(each) is self.aggregation_type  # noqa: SLF001  as above
            for each in aggregations
        )


class SumSeries(Series[SumDelta]):
    """A series of a counter."""

    __slots__ = ()

    aggregation_type = CumulativeSum

    def _new_delta(self) -> SumDelta:
        return SumDelta(self._aggregations)

    def _add(self, value: float) -> int:
        self._delta.total += value
        return 0


class HistogramSeries(Series[HistogramDelta]):
    """A series of a histogram with explicit buckets, the same in all aggregations."""

    __slots__ = ("_boundaries",)

    aggregation_type = CumulativeHistogram

    def __init__(
        self, pending: Pending, instrument: object, write: Write, labels: Mapping[str, str], *, may_fall: bool
    ) -> None:
        self._boundaries: tuple[float, ...] = ()
        super().__init__(pending, instrument, write, labels, may_fall=may_fall)

    def _fits(self, aggregations: Sequence[Any]) -> bool:
        if not aggregations or not super()._fits(aggregations):
            return False
        self._boundaries = aggregations[0]._boundaries  # noqa: SLF001  as above
        return all(each._boundaries == self._boundaries for each in aggregations)  # noqa: SLF001  as above

    def _new_delta(self) -> HistogramDelta:
        return HistogramDelta(self._aggregations, len(self._boundaries) + 1)

    def _add(self, value: float) -> int:
        delta = self._delta
        slot = bisect_left(self._boundaries, value)
        delta.counts[slot] += 1
        delta.sum += value
        if value < delta.lowest:  # noqa: PLR1730  a call of `min` costs three times as much
            delta.lowest = value
        if value > delta.highest:  # noqa: PLR1730
            delta.highest = value
        return slot


def _aggregation(match: Any, labels: Mapping[str, str]) -> Any:
    """Return the aggregation that the SDK finds for a label set.

    Beyond the series limit it is the overflow's.
    """
    keys = match._view._attribute_keys  # noqa: SLF001  as above
    attributes = {key: value for key, value in labels.items() if keys is None or key in keys}
    hashed = sdk_match._hash_attributes(attributes)  # noqa: SLF001  as above
    with match._lock:  # noqa: SLF001  as above
        return match._get_or_create_aggregation(hashed, attributes)  # noqa: SLF001  as above
