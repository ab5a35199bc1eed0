"""RESERVOIR: keeps the latest exemplar of each bucket, or of a sum, until the next collection takes it.

Comes in: measurements that the exemplar filter let through. Goes out: exemplars with the ids of
their span. It keeps no context, which would keep a whole request alive. The SDK's own reservoir
keeps a random one of a sum; `otel/metrics/exemplars.py` keeps the latest anyway.
"""

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Exemplar, ExemplarReservoir
from opentelemetry.trace import SpanContext, get_current_span

from otel.traces.context import TracedContext


class LatestExemplarReservoir(ExemplarReservoir):
    """One series' exemplars. Without `boundaries` it has one slot. Safe from any thread."""

    def __init__(self, boundaries: Sequence[float] = (), **_: object) -> None:
        self._boundaries = boundaries
        self._slots: dict[int, tuple[float, int, Mapping[str, Any] | None, SpanContext]] = {}
        self._lock = threading.Lock()

    def offer(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> None:
        """Put the measurement in the place of the one before."""
        if type(context) is TracedContext:
            span_context = context.span_context
        else:
            span_context = get_current_span(context).get_span_context()
        slot = bisect_left(self._boundaries, value)
        with self._lock:
            self._slots[slot] = (value, time_unix_nano, attributes, span_context)

    def collect(self, point_attributes: Any) -> list[Exemplar]:
        """Hand over what is kept, in the order of the buckets."""
        with self._lock:
            slots, self._slots = self._slots, {}
        return [_exemplar(*slots[slot], point_attributes or {}) for slot in sorted(slots)]


def _exemplar(
    value: float,
    time_unix_nano: int,
    attributes: Mapping[str, Any] | None,
    span_context: SpanContext,
    point_attributes: Mapping[str, Any],
) -> Exemplar:
    """Return an exemplar with those attributes that the point does not have, as the specification wants."""
    further = {key: each for key, each in (attributes or {}).items() if key not in point_attributes}
    has_span = span_context.is_valid
    return Exemplar(
        further,
        value,
        time_unix_nano,
        span_context.span_id if has_span else None,
        span_context.trace_id if has_span else None,
    )
