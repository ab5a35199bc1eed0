"""Which metric changes with which event: one line per metric.

Each method takes an event and, for exemplars, the context of its span, and records values with
bounded label sets. Safe from any thread.
"""

from typing import Final

from opentelemetry.context import Context

from otel.catalogue import business, causes, gateway, http, inference, money, providers, self_telemetry, semconv
from otel.catalogue.spec import MetricSpec
from otel.events import (
    AnomalyBegan,
    AttemptFinished,
    AttemptStarted,
    BreakerChanged,
    CacheLookedUp,
    CallFinished,
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
from otel.events.usage import NANO, has_details
from otel.labels import LabelBounds, known_label_sets
from otel.metrics.convention_measurements import ConventionMeasurements
from otel.metrics.event_recording import EventRecording, at_once
from otel.metrics.event_series import EventSeries
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.usage_measurements import record_details

_ARRIVAL: Final = "arrival"
_CALL: Final = "call"
_OVERHEAD: Final = "overhead"
"""Keys of kinds of events in their label sets; those of finished requests and attempts are made of their outcome."""


class Measurements(EventRecording):
    """Turns events into measurements, also under the names of `conventions` where they are opted in to."""

    def __init__(
        self, instruments: Instruments, bounds: LabelBounds, conventions: ConventionMeasurements | None = None
    ) -> None:
        super().__init__(instruments)
        self._conventions = conventions
        self._bounds = bounds
        self._no_labels = LabelSet()
        self._app = self._no_labels.plus(semconv.APP_NAME, bounds.app_name)

    @at_once
    def start_at_zero(self, catalogue: tuple[MetricSpec, ...]) -> None:
        """Create the series with known labels, so that the first event is an increase from 0."""
        for spec in catalogue:
            if spec.starts_at_zero:
                known = known_label_sets(spec, self._bounds)
                for labels in known if len(known) <= spec.most_at_zero else ():
                    self._instruments.record(spec.name, 0, labels)

    def route_labels(self, method: str, path: str) -> LabelSet:
        """Return the label set of a route."""
        by_method = self._app.plus(semconv.METHOD, self._bounds.method(method))
        return by_method.plus(semconv.PATH, self._bounds.path(path))

    def request_received(self, event: RequestReceived, route: LabelSet) -> None:
        """A request arrived."""
        if self._conventions is not None:
            self._conventions.request_received(event)
        arrival = route.of_events.get(_ARRIVAL) or self._series(
            route, _ARRIVAL, counted=[(http.REQUESTS_IN_PROGRESS, route, 1)]
        )
        self._pending.add((arrival, (), 0, None, None))

    def request_finished(
        self,
        event: RequestFinished,
        route: LabelSet,
        context: Context,
        received: RequestReceived,
        error_type: str | None,
    ) -> None:
        """A request ended, however it ended; `error_type` is that of its span."""
        status_code = self._bounds.status_code(event.status_code)
        series = route.of_events.get(status_code) or self._request_series(route, status_code)
        if self._conventions is None:
            self._add(series, (event.duration_seconds,), context)
            return
        with self.lock:
            self._add(series, (event.duration_seconds,), context)
            self._conventions.request_finished(event, received, error_type, context)

    def _request_series(self, route: LabelSet, status_code: str) -> EventSeries:
        """Return what a finished request changes."""
        with_status = route.plus(semconv.STATUS_CODE, status_code)
        return self._series(
            route,
            status_code,
            counted=[
                (http.REQUESTS, with_status, 1),
                (http.RESPONSES, with_status, 1),
                (http.REQUESTS_IN_PROGRESS, route, -1),
            ],
            valued=[(http.REQUEST_DURATION, route)],
        )

    @at_once
    def exception_mapped(self, event: ExceptionMapped, route: LabelSet, context: Context) -> None:
        """An exception was unhandled or became a 5xx response."""
        labels = route.plus(semconv.EXCEPTION_TYPE, self._bounds.exception_type(event.exception_type))
        self._record(http.EXCEPTIONS, 1, labels, context)

    def attempt_finished(self, event: AttemptFinished, started: AttemptStarted, context: Context) -> None:
        """An upstream attempt ended."""
        usage = event.usage
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(started.provider))
        route = provider.plus(semconv.MODEL, self._bounds.model(started.model))
        # An application that passes no source has priced its tokens itself.
        key = event.status, usage.cost_source or "priced"
        cost_usd = usage.cost_nanousd / NANO if usage.cost_nanousd else None
        values = (
            event.response_seconds,
            event.duration_seconds if event.status == "success" else None,
            event.first_token_seconds,
            event.longest_gap_seconds,
            event.pool_wait_seconds,
            usage.input_tokens or None,
            usage.output_tokens or None,
            usage.credits_nanousd / NANO if usage.credits_nanousd else None,
            cost_usd,
            cost_usd,
            _output_tokens_per_second(event),
        )
        series = route.of_events.get(key) or self._attempt_series(provider, route, *key)
        if event.status != "error" and self._conventions is None and not has_details(usage):
            self._add(series, values, context)
            return
        with self.lock:
            self._add(series, values, context)
            if event.status == "error":
                self._failure(event, route, context)
            record_details(self._record, usage, route, context)
            if self._conventions is not None:
                self._conventions.attempt_finished(event, started, context)

    def _attempt_series(self, provider: LabelSet, route: LabelSet, status: str, cost_source: str) -> EventSeries:
        """Return what a finished attempt may change, in the order of its values."""
        return self._series(
            route,
            (status, cost_source),
            counted=[] if status == "cancelled" else [(inference.REQUESTS, route.plus(semconv.STATUS, status), 1)],
            valued=[
                (providers.RESPONSE_TIME, provider),
                (inference.DURATION, route),
                (inference.TIME_TO_FIRST_TOKEN, route),
                (causes.LONGEST_GAP, route),
                (causes.POOL_WAIT, provider),
                (inference.TOKENS, route.plus(semconv.TOKEN_TYPE, "input")),
                (inference.TOKENS, route.plus(semconv.TOKEN_TYPE, "output")),
                (inference.CREDITS, route),
                (business.PROVIDER_COST, provider),
                (money.COST, route.plus(semconv.COST_SOURCE, cost_source)),
                (inference.OUTPUT_RATE, route),
            ],
        )

    def _failure(self, event: AttemptFinished, route: LabelSet, context: Context) -> None:
        """Count a failed attempt and its duration, by what went wrong."""
        kind = route.plus(semconv.ERROR_KIND, self._bounds.error_kind(event.error_kind))
        self._record(causes.ATTEMPT_FAILURES, 1, kind, context)
        fault = route.plus(semconv.FAULT, event.fault or semconv.OTHER)
        self._record(causes.FAILED_DURATION, event.duration_seconds, fault, context)

    def call_finished(self, event: CallFinished, context: Context) -> None:
        """A call ended, after all its attempts."""
        model = self._no_labels.plus(semconv.MODEL, self._bounds.model(event.model))
        series = model.of_events.get(_CALL) or self._series(model, _CALL, valued=[(inference.ATTEMPTS_PER_CALL, model)])
        if event.status != "cancelled" or event.cancel_phase is None:
            self._add(series, (event.attempts,), context)
            return
        with self.lock:
            self._add(series, (event.attempts,), context)
            provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
            labels = provider.plus(semconv.MODEL, model[semconv.MODEL]).plus(semconv.PHASE, event.cancel_phase)
            self._record(inference.CANCELLED_CALLS, 1, labels, context)

    def overhead_measured(self, event: OverheadMeasured, context: Context) -> None:
        """The response to a call has left the process."""
        operation = self._no_labels.plus(semconv.OPERATION, event.operation)
        labels = operation.plus(semconv.STREAM, "true" if event.stream else "false")
        series = labels.of_events.get(_OVERHEAD) or self._series(labels, _OVERHEAD, valued=[(causes.OVERHEAD, labels)])
        self._add(series, (event.seconds,), context)

    def cache_looked_up(self, event: CacheLookedUp, context: Context | None) -> None:
        """A cache was looked up."""
        labels = self._no_labels.plus(semconv.CACHE, event.cache)
        name = gateway.CACHE_HITS if event.hit else gateway.CACHE_MISSES
        series = labels.of_events.get(name) or self._series(labels, name, counted=[(name, labels, 1)])
        self._add(series, (), context)

    @at_once
    def rate_limited(self, event: RateLimited, context: Context | None) -> None:
        """A request was refused with status 429."""
        self._record(
            gateway.RATE_LIMITED_REQUESTS, 1, self._no_labels.plus(semconv.LIMIT_TYPE, event.limit_type), context
        )

    @at_once
    def query_finished(self, event: QueryFinished, context: Context | None) -> None:
        """A database statement ended."""
        labels = self._no_labels.plus(semconv.OPERATION, event.operation)
        self._record(gateway.QUERY_DURATION, event.duration_seconds, labels, context)
        if self._conventions is not None:
            self._conventions.query_finished(event, context)

    @at_once
    def anomaly_began(self, event: AnomalyBegan, context: Context) -> None:
        """An anomaly began."""
        self._record(gateway.DETECTED_ANOMALIES, 1, self._no_labels.plus(semconv.TYPE, event.type), context)

    @at_once
    def breaker_changed(self, event: BreakerChanged, _context: Context | None) -> None:
        """A circuit breaker entered a state."""
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
        self._record(providers.BREAKER_TRANSITIONS, 1, provider.plus(semconv.STATE, event.state), None)

    @at_once
    def probe_finished(self, event: ProbeFinished, _context: Context | None) -> None:
        """A probe of a provider ended."""
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
        self._record(providers.PROBES, 1, provider.plus(semconv.OUTCOME, event.outcome), None)

    @at_once
    def ledger_rows_dropped(self, event: LedgerRowsDropped, _context: Context | None) -> None:
        """Ledger rows were dropped."""
        self._record(business.LEDGER_ROWS_DROPPED, event.rows, self._no_labels, None)

    @at_once
    def event_loop_lagged(self, event: EventLoopLagged, _context: Context | None) -> None:
        """The event loop ran a timer."""
        self._record(gateway.EVENT_LOOP_LAG, event.lag_seconds, self._no_labels, None)

    @at_once
    def scrape_collected(self, duration_seconds: float) -> None:
        """An exposition was collected and rendered."""
        self._record(self_telemetry.SCRAPE_DURATION, duration_seconds, self._no_labels, None)


def _output_tokens_per_second(event: AttemptFinished) -> float | None:
    """Return the output rate of a successful stream, from its first token to its end.

    None without an interval. The first token marks the start of the interval, so the rate counts
    the tokens after it.
    """
    if event.status != "success" or event.first_token_seconds is None:
        return None
    interval_seconds = event.duration_seconds - event.first_token_seconds
    tokens = event.usage.output_tokens - 1
    return tokens / interval_seconds if tokens > 0 and interval_seconds > 0 else None
