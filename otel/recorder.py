"""RECORDER: the one place where an event becomes measurements, span ends and a log record.

Comes in: events from the application, through the ports of `otel/events.py`. Goes out: calls to
`otel/metrics/measurements.py`, `otel/traces/spans.py` and `otel/logs/writer.py`. Nothing raised in
there reaches the application: a failure is counted, and the first one is logged.
"""

import logging
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import ParamSpec

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

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
    ProbeFinished,
    QueryFinished,
    RateLimited,
    RequestFinished,
    RequestReceived,
)
from otel.labels import LabelBounds
from otel.logs.anomaly_line import LOGGER as ANOMALY_LOGGER
from otel.logs.anomaly_line import anomaly_fields, anomaly_message
from otel.logs.request_line import LOGGER, RequestSummary
from otel.logs.writer import LogWriter
from otel.metrics.measurements import Measurements
from otel.traces.spans import SpanWriter

P = ParamSpec("P")


class Guard:
    """Runs recording code so that it cannot fail its caller. Safe from any thread."""

    def __init__(self) -> None:
        self.failures = 0
        self._logger = logging.getLogger("otel.recorder")

    def run(self, step: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run one recording step; an exception is counted, and the first is logged with its traceback."""
        try:
            step(*args, **kwargs)
        except Exception:
            self.failures += 1
            if self.failures == 1:
                self._logger.exception("an event could not be recorded; later failures are only counted")


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
        self.request_logger = request_logger

    def record(self, event: Event) -> None:
        """Record an event in the current context, for example a query of a job or of a request."""
        self.guard.run(self._record, event)

    def start_request(self, event: RequestReceived) -> "TelemetryRequest":
        """Open the server span and count the request as in progress."""
        return TelemetryRequest(self, event)

    def start_attempt(self, event: AttemptStarted) -> "TelemetryAttempt":
        """Open a client span below the one that is current."""
        return TelemetryAttempt(self, event, otel_context.get_current())

    def _record(self, event: Event) -> None:
        """Dispatch an event that has no request scope."""
        context = otel_context.get_current()
        if isinstance(event, QueryFinished):
            self.measurements.query_finished(event, context)
        elif isinstance(event, CacheLookedUp):
            self.measurements.cache_looked_up(event, context)
        elif isinstance(event, LedgerRowsDropped):
            self.measurements.ledger_rows_dropped(event)
        elif isinstance(event, AnomalyBegan):
            self._anomaly_began(event)
        elif isinstance(event, BreakerChanged):
            self.measurements.breaker_changed(event)
        elif isinstance(event, ProbeFinished):
            self.measurements.probe_finished(event)
        elif isinstance(event, RateLimited):
            self.measurements.rate_limited(event, context)
        elif isinstance(event, CallFinished):
            self.measurements.call_finished(event, context)
        elif isinstance(event, EventLoopLagged):
            self.measurements.event_loop_lagged(event)
        else:
            raise TypeError(f"{type(event).__name__} belongs to a request: record it in its scope")

    def _anomaly_began(self, event: AnomalyBegan) -> None:
        """Count it, put it on a short span of its own, and write its line with that span's ids."""
        fields = anomaly_fields(event, self.bounds)
        context = self.spans.anomaly_began(fields)
        self.measurements.anomaly_began(event, context)
        message = anomaly_message(event, self.bounds)
        self.logs.emit("warning", ANOMALY_LOGGER, message, fields, context=context, trusted=True)


class _Current:
    """Makes a context current while it is entered; a generator would cost three times as much."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)


class TelemetryRequest:
    """Satisfies `otel.events.RequestScope`: one server span, and everything that happens under it."""

    def __init__(self, recorder: TelemetryRecorder, event: RequestReceived) -> None:
        self._recorder = recorder
        self._guard = recorder.guard
        self._route = recorder.measurements.route_labels(event.method, event.path)
        self._summary = RequestSummary(self._route["method"], self._route["path"], recorder.bounds)
        self._context = Context()
        self._finished = False
        self._guard.run(self._start, event)
        self._span: Span = get_current_span(self._context)
        self._trace_id = f"{self._span.get_span_context().trace_id:032x}"

    def _start(self, event: RequestReceived) -> None:
        """Count first: a span that fails to open must not unbalance the gauge."""
        self._recorder.measurements.request_received(self._route)
        self._context = self._recorder.spans.start_request(event)

    @property
    def trace_id(self) -> str:
        """The request's trace id, 32 lower-case hex digits."""
        return self._trace_id

    def current(self) -> "_Current":
        """Make the server span current, so that lines which libraries log carry its ids."""
        return _Current(self._context)

    def record(self, event: Event) -> None:
        """Record an event of this request."""
        self._guard.run(self._record, event)

    def _record(self, event: Event) -> None:
        """Dispatch an event of this request."""
        measurements = self._recorder.measurements
        if isinstance(event, CallFinished):
            self._summary.add(event)
            self._recorder.spans.call_finished(self._span, event)
            measurements.call_finished(event, self._context)
        elif isinstance(event, CallerIdentified):
            self._summary.add(event)
            self._recorder.spans.caller_identified(self._span, event)
        elif isinstance(event, CacheLookedUp):
            measurements.cache_looked_up(event, self._context)
        elif isinstance(event, RateLimited):
            self._summary.add(event)
            measurements.rate_limited(event, self._context)
        elif isinstance(event, ExceptionMapped):
            self._summary.exception_type = self._recorder.bounds.exception_type(event.exception_type)
            measurements.exception_mapped(event, self._route, self._context)
        elif isinstance(event, RequestFinished):
            self.finish(event)
        elif isinstance(event, AttemptFinished):
            raise TypeError("an attempt ends through its own scope")
        else:
            self._recorder.record(event)

    def start_attempt(self, event: AttemptStarted) -> "TelemetryAttempt":
        """Open a client span for one call to a provider."""
        return TelemetryAttempt(self._recorder, event, self._context)

    def finish(self, event: RequestFinished) -> None:
        """End the request: measurements, log line, span end; a second call changes nothing."""
        if self._finished:
            return
        self._finished = True
        # Each step on its own: a failing span must not cost the count or the line.
        self._guard.run(self._recorder.measurements.request_finished, event, self._route, self._context)
        self._guard.run(self._log, event)
        self._guard.run(self._recorder.spans.end_request, self._span, event, self._summary.error_type(event))

    def _log(self, event: RequestFinished) -> None:
        """Write the request's line; its values are bounded, so it needs no redaction."""
        summary = self._summary
        self._recorder.logs.emit(
            summary.level(event),
            self._recorder.request_logger,
            summary.message(event),
            summary.fields(event),
            context=self._context,
            trusted=True,
        )


class TelemetryAttempt:
    """Satisfies `otel.events.AttemptScope`: one client span."""

    def __init__(self, recorder: TelemetryRecorder, event: AttemptStarted, parent: Context) -> None:
        self._recorder = recorder
        self._started = event
        self._context = parent
        self._headers: Mapping[str, str] = {}
        self._span: Span | None = None
        self._finished = False
        recorder.guard.run(self._start, parent)

    def _start(self, parent: Context) -> None:
        self._context, self._headers = self._recorder.spans.start_attempt(self._started, parent)
        self._span = get_current_span(self._context)

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
        self._recorder.guard.run(self._recorder.measurements.attempt_finished, event, self._started, self._context)
        if self._span is not None:
            self._recorder.guard.run(self._recorder.spans.end_attempt, self._span, event)
