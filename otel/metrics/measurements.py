"""Which metric changes with which event: one line per metric.

Each method takes an event and, for exemplars, the context of its span, and records values with
bounded label sets. Safe from any thread.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from opentelemetry.context import Context

from otel.catalogue import business, causes, gateway, http, inference, providers, self_telemetry, semconv
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
from otel.labels import LabelBounds, known_label_sets
from otel.metrics.convention_measurements import ConventionMeasurements
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.usage_measurements import record_usage

P = ParamSpec("P")
R = TypeVar("R")


def _at_once(method: Callable[Concatenate["Measurements", P], R]) -> Callable[Concatenate["Measurements", P], R]:
    """Let a collection see all measurements of an event or none of them."""

    @wraps(method)
    def locked(self: "Measurements", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return locked


def _each_at_once(cls: type["Measurements"]) -> type["Measurements"]:
    """Let every public method run under the lock."""
    for name, method in list(vars(cls).items()):
        if not name.startswith("_"):
            setattr(cls, name, _at_once(method))
    return cls


@_each_at_once
class Measurements:
    """Turns events into measurements, also under the names of `conventions` where they are opted in to."""

    def __init__(
        self, instruments: Instruments, bounds: LabelBounds, conventions: ConventionMeasurements | None = None
    ) -> None:
        self._conventions = conventions
        self._instruments = instruments
        self._record: Callable[[str, float, LabelSet, Context | None], None] = instruments.add
        self.lock = instruments.lock
        self._bounds = bounds
        self._no_labels = LabelSet()
        self._app = self._no_labels.plus(semconv.APP_NAME, bounds.app_name)

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
        self._record(http.REQUESTS_IN_PROGRESS, 1, route, None)
        if self._conventions is not None:
            self._conventions.request_received(event)

    def request_finished(
        self,
        event: RequestFinished,
        route: LabelSet,
        context: Context,
        received: RequestReceived,
        error_type: str | None,
    ) -> None:
        """A request ended, however it ended; `error_type` is that of its span."""
        with_status = route.plus(semconv.STATUS_CODE, self._bounds.status_code(event.status_code))
        self._record(http.REQUESTS, 1, with_status, context)
        self._record(http.RESPONSES, 1, with_status, context)
        self._record(http.REQUEST_DURATION, event.duration_seconds, route, context)
        self._record(http.REQUESTS_IN_PROGRESS, -1, route, None)
        if self._conventions is not None:
            self._conventions.request_finished(event, received, error_type, context)

    def exception_mapped(self, event: ExceptionMapped, route: LabelSet, context: Context) -> None:
        """An exception was unhandled or became a 5xx response."""
        labels = route.plus(semconv.EXCEPTION_TYPE, self._bounds.exception_type(event.exception_type))
        self._record(http.EXCEPTIONS, 1, labels, context)

    def attempt_finished(self, event: AttemptFinished, started: AttemptStarted, context: Context) -> None:
        """An upstream attempt ended."""
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(started.provider))
        route = provider.plus(semconv.MODEL, self._bounds.model(started.model))
        if event.response_seconds is not None:
            self._record(providers.RESPONSE_TIME, event.response_seconds, provider, context)
        if event.status != "cancelled":
            self._record(inference.REQUESTS, 1, route.plus(semconv.STATUS, event.status), context)
        if event.status == "success":
            self._record(inference.DURATION, event.duration_seconds, route, context)
        elif event.status == "error":
            self._failure(event, route, context)
        if event.first_token_seconds is not None:
            self._record(inference.TIME_TO_FIRST_TOKEN, event.first_token_seconds, route, context)
        if event.longest_gap_seconds is not None:
            self._record(causes.LONGEST_GAP, event.longest_gap_seconds, route, context)
        if event.pool_wait_seconds is not None:
            self._record(causes.POOL_WAIT, event.pool_wait_seconds, provider, context)
        record_usage(self._record, event.usage, provider, route, context)
        rate = _output_tokens_per_second(event)
        if rate is not None:
            self._record(inference.OUTPUT_RATE, rate, route, context)
        if self._conventions is not None:
            self._conventions.attempt_finished(event, started, context)

    def _failure(self, event: AttemptFinished, route: LabelSet, context: Context) -> None:
        """Count a failed attempt and its duration, by what went wrong."""
        kind = route.plus(semconv.ERROR_KIND, self._bounds.error_kind(event.error_kind))
        self._record(causes.ATTEMPT_FAILURES, 1, kind, context)
        fault = route.plus(semconv.FAULT, event.fault or semconv.OTHER)
        self._record(causes.FAILED_DURATION, event.duration_seconds, fault, context)

    def call_finished(self, event: CallFinished, context: Context) -> None:
        """A call ended, after all its attempts."""
        model = self._no_labels.plus(semconv.MODEL, self._bounds.model(event.model))
        self._record(inference.ATTEMPTS_PER_CALL, event.attempts, model, context)
        if event.status == "cancelled" and event.cancel_phase is not None:
            provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
            labels = provider.plus(semconv.MODEL, model[semconv.MODEL]).plus(semconv.PHASE, event.cancel_phase)
            self._record(inference.CANCELLED_CALLS, 1, labels, context)

    def overhead_measured(self, event: OverheadMeasured, context: Context) -> None:
        """The response to a call has left the process."""
        operation = self._no_labels.plus(semconv.OPERATION, event.operation)
        labels = operation.plus(semconv.STREAM, "true" if event.stream else "false")
        self._record(causes.OVERHEAD, event.seconds, labels, context)

    def cache_looked_up(self, event: CacheLookedUp, context: Context | None) -> None:
        """A cache was looked up."""
        name = gateway.CACHE_HITS if event.hit else gateway.CACHE_MISSES
        self._record(name, 1, self._no_labels.plus(semconv.CACHE, event.cache), context)

    def rate_limited(self, event: RateLimited, context: Context | None) -> None:
        """A request was refused with status 429."""
        self._record(
            gateway.RATE_LIMITED_REQUESTS, 1, self._no_labels.plus(semconv.LIMIT_TYPE, event.limit_type), context
        )

    def query_finished(self, event: QueryFinished, context: Context | None) -> None:
        """A database statement ended."""
        labels = self._no_labels.plus(semconv.OPERATION, event.operation)
        self._record(gateway.QUERY_DURATION, event.duration_seconds, labels, context)
        if self._conventions is not None:
            self._conventions.query_finished(event, context)

    def anomaly_began(self, event: AnomalyBegan, context: Context) -> None:
        """An anomaly began."""
        self._record(gateway.DETECTED_ANOMALIES, 1, self._no_labels.plus(semconv.TYPE, event.type), context)

    def breaker_changed(self, event: BreakerChanged, _context: Context | None) -> None:
        """A circuit breaker entered a state."""
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
        self._record(providers.BREAKER_TRANSITIONS, 1, provider.plus(semconv.STATE, event.state), None)

    def probe_finished(self, event: ProbeFinished, _context: Context | None) -> None:
        """A probe of a provider ended."""
        provider = self._no_labels.plus(semconv.PROVIDER, self._bounds.provider(event.provider))
        self._record(providers.PROBES, 1, provider.plus(semconv.OUTCOME, event.outcome), None)

    def ledger_rows_dropped(self, event: LedgerRowsDropped, _context: Context | None) -> None:
        """Ledger rows were dropped."""
        self._record(business.LEDGER_ROWS_DROPPED, event.rows, self._no_labels, None)

    def event_loop_lagged(self, event: EventLoopLagged, _context: Context | None) -> None:
        """The event loop ran a timer."""
        self._record(gateway.EVENT_LOOP_LAG, event.lag_seconds, self._no_labels, None)

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
