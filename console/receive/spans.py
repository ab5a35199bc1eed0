"""A trace request's messages become records of spans.

Source: `opentelemetry/proto/trace/v1/trace.proto`.
"""

from typing import Any, Final

from console.receive.attributes import attributes_of, encoded
from console.receive.origin import origins
from console.receive.promoted import span_columns
from console.receive.refusals import Refusals
from console.receive.times import MAX_NS
from console.store.records import SpanEventRecord, SpanGroup, SpanLinkRecord, SpanRecord
from console.store.values import EMPTY, encode

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_NO_TRACE: Final = bytes(_TRACE_ID_BYTES)
_NO_SPAN: Final = bytes(_SPAN_ID_BYTES)
_MAX_NAME_CHARS: Final = 4_096
_KINDS: Final = range(6)
_STATUS_CODES: Final = range(3)


def span_groups(request: Any, now_ns: int, refusals: Refusals) -> list[SpanGroup]:
    """Return the records of an `ExportTraceServiceRequest`; invalid spans go to `refusals`."""
    groups = []
    for origin, scoped in origins(request.resource_spans, "scope_spans"):
        spans = [record for span in scoped.spans if (record := _record(span, now_ns, refusals)) is not None]
        if spans:
            groups.append(SpanGroup(origin, spans))
    return groups


def _record(span: Any, now_ns: int, refusals: Refusals) -> SpanRecord | None:
    trace_id, span_id = span.trace_id, span.span_id
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    if len(trace_id) != _TRACE_ID_BYTES or trace_id == _NO_TRACE:
        refusals.refuse("a span has no valid trace id")
        return None
    if len(span_id) != _SPAN_ID_BYTES or span_id == _NO_SPAN:
        refusals.refuse("a span has no valid span id")
        return None
    if start_ns > MAX_NS or end_ns > MAX_NS:
        refusals.refuse("a span has a time after the year 2262")
        return None
    # A start that was not set is that of the end, or of the receipt.
    start_ns = start_ns or end_ns or now_ns
    parent, status, attributes = span.parent_span_id, span.status, attributes_of(span.attributes)
    return SpanRecord(
        (
            trace_id,
            span_id,
            parent if len(parent) == _SPAN_ID_BYTES and parent != _NO_SPAN else None,
            span.kind if span.kind in _KINDS else 0,
            start_ns,
            max(0, end_ns - start_ns),
            span.name if len(span.name) <= _MAX_NAME_CHARS else f"{span.name[:_MAX_NAME_CHARS]}…",
            status.code if status.code in _STATUS_CODES else 0,
            *span_columns(attributes),
            status.message,
            span.trace_state,
            span.flags,
            encode(attributes) if attributes else EMPTY,
            span.dropped_attributes_count,
            span.dropped_events_count,
            span.dropped_links_count,
        ),
        tuple(_event(each, start_ns) for each in span.events) if span.events else (),
        tuple(_link(each) for each in span.links) if span.links else (),
    )


def _event(event: Any, start_ns: int) -> SpanEventRecord:
    time_ns = event.time_unix_nano
    if not 0 < time_ns <= MAX_NS:
        time_ns = start_ns
    return SpanEventRecord(time_ns, event.name, encoded(event.attributes), event.dropped_attributes_count)


def _link(link: Any) -> SpanLinkRecord:
    return SpanLinkRecord(
        link.trace_id[:_TRACE_ID_BYTES],
        link.span_id[:_SPAN_ID_BYTES],
        link.trace_state,
        link.flags,
        encoded(link.attributes),
        link.dropped_attributes_count,
    )
