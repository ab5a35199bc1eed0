"""One label set of one instrument, bound to its aggregations in the SDK.

The instrument cleans, copies, filters, sorts and hashes the same labels for each value, and the
aggregation takes a lock for each, which together is nine tenths of the cost of a measurement. A
bound series adds values up in a delta, which is passed on when a reader collects. The
instrument itself takes each value that it may refuse, and all values where the SDK is not built as
expected.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from types import SimpleNamespace
from typing import Any, Final, Generic

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal import _view_instrument_match as sdk_match
from opentelemetry.trace import get_current_span

from otel.metrics.deltas import AnyDelta
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir
from otel.metrics.pending import Measured, Pending
from otel.metrics.streams import collect_as_columns
from otel.traces.context import TracedContext

Write = Callable[[float, Mapping[str, str], Context | None], None]
"""How an instrument records: value, labels, context."""

Values = Sequence[float | None]
Refused = list[tuple[float, Measured]]


_UNKNOWN: Final = SimpleNamespace(_reader_storages=None)
"""Stands for the consumer of an SDK which is not built as expected: nothing is ever bound to it."""


class Series(Generic[AnyDelta]):
    """One series of `instrument`. Used under the lock of `pending`.

    `may_fall`: values below 0 are allowed. A subclass adds values up.
    """

    __slots__ = (
        "_aggregations",
        "_bound_to",
        "_boundaries",
        "_consumer",
        "_delta",
        "_filter",
        "_instrument",
        "_is_trace_based",
        "_labels",
        "_lowest",
        "_pending",
        "_period",
        "_spare",
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
        self._boundaries: tuple[float, ...] = ()
        self._bound_to: object = None
        self._period = -1
        self._delta: AnyDelta = self._new_delta()
        self._spare: AnyDelta = self._new_delta()

    def record(self, value: float, context: Context | None) -> None:
        """Add or record the value; the span of `context` may become its exemplar."""
        is_valid = self._lowest <= value < math.inf
        if is_valid and self._bound_to is not self._consumer._reader_storages:  # noqa: SLF001  replaced, never changed in place, when a reader comes or goes
            self._bind()
        if is_valid and self._aggregations:
            self._begin()
            slot = self._add(value)
            if not self._is_trace_based:
                self._offer(slot, value, context or get_current())
            elif type(context) is TracedContext:
                if context.exemplar is not None:
                    self._delta.exemplars[slot] = (value, time_ns(), self._labels, context.exemplar)
            else:
                context = context or get_current()
                if context:  # without a span there is nothing to take
                    self._offer(slot, value, context)
        else:
            self._write(value, self._labels, context)

    def record_each(self, values: Values, events: Sequence[Measured], *, are_sampled: bool = False) -> None:
        """Add or record the value of each event, except None; raises the first error after the last value.

        `are_sampled`: each event has a sampled span.
        """
        ordered = _in_order(values, self._lowest) if are_sampled else ()
        if ordered and self._begins_here():
            self._add_all(values, ordered, events)
            return
        failed: Exception | None = None
        for value, event in self._add_each(values, events):
            try:
                self.record(value, event[3])
            except Exception as error:  # noqa: BLE001  raised below: one value must not cost the others
                failed = failed or error
        if failed is not None:
            raise failed

    def _add_all(self, values: Sequence[Any], ordered: Sequence[Any], events: Sequence[Measured]) -> None:
        """Add values that are all numbers, of events with sampled spans, to the delta; a loop over them costs three times as much.

        `ordered` are the values from the lowest to the highest.
        """
        raise NotImplementedError

    def _add_each(self, values: Values, events: Sequence[Measured]) -> Refused:
        """Add the values to the delta, except None; return those that cannot be added here.

        The delta begins with the first value: a series without any value has no point.
        """
        raise NotImplementedError

    def _begins_here(self) -> bool:
        """Whether values with sampled spans are added up here; if so, begin the delta of this period."""
        if self._bound_to is not self._consumer._reader_storages:  # noqa: SLF001  as above
            self._bind()
        if not (self._aggregations and self._is_trace_based):
            return False
        self._begin()
        return True

    def _begin(self) -> None:
        """Begin the delta of this period, where it has not begun."""
        pending = self._pending
        if self._period != pending.period:
            self._period = pending.period
            delta = self._spare
            if not (delta.is_empty and delta.aggregations is self._aggregations):
                delta = self._new_delta()
            delta.is_empty = False
            self._spare, self._delta = self._delta, delta
            pending.deltas.append(delta)

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
                for match in matches:
                    collect_as_columns(match)
                self._aggregations = aggregations
                # Both now, not one when the series changes again: the garbage collector looks at what is new.
                self._delta, self._spare = self._new_delta(), self._new_delta()
        except (AttributeError, TypeError):
            return

    def _fits(self, aggregations: Sequence[Any]) -> bool:
        """Whether the values can be added up here."""
        return all(
            type(each._reservoir) is LatestExemplarReservoir and type(each) is self.aggregation_type  # noqa: SLF001  as above
            for each in aggregations
        )


def _in_order(values: Sequence[Any], lowest: float) -> Sequence[Any]:
    """Return the values in order, none where not all are numbers from `lowest` on: one that is infinite or NaN makes the sum so.

    To sort floats costs a fraction of finding the lowest and the highest.
    """
    try:
        ordered = sorted(values)
        return ordered if lowest <= ordered[0] and math.isfinite(sum(values)) else ()
    except (TypeError, OverflowError, IndexError):  # no number, an integer larger than any float, or no value
        return ()


def _aggregation(match: Any, labels: Mapping[str, str]) -> Any:
    """Return the aggregation that the SDK finds for a label set.

    Beyond the series limit it is the overflow's.
    """
    keys = match._view._attribute_keys  # noqa: SLF001  as above
    attributes = {key: value for key, value in labels.items() if keys is None or key in keys}
    hashed = sdk_match._hash_attributes(attributes)  # noqa: SLF001  as above
    with match._lock:  # noqa: SLF001  as above
        return match._get_or_create_aggregation(hashed, attributes)  # noqa: SLF001  as above
