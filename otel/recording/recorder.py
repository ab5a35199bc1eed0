"""The recorder: the one place where an event becomes measurements, span ends and a log line.

Handlers run in the thread that records the event. What they raise never reaches the application:
each failure is counted, and the first one is logged.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, format_trace_id, get_current_span

from otel.catalogue import semconv
from otel.events import (
    AnomalyBegan,
    AttemptFinished,
    AttemptStarted,
    BreakerChanged,
    CacheLookedUp,
    CallerIdentified,
    CallFinished,
    Event,
    EventLoopLagged,
    ExceptionMapped,
    LedgerRowsDropped,
    OverheadMeasured,
    ProbeFinished,
    QueryFinished,
    RateLimited,
    RequestFinished,
    RequestReceived,
)
from otel.labels import LabelBounds
from otel.logs.anomaly_line import LOGGER as ANOMALY_LOGGER
from otel.logs.anomaly_line import anomaly_fields, anomaly_message
from otel.logs.request_line import LOGGER, RequestLines, RequestSummary
from otel.logs.writer import LogWriter
from otel.metrics.measurements import Measurements
from otel.recording.guard import Guard
from otel.recording.known_outcomes import KnownOutcomes
from otel.traces.context import CurrentContext, TracedContext
from otel.traces.fast_span import FastSpan
from otel.traces.spans import SpanWriter

E = TypeVar("E")


class TelemetryRecorder:
    """Satisfies `otel.events.Recorder` with real signals."""

    def __init__(
        self,
        measurements: Measurements,
        spans: SpanWriter,
        logs: LogWriter,
        bounds: LabelBounds,
        guard: Guard,
        *,
        request_logger: str = LOGGER,
    ) -> None:
        self.measurements = measurements
        self.spans = spans
        self.logs = logs
        self.bounds = bounds
        self.guard = guard
        self.lines = RequestLines(logs, bounds, request_logger)
        self.outcomes = KnownOutcomes(measurements, logs, self.lines, spans, guard)

    def record(self, event: Event) -> None:
        """Record an event in the current context, for example a query of a job."""
        try:
            _OUTSIDE[type(event)](self, event, otel_context.get_current(), None)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the caller
            self.guard.failed(error)

    def start_request(self, event: RequestReceived) -> "TelemetryRequest":
        """Open the server span and count the request as in progress."""
        return TelemetryRequest(self, event)

    def start_attempt(self, event: AttemptStarted) -> "TelemetryAttempt":
        """Open a client span as a child of the current span."""
        return TelemetryAttempt(self, event, otel_context.get_current())


class TelemetryRequest:
    """Satisfies `otel.events.RequestScope`: one server span and everything below it."""

    __slots__ = ("_context", "_finished", "_received", "_recorder", "_trace_id", "route", "span", "summary")

    def __init__(self, recorder: TelemetryRecorder, event: RequestReceived) -> None:
        self._recorder = recorder
        self._received = event
        self.route = recorder.measurements.route_labels(event.method, event.path)
        self.summary = RequestSummary()
        self._finished, context = False, Context()
        try:
            # Count first, so that a span that fails to open does not unbalance the gauge.
            recorder.measurements.request_received(event, self.route)
            context = recorder.spans.start_request(event)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the request
            recorder.guard.failed(error)
        self._context = context
        self.span = span = context.span if type(context) is TracedContext else get_current_span(context)
        is_fast = type(span) is FastSpan
        self._trace_id = span.id_bytes[0].hex() if is_fast else format_trace_id(span.get_span_context().trace_id)  # type: ignore[attr-defined]  # narrowed by its type

    @property
    def trace_id(self) -> str:
        """The request's trace id, 32 lower-case hex digits."""
        return self._trace_id

    def current(self) -> CurrentContext:
        """Make the server span current, so that lines logged by libraries carry its ids."""
        return CurrentContext(self._context)

    def record(self, event: Event) -> None:
        """Record an event of this request."""
        try:
            _HANDLERS[type(event)](self._recorder, event, self._context, self)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the request
            self._recorder.guard.failed(error)

    def start_attempt(self, event: AttemptStarted) -> "TelemetryAttempt":
        """Open a client span for one call to a provider."""
        return TelemetryAttempt(self._recorder, event, self._context)

    def finish(self, event: RequestFinished) -> None:
        """End the request: measurements, log line, span end; a second call changes nothing."""
        if self._finished:
            return
        self._finished = True
        recorder, context, span, summary, route = self._recorder, self._context, self.span, self.summary, self.route
        try:
            if recorder.outcomes.finish(self._received, event, summary, route, span, context):
                return
        except Exception:  # noqa: BLE001, S110  nothing is recorded yet: what follows raises the same again, and counts it
            pass
        outcome = summary.outcome(event)
        error_type = summary.error_type(event) if outcome == "error" else None
        if error_type is not None:
            recorder.spans.request_failed(span, context)
        try:  # each step has its own guard, so that a failing span costs neither the count nor the line
            recorder.measurements.request_finished(event, route, context, self._received, error_type)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the request
            recorder.guard.failed(error)
        try:  # values of the line are bounded, so it needs no redaction
            recorder.lines.write(route[semconv.METHOD], route[semconv.PATH], summary, event, outcome, context)
        except Exception as error:  # noqa: BLE001  as above
            recorder.guard.failed(error)
        try:
            recorder.spans.end_request(span, event, error_type, summary.caller, summary.call, summary.overhead)
        except Exception as error:  # noqa: BLE001  as above
            recorder.guard.failed(error)


class TelemetryAttempt:
    """Satisfies `otel.events.AttemptScope`: one client span."""

    __slots__ = ("_context", "_finished", "_headers", "_recorder", "_span", "_started")

    def __init__(self, recorder: TelemetryRecorder, event: AttemptStarted, parent: Context) -> None:
        self._recorder = recorder
        self._started = event
        self._context = parent
        self._headers: Mapping[str, str] = {}
        self._span: Span | None = None
        self._finished = False
        try:
            context, self._headers = recorder.spans.start_attempt(event, parent)
            self._context, self._span = context, context.span
        except Exception as error:  # noqa: BLE001  counted: it must not fail the attempt
            recorder.guard.failed(error)

    @property
    def context(self) -> Context:
        """The context in which its span is current."""
        return self._context

    @property
    def headers(self) -> Mapping[str, str]:
        """The trace context to send to the provider."""
        return self._headers

    def finish(self, event: AttemptFinished) -> None:
        """End the attempt; a second call changes nothing."""
        if self._finished:
            return
        self._finished = True
        recorder, span = self._recorder, self._span
        try:
            recorder.measurements.attempt_finished(event, self._started, self._context)
        except Exception as error:  # noqa: BLE001  counted: it must not fail the attempt
            recorder.guard.failed(error)
        if span is not None:
            try:
                recorder.spans.end_attempt(span, event)
            except Exception as error:  # noqa: BLE001  as above
                recorder.guard.failed(error)


_Handler: TypeAlias = Callable[[TelemetryRecorder, Any, Context, Any], None]
"""Takes the event, the context of its span, and the request that it belongs to, if any."""


def _measured(measure: Callable[[Measurements, E, Context], None]) -> _Handler:
    """Return the handler of an event that is only measured."""

    def handle(recorder: TelemetryRecorder, event: E, context: Context, _: TelemetryRequest | None) -> None:
        measure(recorder.measurements, event, context)

    return handle


def _outside(_recorder: TelemetryRecorder, event: Event, _context: Context, _request: TelemetryRequest | None) -> None:
    raise TypeError(f"{type(event).__name__} belongs to a request: record it in the request's scope")


def _anomaly_began(
    recorder: TelemetryRecorder, event: AnomalyBegan, _context: Context, _request: TelemetryRequest | None
) -> None:
    """Give the anomaly a short span of its own.

    Its measurement and log line carry that span's ids.
    """
    fields = anomaly_fields(event, recorder.bounds)
    context = recorder.spans.anomaly_began(fields)
    recorder.measurements.anomaly_began(event, context)
    message = anomaly_message(event, recorder.bounds)
    recorder.logs.emit("warning", ANOMALY_LOGGER, message, fields, context=context, trusted=True)


def _call_finished(
    recorder: TelemetryRecorder, event: CallFinished, context: Context, request: TelemetryRequest | None
) -> None:
    if request is not None:
        request.summary.call = event
    recorder.measurements.call_finished(event, context)


def _overhead_measured(
    recorder: TelemetryRecorder, event: OverheadMeasured, context: Context, request: TelemetryRequest
) -> None:
    request.summary.overhead = event
    recorder.measurements.overhead_measured(event, context)


def _rate_limited(
    recorder: TelemetryRecorder, event: RateLimited, context: Context, request: TelemetryRequest | None
) -> None:
    if request is not None:
        request.summary.limit_type = event.limit_type
    recorder.measurements.rate_limited(event, context)


def _caller_identified(
    _: TelemetryRecorder, event: CallerIdentified, _context: Context, request: TelemetryRequest
) -> None:
    request.summary.caller = event


def _exception_mapped(
    recorder: TelemetryRecorder, event: ExceptionMapped, context: Context, request: TelemetryRequest
) -> None:
    request.summary.exception_type = recorder.bounds.exception_type(event.exception_type)
    recorder.measurements.exception_mapped(event, request.route, context)


def _request_finished(
    _: TelemetryRecorder, event: RequestFinished, _context: Context, request: TelemetryRequest
) -> None:
    request.finish(event)


def _attempt_finished(*_: object) -> None:
    raise TypeError("AttemptFinished ends an attempt: pass it to the attempt's scope")


_HANDLERS: Final[dict[type[Event], _Handler]] = {
    RequestFinished: _request_finished,
    ExceptionMapped: _exception_mapped,
    CallerIdentified: _caller_identified,
    AttemptFinished: _attempt_finished,
    CallFinished: _call_finished,
    OverheadMeasured: _overhead_measured,
    CacheLookedUp: _measured(Measurements.cache_looked_up),
    RateLimited: _rate_limited,
    QueryFinished: _measured(Measurements.query_finished),
    LedgerRowsDropped: _measured(Measurements.ledger_rows_dropped),
    BreakerChanged: _measured(Measurements.breaker_changed),
    AnomalyBegan: _anomaly_began,
    ProbeFinished: _measured(Measurements.probe_finished),
    EventLoopLagged: _measured(Measurements.event_loop_lagged),
}

_OUTSIDE: Final[Mapping[type[Event], _Handler]] = {
    **_HANDLERS,
    **dict.fromkeys((RequestFinished, ExceptionMapped, CallerIdentified, OverheadMeasured), _outside),
}
"""The same for events that no request has."""
