"""The result of every query of the reference, by its name in `reference.toml`: as written, and corrected where that differs."""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from demo.gateway_config import EXAMPLE_MODEL, EXAMPLE_PROVIDER
from tests.reference import gauges
from tests.reference.quantities import Expected, Number
from tests.reference.truth import Truth

Compute: TypeAlias = Callable[[Truth], Expected]

_REQUESTS: Final = "fastapi_requests_total"
_DURATION: Final = "fastapi_requests_duration_seconds"
_ATTEMPTS: Final = "model_inference_requests_total"
_COST: Final = "gatewayz_cost_by_provider"
_TOKENS: Final = "tokens_used_total"
_ANOMALIES: Final = "gatewayz_detected_anomalies"
_TRANSITIONS: Final = "gatewayz_circuit_breaker_transitions_total"
_HITS: Final = "cache_hits_total"
_MISSES: Final = "cache_misses_total"


def _one(truth: Expected, label: str, value: str) -> Expected:
    return Expected({labels: number for labels, number in truth.values.items() if (label, value) in labels})


def _number(value: float) -> Expected:
    return Expected({(): Number.exact(value)})


def _summed(values: Expected) -> Expected:
    return values.grouped((), sum)


def _error_share(truth: Truth) -> Expected:
    return truth.rate("5m", _REQUESTS, status_code="5..").over(truth.rate("5m", _REQUESTS))


def _model_errors(truth: Truth) -> Expected:
    return truth.rate("5m", _ATTEMPTS, "model", status="error").over(truth.rate("5m", _ATTEMPTS, "model"))


def _hit_share(truth: Truth) -> Expected:
    hits, misses = truth.rate("5m", _HITS), truth.rate("5m", _MISSES)
    return hits.over(hits.plus(misses))


def _open(truth: Truth) -> Expected:
    return Expected(
        {
            labels: Number.exact(after)
            for labels, (_, after) in gauges.breaker(truth.played).items()
            if ("state", "open") in labels and after == 1
        }
    )


def _token_ratio(truth: Truth, *by: str) -> Expected:
    given = truth.increase("24h", _TOKENS, *by, token_type="output")
    return given.over(truth.increase("24h", _TOKENS, *by, token_type="input"))


def _cost_a_day(truth: Truth) -> Expected:
    return truth.increase("24h", _COST, "provider")


AS_WRITTEN: Final[Mapping[str, Compute]] = {
    "healthiest providers": lambda truth: gauges.health(truth.played).top(5),
    "healthiest ten": lambda truth: gauges.health(truth.played).top(10),
    "unhealthy providers": lambda truth: gauges.health(truth.played).only(lambda score: score < 0.7),
    "health of one provider": lambda truth: _one(gauges.health(truth.played), "provider", EXAMPLE_PROVIDER),
    "models below 99 %": lambda truth: gauges.uptime(truth.played).only(lambda share: share < 0.99),
    "average uptime": lambda truth: gauges.uptime(truth.played).average(),
    "uptime of one model": lambda truth: _one(gauges.uptime(truth.played), "model", EXAMPLE_MODEL),
    "dearest five": lambda truth: truth.total(_COST, "each").top(5),
    "dearest ten": lambda truth: truth.total(_COST, "each").top(10),
    "cost per minute by provider": lambda truth: truth.rate("5m", _COST, "each").times(60),
    "cost of one provider": lambda truth: truth.total(_COST, "each", provider=EXAMPLE_PROVIDER),
    "most efficient models": lambda truth: gauges.efficiency(truth.played).top(5),
    "efficiency of one model": lambda truth: _one(gauges.efficiency(truth.played), "model", EXAMPLE_MODEL),
    "average efficiency": lambda truth: gauges.efficiency(truth.played).average(),
    "open breakers": _open,
    "breaker changes": lambda truth: truth.changes_of_state(
        "gatewayz_circuit_breaker_state", gauges.breaker(truth.played)
    ),
    "anomalies": lambda truth: truth.total(_ANOMALIES, "each"),
    "anomalies per hour": lambda truth: truth.rate("1h", _ANOMALIES, "each").times(3_600),
    "latency spikes": lambda truth: truth.increase("10m", _ANOMALIES, "each", type="latency_spike"),
    "requests per minute": lambda truth: truth.rate("5m", _REQUESTS).times(60),
    "error percentage": lambda truth: _error_share(truth).times(100),
    "request p50": lambda truth: truth.quantile(0.50, _DURATION, "each"),
    "request p95": lambda truth: truth.quantile(0.95, _DURATION, "each"),
    "request p99": lambda truth: truth.quantile(0.99, _DURATION, "each"),
    "in progress": lambda _: _number(0.0),
    "exceptions per minute": lambda truth: truth.rate("5m", "fastapi_exceptions_total").times(60),
    "availability of one provider": lambda truth: _one(
        gauges.availability(truth.played), "provider", EXAMPLE_PROVIDER
    ).times(100),
    "error rate of one provider": lambda truth: _one(
        gauges.error_rate(truth.played), "provider", EXAMPLE_PROVIDER
    ).times(100),
    "provider p95": lambda truth: truth.quantile(0.95, "provider_response_time_seconds", "each").times(1_000),
    "model requests per minute": lambda truth: truth.rate("5m", _ATTEMPTS, "model").times(60),
    "model error percentage": lambda truth: _model_errors(truth).times(100),
    "tokens per minute": lambda truth: truth.rate("5m", _TOKENS, "model").times(60),
    "subscriptions": lambda truth: gauges.subscriptions(truth.played),
    "active keys": lambda truth: _number(float(sum(truth.played.keys_by_plan.values()) + truth.played.trials)),
    "active trials": lambda truth: _number(float(truth.played.trials)),
    "tokens of a life": lambda truth: truth.total(_TOKENS),
    "credits of a life": lambda truth: truth.total("credits_used_total"),
    "cost by provider": lambda truth: truth.total(_COST, "each"),
    "cost per minute": lambda truth: truth.rate("5m", _COST).times(60),
    "cache hit percentage": lambda truth: _hit_share(truth).times(100),
    "rate limited per minute": lambda truth: truth.rate("5m", "rate_limited_requests").times(60),
    "panel: health": lambda truth: gauges.health(truth.played),
    "panel: availability": lambda truth: gauges.availability(truth.played).times(100),
}

CORRECTED: Final[Mapping[str, Compute]] = {
    "average uptime": lambda truth: truth.increase("24h", _ATTEMPTS, status="success").over(
        truth.increase("24h", _ATTEMPTS)
    ),
    "dearest five": lambda truth: _cost_a_day(truth).top(5),
    "dearest ten": lambda truth: _cost_a_day(truth).top(10),
    "cost of one provider": lambda truth: truth.increase("24h", _COST, provider=EXAMPLE_PROVIDER),
    "cost by provider": _cost_a_day,
    "most efficient models": lambda truth: _token_ratio(truth, "model").top(5),
    "average efficiency": _token_ratio,
    "open breakers": lambda truth: _open(truth).grouped(("provider",), max),
    "breaker changes": lambda truth: truth.increase("1h", _TRANSITIONS, "provider", state="open"),
    "anomalies": lambda truth: truth.increase("1h", _ANOMALIES, "type"),
    "anomalies per hour": lambda truth: truth.increase("1h", _ANOMALIES, "type"),
    "latency spikes": lambda truth: truth.increase("10m", _ANOMALIES, type="latency_spike"),
    "request p50": lambda truth: truth.quantile(0.50, _DURATION),
    "request p95": lambda truth: truth.quantile(0.95, _DURATION),
    "request p99": lambda truth: truth.quantile(0.99, _DURATION),
    "exceptions per minute": lambda truth: truth.rate("5m", "fastapi_exceptions_total", "exception_type").times(60),
    "provider p95": lambda truth: truth.quantile(0.95, "provider_response_time_seconds", "provider").times(1_000),
    "model error percentage": lambda truth: (
        _model_errors(truth).if_absent(truth.rate("5m", _ATTEMPTS, "model").times(0.0)).times(100)
    ),
    "model p95": lambda truth: truth.quantile(0.95, "model_inference_duration_seconds", "model").times(1_000),
    "tokens per minute": lambda truth: truth.rate("5m", _TOKENS, "model", "token_type").times(60),
    "subscriptions": lambda truth: _summed(gauges.subscriptions(truth.played)),
    "tokens of a life": lambda truth: truth.increase("24h", _TOKENS, "token_type"),
    "credits of a life": lambda truth: truth.increase("24h", "credits_used_total"),
    "route p95": lambda truth: truth.quantile(0.95, _DURATION, "path"),
    "inference p95 by provider": lambda truth: truth.quantile(
        0.95, "model_inference_duration_seconds", "provider"
    ).times(1_000),
    "database p95": lambda truth: truth.quantile(0.95, "database_query_duration_seconds", "operation").times(1_000),
    "rate limited per minute": lambda truth: truth.rate("5m", "rate_limited_requests", "limit_type").times(60),
}
"""Those that return something else when corrected, and those that do not parse as written."""

ALERTS: Final[Mapping[str, Compute]] = {
    "HighErrorRate": lambda truth: _error_share(truth).only(lambda share: share > 0.05),
    "ProviderHealthDegraded": lambda truth: gauges.health(truth.played).only(lambda score: score < 0.7),
    "HighLatency": lambda truth: truth.quantile(0.95, _DURATION, "each").only(lambda seconds: seconds > 1.0),
    "CircuitBreakerOpen": _open,
    "HighCostRate": lambda truth: truth.rate("5m", _COST).times(60).only(lambda usd: usd > 100),
    "AnomalyDetected": lambda truth: truth.increase("5m", _ANOMALIES, "each").only(lambda count: count > 0),
}
"""The expressions of the alerts, as written."""


def expected_of(name: str, *, corrected: bool) -> Compute:
    """Return how to compute a query's result; raises KeyError for a name that is not here."""
    if corrected and name in CORRECTED:
        return CORRECTED[name]
    return AS_WRITTEN[name]
