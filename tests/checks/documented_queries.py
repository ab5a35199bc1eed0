"""The documented PromQL queries, verbatim, with a note where the query cookbook corrects one.

`AS_WRITTEN` are the queries that parse: each is to be answered as it stands. `REPLACED` are those
that do not parse, with the query that says what was meant.
"""

from typing import Final

EXAMPLE_PROVIDER: Final = "openrouter"
EXAMPLE_MODEL: Final = "anthropic/claude-opus-4.5"

AS_WRITTEN: Final = (
    # Newly implemented metrics
    "topk(5, gatewayz_provider_health_score)",
    "gatewayz_provider_health_score < 0.7",
    'gatewayz_provider_health_score{provider="openrouter"}',
    "gatewayz_model_uptime_24h < 0.99",
    "avg(gatewayz_model_uptime_24h)",
    'gatewayz_model_uptime_24h{model="anthropic/claude-opus-4.5"}',
    "topk(5, gatewayz_cost_by_provider)",
    "rate(gatewayz_cost_by_provider[5m]) * 60",
    'gatewayz_cost_by_provider{provider="openrouter"}',
    "topk(5, gatewayz_token_efficiency)",
    'gatewayz_token_efficiency{model="anthropic/claude-opus-4.5"}',
    "avg(gatewayz_token_efficiency)",
    'gatewayz_circuit_breaker_state{state="open"} == 1',
    "rate(gatewayz_circuit_breaker_state[5m])",
    "gatewayz_detected_anomalies",
    "rate(gatewayz_detected_anomalies[1h]) * 3600",
    'increase(gatewayz_detected_anomalies{type="latency_spike"}[10m])',
    # System health
    "sum(rate(fastapi_requests_total[5m])) * 60",
    '(sum(rate(fastapi_requests_total{status_code=~"5.."}[5m])) /\n sum(rate(fastapi_requests_total[5m]))) * 100',
    "histogram_quantile(0.50, rate(fastapi_requests_duration_seconds_bucket[5m]))",
    "histogram_quantile(0.95, rate(fastapi_requests_duration_seconds_bucket[5m]))",
    "histogram_quantile(0.99, rate(fastapi_requests_duration_seconds_bucket[5m]))",
    "sum(fastapi_requests_in_progress)",
    "sum(rate(fastapi_exceptions_total[5m])) * 60",
    # Provider health
    'provider_availability{provider="openrouter"} * 100',
    'provider_error_rate{provider="openrouter"} * 100',
    "histogram_quantile(0.95, rate(provider_response_time_seconds_bucket[5m])) * 1000",
    "topk(10, gatewayz_provider_health_score)",
    # Model performance
    "sum(rate(model_inference_requests_total[5m])) by (model) * 60",
    (
        '(sum(rate(model_inference_requests_total{status!="success"}[5m])) by (model) /\n'
        " sum(rate(model_inference_requests_total[5m])) by (model)) * 100"
    ),
    "sum(rate(tokens_used_total[5m])) by (model) * 60",
    # Business metrics
    "subscription_count",
    "active_api_keys",
    "trial_active",
    "sum(tokens_used_total)",
    "sum(credits_used_total)",
    "gatewayz_cost_by_provider",
    "sum(rate(gatewayz_cost_by_provider[5m])) * 60",
    "topk(10, gatewayz_cost_by_provider)",
    # Performance analysis
    (
        "(sum(rate(cache_hits_total[5m])) /\n"
        " (sum(rate(cache_hits_total[5m])) + sum(rate(cache_misses_total[5m])))) * 100"
    ),
    "sum(rate(rate_limited_requests[5m])) * 60",
)

_INFERENCE: Final = "rate(model_inference_duration_seconds_bucket[5m])"
_QUERIES: Final = "rate(database_query_duration_seconds_bucket[5m])"

REPLACED: Final = {
    f"histogram_quantile(0.95, {_INFERENCE}) by (model) * 1000": (
        f"1000 * histogram_quantile(0.95, sum by (model, le) ({_INFERENCE}))"
    ),
    f"histogram_quantile(0.95, {_INFERENCE}) by (provider) * 1000": (
        f"1000 * histogram_quantile(0.95, sum by (provider, le) ({_INFERENCE}))"
    ),
    f"histogram_quantile(0.95, {_QUERIES}) by (operation) * 1000": (
        f"1000 * histogram_quantile(0.95, sum by (operation, le) ({_QUERIES}))"
    ),
    "histogram_quantile(vector, rate(fastapi_requests_duration_seconds_bucket[5m]))": (
        "histogram_quantile(0.95, sum by (le, path) (rate(fastapi_requests_duration_seconds_bucket[5m])))"
    ),
}
