"""One label set of one instrument, bound to its aggregation in the SDK.

The instrument cleans, copies, filters, sorts and hashes the same labels for each value, which is
four fifths of the cost of a measurement. A bound series passes the value straight to the
aggregation. The instrument itself takes the first value of a series, each value that it may refuse,
and all values where the SDK is not built as expected.
"""

import math
import sys
from collections.abc import Callable, Mapping
from time import time_ns
from typing import Any, NamedTuple

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.metrics import TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal import _view_instrument_match as sdk_match

from otel.traces.context import TracedContext

Write = Callable[[float, Mapping[str, str], Context | None], None]
"""How an instrument records: value, labels, context."""


class _Measurement(NamedTuple):
    """The part of the SDK's `Measurement` that aggregations read, without cleaning the attributes."""

    value: float
    time_unix_nano: int
    attributes: Mapping[str, str]
    context: Context


class Series:
    """One series of `instrument`. Safe from any thread; `may_fall`: values below 0 are allowed."""

    __slots__ = (
        "_aggregations",
        "_bound_to",
        "_consumer",
        "_filter",
        "_instrument",
        "_is_trace_based",
        "_labels",
        "_lowest",
        "_write",
    )

    def __init__(self, instrument: object, write: Write, labels: Mapping[str, str], *, may_fall: bool) -> None:
        self._instrument = instrument
        self._write = write
        self._labels = labels
        # Comparing also refuses NaN, because every comparison with it is false.
        self._lowest = -sys.float_info.max if may_fall else 0.0
        self._consumer: Any = getattr(instrument, "_measurement_consumer", None)
        self._filter: Any = None
        self._is_trace_based = False
        self._aggregations: tuple[Any, ...] = ()
        self._bound_to: object | None = None

    def record(self, value: float, context: Context | None) -> None:
        """Add or record the value; the span of `context` may become its exemplar."""
        bound_to = self._bound_to
        if bound_to is None or bound_to is not self._consumer._reader_storages or not self._lowest <= value < math.inf:  # noqa: SLF001  replaced, never changed in place, when a reader comes or goes
            self._record_unbound(value, context)
            return
        measurement = _Measurement(value, time_ns(), self._labels, context or get_current())
        if type(context) is TracedContext and self._is_trace_based:
            is_sampled = context.is_sampled
        else:
            is_sampled = self._filter.should_sample(*measurement)
        for aggregation in self._aggregations:
            aggregation.aggregate(measurement, is_sampled)

    def _record_unbound(self, value: float, context: Context | None) -> None:
        """Record through the instrument, then find its aggregations."""
        self._write(value, self._labels, context)
        if self._lowest <= value < math.inf:
            self._bind()

    def _bind(self) -> None:
        """Find the aggregations; stay unbound where the SDK replaces them."""
        self._bound_to = None
        try:
            storages = self._consumer._reader_storages  # noqa: SLF001  the SDK has no public bound instruments
            matches = [
                match
                for storage in storages.values()
                for match in storage._get_or_init_view_instrument_match(self._instrument)  # noqa: SLF001  as above
            ]
            if any(match._reset_on_collect for match in matches):  # noqa: SLF001  delta: aggregations are replaced
                return
            self._aggregations = tuple(_aggregation(match, self._labels) for match in matches)
            self._filter = self._consumer._sdk_config.exemplar_filter  # noqa: SLF001  as above
            self._is_trace_based = type(self._filter) is TraceBasedExemplarFilter
        except (AttributeError, TypeError):
            return
        self._bound_to = storages


def _aggregation(match: Any, labels: Mapping[str, str]) -> Any:
    """Return the aggregation that the SDK finds for a label set.

    Beyond the series limit it is the overflow's.
    """
    keys = match._view._attribute_keys  # noqa: SLF001  as above
    attributes = {key: value for key, value in labels.items() if keys is None or key in keys}
    hashed = sdk_match._hash_attributes(attributes)  # noqa: SLF001  as above
    with match._lock:  # noqa: SLF001  as above
        return match._get_or_create_aggregation(hashed, attributes)  # noqa: SLF001  as above
