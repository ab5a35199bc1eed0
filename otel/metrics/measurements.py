"""Which metric changes with which event: one line per metric.

Each method takes an event and, for exemplars, the context of its span, and records values with
bounded label sets. Safe from any thread.
"""

from collections.abc import Hashable
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
from otel.events.usage import has_details
from otel.labels import LabelBounds, known_label_sets
from otel.metrics.attempt_values import attempt_columns, attempt_values, unsuccessful_attempt_columns
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

_MAX_FOUND: Final = 10_000
"""More than a configuration has; what an event's names stand for beyond it is found through the label sets."""


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
        # By names as events have them, where these are in their closed sets: other names have no end.
        self._routes: dict[tuple[str, str], LabelSet] = {}
        self._found: dict[Hashable, EventSeries] = {}

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
        return self._routes.get((method, path)) or self._route_labels(method, path)

    def _route_labels(self, method: str, path: str) -> LabelSet:
        bounded = self._bounds.method(method), self._bounds.path(path)
        labels = self._app.plus(semconv.METHOD, bounded[0]).plus(semconv.PATH, bounded[1])
        if bounded == (method, path):
            self._routes[bounded] = labels
        return labels

    def request_received(self, event: RequestReceived, route: LabelSet) -> None:
        """A request arrived."""
        if self._conventions is not None:
            self._conventions.request_received(event)
        arrival = route.of_events.get(_ARRIVAL) or self._series(
            route, _ARRIVAL, counted=[(http.REQUESTS_IN_PROGRESS, route, 1)]
        )
        self._waiting.append((arrival, (), 0, None, None))

    def request_finished(
        self,
        event: RequestFinished,
        route: LabelSet,
        context: Context,
        received: RequestReceived,
        error_type: str | None,
    ) -> None:
        """A request ended, however it ended; `error_type` is that of its span."""
        series = route.of_events.get(event.status_code) or self._request_series(route, event.status_code)
        if self._conventions is None:
            self._add(series, (event.duration_seconds,), context)
            return
        with self.lock:
            self._add(series, (event.duration_seconds,), context)
            self._conventions.request_finished(event, received, error_type, context)

    def request_series(self, route: LabelSet, code: int) -> EventSeries | None:
        """Return what a request that ended with this status changes, None where there is more."""
        if self._conventions is not None:
            return None
        return route.of_events.get(code) or self._request_series(route, code)

    def _request_series(self, route: LabelSet, code: int) -> EventSeries:
        """Return what a finished request changes."""
        status_code = self._bounds.status_code(code)
        with_status = route.plus(semconv.STATUS_CODE, status_code)
        return self._series(
            route,
            int(status_code),
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
        key = started.provider, started.model, event.status, usage.cost_source
        series = self._found.get(key) or self._attempt_series(*key)
        if event.status != "error" and self._conventions is None and not has_details(usage):
            self._add(series, attempt_values(event, usage), context)
            return
        with self.lock:
            self._add(series, attempt_values(event, usage), context)
            route = self._provider(started.provider).plus(semconv.MODEL, self._bounds.model(started.model))
            if event.status == "error":
                self._failure(event, route, context)
            record_details(self._record, usage, route, context)
            if self._conventions is not None:
                self._conventions.attempt_finished(event, started, context)

    def _provider(self, name: str | None) -> LabelSet:
        return self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(name))

    def _attempt_series(self, name: str, model: str, status: str, cost_source: str | None) -> EventSeries:
        """Return what a finished attempt may change, in the order of `attempt_columns`."""
        provider = self._provider(name)
        route = provider.plus(semconv.MODEL, self._bounds.model(model))
        # An application that passes no source has priced its tokens itself.
        kind = status, cost_source or "priced"
        series = route.of_events.get(kind) or self._series(
            route,
            kind,
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
                (money.COST, route.plus(semconv.COST_SOURCE, kind[1])),
                (inference.OUTPUT_RATE, route),
            ],
            measure=attempt_columns if status == "success" else unsuccessful_attempt_columns,
        )
        if (name, model) == (provider[semconv.PROVIDER], route[semconv.MODEL]):
            self._keep((name, model, status, cost_source), series)
        return series

    def _failure(self, event: AttemptFinished, route: LabelSet, context: Context) -> None:
        """Count a failed attempt and its duration, by what went wrong."""
        kind = route.plus(semconv.ERROR_KIND, self._bounds.error_kind(event.error_kind))
        self._record(causes.ATTEMPT_FAILURES, 1, kind, context)
        fault = route.plus(semconv.FAULT, event.fault or semconv.OTHER)
        self._record(causes.FAILED_DURATION, event.duration_seconds, fault, context)

    def call_finished(self, event: CallFinished, context: Context) -> None:
        """A call ended, after all its attempts."""
        series = self._found.get(event.model) or self._call_series(event.model)
        if event.status != "cancelled" or event.cancel_phase is None:
            self._add(series, (event.attempts,), context)
            return
        with self.lock:
            self._add(series, (event.attempts,), context)
            route = self._provider(event.provider).plus(semconv.MODEL, self._bounds.model(event.model))
            self._record(inference.CANCELLED_CALLS, 1, route.plus(semconv.PHASE, event.cancel_phase), context)

    def _call_series(self, name: str) -> EventSeries:
        model = self._no_labels.plus(semconv.MODEL, self._bounds.model(name))
        series = model.of_events.get(_CALL) or self._series(model, _CALL, valued=[(inference.ATTEMPTS_PER_CALL, model)])
        if name == model[semconv.MODEL]:
            self._keep(name, series)
        return series

    def _keep(self, key: Hashable, series: EventSeries) -> None:
        """Find a series by what its event has of its labels, from now on."""
        if len(self._found) < _MAX_FOUND:
            self._found[key] = series

    def overhead_measured(self, event: OverheadMeasured, context: Context) -> None:
        """The response to a call has left the process."""
        key = event.operation, event.stream, _OVERHEAD
        self._add(
            self._found.get(key) or self._overhead_series(event.operation, event.stream), (event.seconds,), context
        )

    def _overhead_series(self, operation: str, stream: bool) -> EventSeries:
        labels = self._no_labels.plus(semconv.OPERATION, operation).plus(semconv.STREAM, "true" if stream else "false")
        series = labels.of_events.get(_OVERHEAD) or self._series(labels, _OVERHEAD, valued=[(causes.OVERHEAD, labels)])
        self._keep((operation, stream, _OVERHEAD), series)
        return series

    def cache_looked_up(self, event: CacheLookedUp, context: Context | None) -> None:
        """A cache was looked up."""
        key = event.cache, event.hit
        self._add(self._found.get(key) or self._cache_series(*key), (), context)

    def _cache_series(self, cache: str, hit: bool) -> EventSeries:
        labels = self._no_labels.plus(semconv.CACHE, cache)
        name = gateway.CACHE_HITS if hit else gateway.CACHE_MISSES
        series = labels.of_events.get(name) or self._series(labels, name, counted=[(name, labels, 1)])
        self._keep((cache, hit), series)
        return series

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
        provider = self._provider(event.provider)
        self._record(providers.BREAKER_TRANSITIONS, 1, provider.plus(semconv.STATE, event.state), None)

    @at_once
    def probe_finished(self, event: ProbeFinished, _context: Context | None) -> None:
        """A probe of a provider ended."""
        provider = self._provider(event.provider)
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
