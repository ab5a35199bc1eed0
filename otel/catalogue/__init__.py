"""The metric catalogue: every family the gateway can expose, and the only place where a name is written down.

Instruments, views, category endpoints, `/prometheus/metrics/docs` and the summary derive from it;
dashboards and rules are checked against it. Adding a metric is one entry here and one recording
line in `otel/metrics/measurements.py`.
"""

from typing import Final

from otel.catalogue import semconv
from otel.catalogue.extra import EXTRA_FAMILIES
from otel.catalogue.own import OWN_FAMILIES
from otel.catalogue.spec import Category, Kind, Label, MetricSpec

DURATION_BUCKETS_SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""Shared by every duration of an HTTP request or LLM call: fine enough for routing, and LLM calls reach two minutes."""

QUERY_BUCKETS_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""For database statements, which are three orders of magnitude shorter."""

_APP = Label(semconv.APP_NAME, bound_by="the configured application name")
_METHOD = Label(semconv.METHOD, bound_by="known HTTP methods or _OTHER")
_PATH = Label(semconv.PATH, bound_by="route templates or unmatched")
_STATUS_CODE = Label(semconv.STATUS_CODE, bound_by="HTTP status codes")
_PROVIDER = Label(semconv.PROVIDER, bound_by="configured providers or other")
_MODEL = Label(semconv.MODEL, bound_by="configured models or other")

GUIDE_FAMILIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name="fastapi_requests_total",
        instrument="http.server.request.count",
        kind=Kind.COUNTER,
        unit="{request}",
        help="HTTP requests that ended, by route template and status code; 499 is a client that left before the answer.",
        labels=(_APP, _METHOD, _PATH, _STATUS_CODE),
        categories=(Category.SYSTEM,),
        moved_by="each finished HTTP request",
        queries=(
            "sum(rate(fastapi_requests_total[5m])) * 60",
            (
                '100 * (sum(rate(fastapi_requests_total{status_code=~"5.."}[5m])) or vector(0))'
                " / sum(rate(fastapi_requests_total[5m]))"
            ),
        ),
    ),
    MetricSpec(
        name="fastapi_responses_total",
        instrument="http.server.response.count",
        kind=Kind.COUNTER,
        unit="{response}",
        help="HTTP responses, by route template and status code; the name that public Grafana dashboards query.",
        labels=(_APP, _METHOD, _PATH, _STATUS_CODE),
        categories=(Category.SYSTEM,),
        moved_by="each finished HTTP request",
        queries=("sum by (status_code) (rate(fastapi_responses_total[5m]))",),
        documented_by_guide=False,
    ),
    MetricSpec(
        name="fastapi_requests_duration_seconds",
        instrument="http.server.request.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from the first byte of an HTTP request to the end of its response body, streams included.",
        labels=(_APP, _METHOD, _PATH),
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        moved_by="the end of the response body",
        queries=("histogram_quantile(0.95, sum by (le, path) (rate(fastapi_requests_duration_seconds_bucket[5m])))",),
    ),
    MetricSpec(
        name="fastapi_requests_in_progress",
        instrument="http.server.active_requests",
        kind=Kind.UP_DOWN_COUNTER,
        unit="{request}",
        help="HTTP requests being served now.",
        labels=(_APP, _METHOD, _PATH),
        categories=(Category.SYSTEM,),
        moved_by="entry and exit of each HTTP request",
        queries=("sum(fastapi_requests_in_progress)",),
    ),
    MetricSpec(
        name="fastapi_exceptions_total",
        instrument="http.server.exception.count",
        kind=Kind.COUNTER,
        unit="{exception}",
        help="Exceptions that were unhandled or answered with a 5xx status.",
        labels=(_APP, _METHOD, _PATH, Label(semconv.EXCEPTION_TYPE, bound_by="exception classes of the code or other")),
        categories=(Category.SYSTEM,),
        moved_by="each unhandled or 5xx-mapped exception",
        queries=("sum by (exception_type) (rate(fastapi_exceptions_total[5m])) * 60",),
    ),
    MetricSpec(
        name="fastapi_app_info",
        instrument="gatewayz.app.info",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Always 1; its labels name the application and its version.",
        labels=(_APP, Label(semconv.VERSION, bound_by="the running version")),
        categories=(Category.SYSTEM,),
        moved_by="always present",
        queries=("fastapi_app_info",),
    ),
    MetricSpec(
        name="gatewayz_detected_anomalies",
        instrument="gatewayz.anomaly.count",
        kind=Kind.COUNTER,
        unit="{anomaly}",
        help="Anomalies that began, by type.",
        labels=(Label(semconv.TYPE, values=semconv.ANOMALY_TYPES),),
        categories=(Category.SYSTEM,),
        starts_at_zero=True,
        moved_by="the anomaly detector, once per anomaly",
        queries=("sum by (type) (increase(gatewayz_detected_anomalies[1h]))",),
    ),
    MetricSpec(
        name="provider_availability",
        instrument="gatewayz.provider.availability",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Share of the last 5 minutes in which the provider could take traffic, 0 to 1.",
        labels=(_PROVIDER,),
        categories=(Category.PROVIDERS,),
        moved_by="health probes and the circuit breaker",
        queries=("provider_availability * 100",),
    ),
    MetricSpec(
        name="provider_error_rate",
        instrument="gatewayz.provider.error_rate",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Failed share of the attempts of the last 5 minutes, 0 to 1.",
        labels=(_PROVIDER,),
        categories=(Category.PROVIDERS,),
        moved_by="the window of attempts",
        queries=("provider_error_rate * 100",),
    ),
    MetricSpec(
        name="provider_response_time_seconds",
        instrument="gatewayz.provider.response.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from sending an attempt to the first byte of the provider's answer, or to its time-out.",
        labels=(_PROVIDER,),
        categories=(Category.PROVIDERS, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        moved_by="each attempt that got a response or timed out",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (le, provider) (rate(provider_response_time_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name="gatewayz_provider_health_score",
        instrument="gatewayz.provider.health_score",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="0.4 x availability + 0.3 x (1 - error rate) + 0.3 x latency score, 0 to 1.",
        labels=(_PROVIDER,),
        categories=(Category.PROVIDERS,),
        moved_by="the health evaluation",
        queries=("topk(5, gatewayz_provider_health_score)", "gatewayz_provider_health_score < 0.7"),
    ),
    MetricSpec(
        name="gatewayz_circuit_breaker_state",
        instrument="gatewayz.circuit_breaker.state",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="1 for the state the provider's circuit breaker is in, 0 for the two others.",
        labels=(_PROVIDER, Label(semconv.STATE, values=semconv.BREAKER_STATES)),
        categories=(Category.PROVIDERS,),
        moved_by="the circuit breaker",
        queries=('gatewayz_circuit_breaker_state{state="open"} == 1',),
    ),
    MetricSpec(
        name="model_inference_requests_total",
        instrument="gen_ai.client.operation.count",
        kind=Kind.COUNTER,
        unit="{request}",
        help="Upstream attempts that ended, by outcome; a call whose client left is in neither.",
        labels=(_PROVIDER, _MODEL, Label(semconv.STATUS, values=semconv.ATTEMPT_STATUSES)),
        categories=(Category.MODELS,),
        starts_at_zero=True,
        moved_by="each upstream attempt that ends",
        queries=(
            "sum by (model) (rate(model_inference_requests_total[5m])) * 60",
            (
                '100 * (sum by (model) (rate(model_inference_requests_total{status!="success"}[5m]))'
                " or 0 * sum by (model) (rate(model_inference_requests_total[5m])))"
                " / sum by (model) (rate(model_inference_requests_total[5m]))"
            ),
        ),
    ),
    MetricSpec(
        name="model_inference_duration_seconds",
        instrument="gen_ai.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of successful upstream attempts, to the end of the stream.",
        labels=(_PROVIDER, _MODEL),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        moved_by="each successful upstream attempt",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (model, le) (rate(model_inference_duration_seconds_bucket[5m])))",
            "1000 * histogram_quantile(0.95, sum by (provider, le) (rate(model_inference_duration_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name="tokens_used_total",
        instrument="gen_ai.client.token.usage",
        kind=Kind.COUNTER,
        unit="{token}",
        help="Tokens that providers processed, as they reported or else as estimated.",
        labels=(_PROVIDER, _MODEL, Label(semconv.TOKEN_TYPE, values=semconv.TOKEN_TYPES)),
        categories=(Category.MODELS, Category.BUSINESS),
        starts_at_zero=True,
        moved_by="the end of each upstream attempt that used tokens",
        queries=("sum by (model, token_type) (rate(tokens_used_total[5m])) * 60",),
    ),
    MetricSpec(
        name="credits_used_total",
        instrument="gatewayz.credits.used",
        kind=Kind.COUNTER,
        unit="{credit}",
        help="Credits charged to callers; one credit is one US dollar.",
        labels=(_PROVIDER, _MODEL),
        categories=(Category.MODELS, Category.BUSINESS),
        starts_at_zero=True,
        moved_by="the end of each upstream attempt that used tokens",
        queries=("sum(increase(credits_used_total[24h]))",),
    ),
    MetricSpec(
        name="gatewayz_model_uptime_24h",
        instrument="gatewayz.model.uptime",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Successful share of the model's calls of the last 24 hours, from the ledger, 0 to 1.",
        labels=(_MODEL,),
        categories=(Category.MODELS,),
        moved_by="the ledger",
        queries=("gatewayz_model_uptime_24h < 0.99",),
    ),
    MetricSpec(
        name="gatewayz_token_efficiency",
        instrument="gatewayz.model.token_efficiency",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Output tokens per input token of the model, from the ledger.",
        labels=(_MODEL,),
        categories=(Category.MODELS,),
        moved_by="the ledger",
        queries=("topk(5, gatewayz_token_efficiency)",),
    ),
    MetricSpec(
        name="active_api_keys",
        instrument="gatewayz.api_keys.active",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{key}",
        help="API keys that are neither revoked nor expired.",
        categories=(Category.BUSINESS,),
        moved_by="the database",
        queries=("active_api_keys",),
    ),
    MetricSpec(
        name="subscription_count",
        instrument="gatewayz.subscriptions",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{subscription}",
        help="Active API keys by plan, trials excluded.",
        labels=(Label(semconv.PLAN, bound_by="configured plans or other"),),
        categories=(Category.BUSINESS,),
        moved_by="the database",
        queries=("sum(subscription_count)",),
    ),
    MetricSpec(
        name="trial_active",
        instrument="gatewayz.trials.active",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{trial}",
        help="Trials that have not ended.",
        categories=(Category.BUSINESS,),
        moved_by="the database",
        queries=("trial_active",),
    ),
    MetricSpec(
        name="gatewayz_cost_by_provider",
        instrument="gatewayz.provider.cost",
        kind=Kind.COUNTER,
        unit="USD",
        help="What providers charge us: upstream price times usage, in US dollars.",
        labels=(_PROVIDER,),
        categories=(Category.BUSINESS, Category.PROVIDERS),
        starts_at_zero=True,
        moved_by="the end of each upstream attempt that used tokens",
        queries=(
            "topk(5, sum by (provider) (increase(gatewayz_cost_by_provider[24h])))",
            "sum by (provider) (rate(gatewayz_cost_by_provider[5m])) * 60",
        ),
    ),
    MetricSpec(
        name="database_query_duration_seconds",
        instrument="db.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of database statements, by operation.",
        labels=(Label(semconv.OPERATION, values=semconv.QUERY_OPERATIONS),),
        categories=(Category.PERFORMANCE,),
        buckets=QUERY_BUCKETS_SECONDS,
        moved_by="every statement",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (operation, le) (rate(database_query_duration_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name="cache_hits_total",
        instrument="gatewayz.cache.hits",
        kind=Kind.COUNTER,
        unit="{lookup}",
        help="Cache look-ups that found an entry.",
        labels=(Label(semconv.CACHE, values=semconv.CACHES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        moved_by="every look-up",
        queries=(
            (
                "100 * sum(rate(cache_hits_total[5m]))"
                " / (sum(rate(cache_hits_total[5m])) + sum(rate(cache_misses_total[5m])))"
            ),
        ),
    ),
    MetricSpec(
        name="cache_misses_total",
        instrument="gatewayz.cache.misses",
        kind=Kind.COUNTER,
        unit="{lookup}",
        help="Cache look-ups that found nothing.",
        labels=(Label(semconv.CACHE, values=semconv.CACHES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        moved_by="every look-up",
        queries=("sum by (cache) (rate(cache_misses_total[5m]))",),
    ),
    MetricSpec(
        name="rate_limited_requests",
        instrument="gatewayz.requests.rate_limited",
        kind=Kind.COUNTER,
        unit="{request}",
        help="Requests answered with 429, by the limit that was hit.",
        labels=(Label(semconv.LIMIT_TYPE, values=semconv.LIMIT_TYPES),),
        categories=(Category.PERFORMANCE,),
        starts_at_zero=True,
        moved_by="each 429 that the gateway answers",
        queries=("sum by (limit_type) (rate(rate_limited_requests[5m])) * 60",),
    ),
)
"""The families that DESIGN documents: the guide's 25 and `fastapi_responses_total`."""

CATALOGUE: Final[tuple[MetricSpec, ...]] = GUIDE_FAMILIES + EXTRA_FAMILIES + OWN_FAMILIES


def families_of(category: Category) -> tuple[MetricSpec, ...]:
    """Return the families that the endpoint of `category` serves, in catalogue order."""
    return tuple(spec for spec in CATALOGUE if category in spec.categories)
