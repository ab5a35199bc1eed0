"""One trace: its waterfall, the attempts of its request, its log lines."""

from typing import Final
from urllib.parse import quote

import msgspec

from console.query.attempts import attempts_of
from console.query.attribute_values import safe_attributes
from console.query.log_rows import fields_of, log_row
from console.query.requests import request_row
from console.query.shapes.base import Bases, Basis
from console.query.shapes.traces import ExternalLink, Span, SpanEvent, SpanKind, SpanLink, SpanStatus, Trace
from console.query.times import SECOND, to_seconds
from console.query.view import View
from console.query.waterfall import Bar, waterfall
from console.store.read_budget import ReadBudget
from console.store.read_logs import read_requests, read_trace_logs
from console.store.read_traces import read_trace

MAX_SPANS: Final = 2_000
MAX_LOGS: Final = 500

KINDS: Final[tuple[SpanKind, ...]] = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES: Final[tuple[SpanStatus, ...]] = ("unset", "ok", "error")

BASIS: Final[Bases] = {
    "spans": Basis(source="spans", window_seconds=None, formula="every retained span of the trace"),
    "duration_seconds": Basis(source="spans", window_seconds=None, formula="last end - first start"),
    "attempts": Basis(source="client spans and the lines of gatewayz.attempt", window_seconds=None),
    "attempts.usd_per_million_tokens": Basis(
        source="client spans", window_seconds=None, formula="cost / (input + output tokens) x 1 000 000"
    ),
    "request": Basis(source="request log", window_seconds=None),
    "logs": Basis(source="log records", window_seconds=None, formula="those with the trace id"),
}


class LinkTemplates(msgspec.Struct, frozen=True, kw_only=True):
    """Where else traces can be seen; `{trace_id}` is replaced. None: nowhere."""

    grafana: str | None = None
    tempo: str | None = None


def read_whole_trace(view: View, trace_id: str, links: LinkTemplates) -> Trace | None:
    """Return a trace by its 32 hex digits; None where neither a span nor a log record of it is retained."""
    of_spans, of_logs = ReadBudget(), ReadBudget()
    spans = read_trace(view.connection, trace_id, MAX_SPANS + 1, of_spans)
    logs = read_trace_logs(view.connection, trace_id, MAX_LOGS + 1, of_logs)
    if not spans and not logs:
        return None
    shown, lines = spans[:MAX_SPANS], logs[:MAX_LOGS]
    began_ns = min(span.start_ns for span in shown) if shown else lines[0].time_ns
    ended_ns = max((span.start_ns + span.duration_ns for span in shown), default=began_ns)
    requests = read_requests(view.connection, (record.id for record in lines))
    services = {span.resource.service_name for span in shown} | {record.resource.service_name for record in lines}
    return Trace(
        trace_id=trace_id,
        at=to_seconds(began_ns),
        duration_seconds=(ended_ns - began_ns) / SECOND,
        services=sorted(name for name in services if name is not None),
        request=request_row(view, requests[0]) if requests else None,
        spans=[_span(bar, began_ns) for bar in waterfall(shown)],
        attempts=attempts_of(shown, lines, [fields_of(record) for record in lines], began_ns),
        logs=[log_row(record) for record in lines],
        links=_links(links, trace_id),
        spans_truncated=len(spans) > MAX_SPANS or of_spans.is_spent,
        logs_truncated=len(logs) > MAX_LOGS or of_logs.is_spent,
        basis=BASIS,
    )


def _links(templates: LinkTemplates, trace_id: str) -> list[ExternalLink]:
    named = (("Grafana", templates.grafana), ("Tempo", templates.tempo))
    return [
        ExternalLink(label=label, url=url.replace("{trace_id}", quote(trace_id, safe="")))
        for label, url in named
        if url is not None
    ]


def span_kind(number: int) -> SpanKind:
    """Return the name of OTLP's number."""
    return KINDS[number] if 0 <= number < len(KINDS) else "unspecified"


def span_status(code: int) -> SpanStatus:
    """Return the name of OTLP's code."""
    return STATUSES[code] if 0 <= code < len(STATUSES) else "unset"


def _span(bar: Bar, began_ns: int) -> Span:
    span = bar.span
    return Span(
        span_id=span.span_id,
        parent_id=span.parent_span_id,
        parent_missing=bar.parent_missing,
        depth=bar.depth,
        service=span.resource.service_name,
        scope=span.scope_name or None,
        name=span.name,
        kind=span_kind(span.kind),
        status=span_status(span.status_code),
        status_message=span.status_message or None,
        at=to_seconds(span.start_ns),
        offset_seconds=(span.start_ns - began_ns) / SECOND,
        duration_seconds=span.duration_ns / SECOND,
        attributes=safe_attributes(span.attributes),
        resource=safe_attributes(span.resource.attributes),
        events=[
            SpanEvent(
                name=event.name,
                at=to_seconds(event.time_ns),
                offset_seconds=(event.time_ns - began_ns) / SECOND,
                attributes=safe_attributes(event.attributes),
            )
            for event in span.events
        ],
        links=[
            SpanLink(trace_id=link.trace_id, span_id=link.span_id, attributes=safe_attributes(link.attributes))
            for link in span.links
        ],
        dropped=span.dropped_attributes + span.dropped_events + span.dropped_links,
    )
