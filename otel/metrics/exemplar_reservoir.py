"""Keeps the latest exemplar of each bucket, or of a sum, until the next collection.

It stores the ids of the span and not the context, which would keep a whole request alive. The SDK's
own reservoir keeps a random exemplar of a sum.
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Exemplar, ExemplarReservoir
from opentelemetry.trace import SpanContext, get_current_span

from otel.traces.context import TracedContext

Offered: TypeAlias = tuple[float, int, Mapping[str, Any] | None, SpanContext]
"""Value, Unix nanoseconds, attributes, span."""


class LatestExemplarReservoir(ExemplarReservoir):
    """The exemplars of one series. Without `boundaries` there is one slot. Safe from any thread."""

    def __init__(self, boundaries: Sequence[float] = (), **_: object) -> None:
        self._boundaries = boundaries
        self.offered: dict[int, Offered] = {}
        """What waits for the collection, by slot."""
        self._lock = threading.Lock()

    def offer(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> None:
        """Replace the exemplar of the value's bucket."""
        if type(context) is TracedContext:
            span_context = context.span_context
        else:
            span_context = get_current_span(context).get_span_context()
        slot = bisect_left(self._boundaries, value)
        with self._lock:
            self.offered[slot] = (value, time_unix_nano, attributes, span_context)

    def put(self, offered: Mapping[int, Offered]) -> None:
        """Replace the exemplars of several buckets, by the bucket's index."""
        with self._lock:
            self.offered.update(offered)

    def collect(self, point_attributes: Any) -> list[Exemplar]:
        """Return and remove the exemplars, in the order of the buckets."""
        with self._lock:
            slots, self.offered = self.offered, {}
        return [_exemplar(*slots[slot], point_attributes or {}) for slot in sorted(slots)]


def _exemplar(
    value: float,
    time_unix_nano: int,
    attributes: Mapping[str, Any] | None,
    span_context: SpanContext,
    point_attributes: Mapping[str, Any],
) -> Exemplar:
    """Return an exemplar with only the attributes that its point lacks, by the specification."""
    further = {key: each for key, each in (attributes or {}).items() if key not in point_attributes}
    has_span = span_context.is_valid
    return Exemplar(
        further,
        value,
        time_unix_nano,
        span_context.span_id if has_span else None,
        span_context.trace_id if has_span else None,
    )
