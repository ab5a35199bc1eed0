"""Traces, spans, attempts and log records."""

from typing import Literal, TypeAlias

from console.query.shapes.base import Attributes, Bases, Shape, Window
from console.query.shapes.requests import RequestRow

SpanKind: TypeAlias = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
SpanStatus: TypeAlias = Literal["unset", "ok", "error"]


class TraceRow(Shape, frozen=True):
    """One span that has no parent or whose parent was made by another program; any OpenTelemetry program's."""

    id: str
    trace_id: str
    span_id: str
    at: float
    """The start of the span."""
    service: str | None
    name: str
    kind: SpanKind
    status: SpanStatus
    duration_seconds: float


class TracePage(Shape, frozen=True):
    """GET /api/traces: the newest first."""

    window: Window
    rows: list[TraceRow]
    next_cursor: str | None
    """Pass it as `cursor` for the next older rows; None at the end."""
    searched_to: float | None
    """How far back the filters were applied. A page can have fewer rows than its limit, or none, and a cursor:
    the search stopped after many rows, and the cursor continues it."""
    basis: Bases


class SpanEvent(Shape, frozen=True):
    """An event of a span."""

    name: str
    at: float
    offset_seconds: float
    """Since the start of the trace."""
    attributes: Attributes


class SpanLink(Shape, frozen=True):
    """A link to a span of this or another trace."""

    trace_id: str
    span_id: str
    attributes: Attributes


class Span(Shape, frozen=True):
    """One bar of the waterfall."""

    span_id: str
    parent_id: str | None
    parent_missing: bool
    """Whether it names a parent that is not retained: another program's, or not sampled, or not here yet."""
    depth: int
    """0 for a root. Spans come in the order of the waterfall: a parent, then its children by start."""
    service: str | None
    scope: str | None
    name: str
    kind: SpanKind
    status: SpanStatus
    status_message: str | None
    at: float
    offset_seconds: float
    """Since the start of the trace; exact to the nanosecond before it was made a number of seconds."""
    duration_seconds: float
    attributes: Attributes
    resource: Attributes
    events: list[SpanEvent]
    links: list[SpanLink]
    dropped: int
    """Attributes, events and links that the sender dropped because of its limits."""


class Attempt(Shape, frozen=True):
    """One call to a provider, from its client span and its log line."""

    span_id: str
    number: int | None
    provider: str | None
    model: str | None
    upstream_model: str | None
    status: str | None
    """success, error or cancelled."""
    error_kind: str | None
    fault: str | None
    http_status: int | None
    reason: str | None
    """What the provider wrote about the failure, from the attempt's log line."""
    hint: str | None
    """What to look at first."""
    offset_seconds: float
    duration_seconds: float
    ttft_seconds: float | None
    longest_gap_seconds: float | None
    pool_wait_seconds: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool | None
    cost_usd: float | None
    cost_source: str | None
    reported_cost_usd: float | None
    exposure_usd: float | None
    usd_per_million_tokens: float | None
    """What the attempt cost on average: cost / (input + output tokens) x 1 000 000; None without either."""


class LogRow(Shape, frozen=True):
    """One log record."""

    id: str
    at: float
    severity: str
    """TRACE, DEBUG, INFO, WARN, ERROR, FATAL or empty."""
    severity_number: int
    service: str | None
    logger: str | None
    """The body's `logger`, else the instrumentation scope."""
    message: str
    """The body's `message` where the body is a JSON object, else the body as text."""
    fields: Attributes
    """The other fields of a JSON body."""
    attributes: Attributes
    trace_id: str | None
    span_id: str | None


class ExternalLink(Shape, frozen=True):
    """Where else the trace can be seen."""

    label: str
    url: str


class Trace(Shape, frozen=True):
    """GET /api/traces/{trace_id}."""

    trace_id: str
    at: float
    duration_seconds: float
    """From the first start to the last end."""
    services: list[str]
    request: RequestRow | None
    """The request's own line, where one is retained."""
    spans: list[Span]
    attempts: list[Attempt]
    logs: list[LogRow]
    """The oldest first."""
    links: list[ExternalLink]
    spans_truncated: bool
    logs_truncated: bool
    basis: Bases


class LogPage(Shape, frozen=True):
    """GET /api/logs: the newest first."""

    window: Window
    rows: list[LogRow]
    next_cursor: str | None
    """Pass it as `cursor` for the next older rows; None at the end."""
    searched_to: float | None
    """How far back the filters were applied. A page can have fewer rows than its limit, or none, and a cursor:
    the search stopped after many rows, and the cursor continues it."""
    basis: Bases
