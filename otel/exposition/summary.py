"""The five categories as numbers in JSON, for people and scripts without a Prometheus server.

What is unknown is None, never 0. All numbers are since the start of this process; rates over time
are left to Prometheus.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from otel.catalogue import business, gateway, http, inference, process, providers, semconv
from otel.catalogue.spec import Category
from otel.exposition.readings import Readings
from otel.metrics.reader import Snapshot

SCOPE: Final = "this process, since it started"
_NANOSECONDS: Final = 1_000_000_000

Section: TypeAlias = dict[str, Any]


def summarise(
    snapshot: Snapshot, category: Category | None = None, exposed_name: Callable[[str], str] = str
) -> Section:
    """Return one category, or all five, with scope and time (ISO 8601, UTC) of the numbers.

    `exposed_name` returns the name under which a documented family is collected.
    """
    readings = Readings(snapshot, exposed_name)
    started = readings.gauge(process.START_TIME)
    if started is None and (nanoseconds := readings.earliest_start_unix_nanoseconds) is not None:
        started = nanoseconds / _NANOSECONDS
    categories = tuple(Category) if category is None else (category,)
    return {
        "scope": SCOPE,
        "since": None if started is None else _iso(started),
        "timestamp": _iso(snapshot.unix_nanoseconds / _NANOSECONDS),
        **{wanted.value: _SECTIONS[wanted](readings) for wanted in categories},
    }


def _system(readings: Readings) -> Section:
    requests = readings.total(http.REQUESTS)
    by_status = readings.by(http.REQUESTS, semconv.STATUS_CODE)
    by_class = None if by_status is None else _by_status_class(by_status)
    return {
        "requests_total": requests,
        "requests_by_status_class": by_class,
        "error_rate": None if by_class is None else _ratio(by_class.get("5xx", 0), requests),
        "requests_in_progress": readings.gauge(http.REQUESTS_IN_PROGRESS),
        "exceptions_total": readings.total(http.EXCEPTIONS),
        "duration_seconds": _quantiles(readings, http.REQUEST_DURATION),
        "anomalies_by_type": readings.by(gateway.DETECTED_ANOMALIES, semconv.TYPE),
        "resident_memory_bytes": readings.gauge(process.RESIDENT_MEMORY),
    }


def _providers(readings: Readings) -> Section:
    families = (
        inference.REQUESTS,
        providers.RESPONSE_TIME,
        business.PROVIDER_COST,
        providers.AVAILABILITY,
        providers.BREAKER_STATE,
    )
    return {provider: _provider(readings, provider) for provider in _values(readings, semconv.PROVIDER, families)}


def _provider(readings: Readings, provider: str) -> Section:
    attempts = readings.total(inference.REQUESTS, provider=provider)
    errors = readings.total(inference.REQUESTS, provider=provider, status="error")
    open_states = [
        state
        for state in semconv.BREAKER_STATES
        if readings.gauge(providers.BREAKER_STATE, provider=provider, state=state) == 1
    ]
    return {
        "attempts": attempts,
        "errors": errors,
        "error_rate": _ratio(errors, attempts),
        "response_p95_seconds": readings.quantile(0.95, providers.RESPONSE_TIME, provider=provider),
        "cost_usd": readings.total(business.PROVIDER_COST, provider=provider),
        "availability": readings.gauge(providers.AVAILABILITY, provider=provider),
        "error_rate_5m": readings.gauge(providers.ERROR_RATE, provider=provider),
        "health_score": readings.gauge(providers.HEALTH_SCORE, provider=provider),
        "circuit_breaker": open_states[0] if open_states else None,
    }


def _models(readings: Readings) -> Section:
    families = (inference.REQUESTS, inference.TOKENS, inference.UPTIME)
    return {model: _model(readings, model) for model in _values(readings, semconv.MODEL, families)}


def _model(readings: Readings, model: str) -> Section:
    requests = readings.total(inference.REQUESTS, model=model)
    errors = readings.total(inference.REQUESTS, model=model, status="error")
    return {
        "requests": requests,
        "success": readings.total(inference.REQUESTS, model=model, status="success"),
        "errors": errors,
        "error_rate": _ratio(errors, requests),
        "cancelled": readings.total(inference.CANCELLED_CALLS, model=model),
        "input_tokens": readings.total(inference.TOKENS, model=model, token_type="input"),  # noqa: S106  a label value
        "output_tokens": readings.total(inference.TOKENS, model=model, token_type="output"),  # noqa: S106  likewise
        "credits": readings.total(inference.CREDITS, model=model),
        "duration_p95_seconds": readings.quantile(0.95, inference.DURATION, model=model),
        "time_to_first_token_p95_seconds": readings.quantile(0.95, inference.TIME_TO_FIRST_TOKEN, model=model),
        "uptime_24h": readings.gauge(inference.UPTIME, model=model),
        "token_efficiency": readings.gauge(inference.TOKEN_EFFICIENCY, model=model),
    }


def _business(readings: Readings) -> Section:
    return {
        business.ACTIVE_API_KEYS: readings.gauge(business.ACTIVE_API_KEYS),
        "subscriptions_by_plan": readings.by(business.SUBSCRIPTIONS, semconv.PLAN),
        "active_trials": readings.gauge(business.ACTIVE_TRIALS),
        "tokens_by_type": readings.by(inference.TOKENS, semconv.TOKEN_TYPE),
        "credits": readings.total(inference.CREDITS),
        "cost_usd": readings.total(business.PROVIDER_COST),
        "cost_usd_by_provider": readings.by(business.PROVIDER_COST, semconv.PROVIDER),
    }


def _performance(readings: Readings) -> Section:
    hits, misses = readings.total(gateway.CACHE_HITS), readings.total(gateway.CACHE_MISSES)
    operations = readings.label_values(gateway.QUERY_DURATION, semconv.OPERATION)
    return {
        "request_duration_seconds": _quantiles(readings, http.REQUEST_DURATION),
        "provider_response_seconds": _quantiles(readings, providers.RESPONSE_TIME),
        "inference_duration_seconds": _quantiles(readings, inference.DURATION),
        "time_to_first_token_seconds": _quantiles(readings, inference.TIME_TO_FIRST_TOKEN),
        "event_loop_lag_seconds": _quantiles(readings, gateway.EVENT_LOOP_LAG),
        "query_p95_seconds_by_operation": {
            operation: readings.quantile(0.95, gateway.QUERY_DURATION, operation=operation) for operation in operations
        }
        or None,
        "cache_hits": hits,
        "cache_misses": misses,
        "cache_hit_rate": None if hits is None or misses is None else _ratio(hits, hits + misses),
        "rate_limited_by_limit_type": readings.by(gateway.RATE_LIMITED_REQUESTS, semconv.LIMIT_TYPE),
    }


_SECTIONS: Final[dict[Category, Callable[[Readings], Section]]] = {
    Category.SYSTEM: _system,
    Category.PROVIDERS: _providers,
    Category.MODELS: _models,
    Category.BUSINESS: _business,
    Category.PERFORMANCE: _performance,
}


def _quantiles(readings: Readings, name: str) -> dict[str, float | None]:
    return {f"p{percent}": readings.quantile(percent / 100, name) for percent in (50, 95, 99)}


def _values(readings: Readings, key: str, families: Iterable[str]) -> list[str]:
    """Return every value of `key` in any of the families, sorted."""
    return sorted({value for family in families for value in readings.label_values(family, key)})


def _by_status_class(by_status: dict[str, float | None]) -> dict[str, float]:
    classes: dict[str, float] = {}
    for status, count in by_status.items():
        name = f"{status[0]}xx" if status.isdigit() else status
        classes[name] = classes.get(name, 0) + (count or 0)
    return classes


def _ratio(part: float | None, whole: float | None) -> float | None:
    """Return part / whole; None where either is unknown or there is nothing to divide by."""
    return None if part is None or not whole else part / whole


def _iso(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds")
