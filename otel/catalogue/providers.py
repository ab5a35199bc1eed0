"""The providers of models: availability, errors, response time, health and circuit breakers."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec

AVAILABILITY: Final = "provider_availability"
ERROR_RATE: Final = "provider_error_rate"
RESPONSE_TIME: Final = "provider_response_time_seconds"
HEALTH_SCORE: Final = "gatewayz_provider_health_score"
BREAKER_STATE: Final = "gatewayz_circuit_breaker_state"
MODEL_BREAKER_STATE: Final = "gatewayz_model_circuit_breaker_state"
BREAKER_TRANSITIONS: Final = "gatewayz_circuit_breaker_transitions_total"
PROBES: Final = "gatewayz_provider_probes_total"
MODEL_LISTED: Final = "gatewayz_model_listed"

DOCUMENTED: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=AVAILABILITY,
        instrument="gatewayz.provider.availability",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Share of the last 5 minutes in which the provider could take traffic, 0 to 1.",
        labels=(labels.PROVIDER,),
        categories=(Category.PROVIDERS,),
        updated_by="health probes and the circuit breaker",
        queries=("provider_availability * 100",),
    ),
    MetricSpec(
        name=ERROR_RATE,
        instrument="gatewayz.provider.error_rate",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Failed share of the attempts of the last 5 minutes, 0 to 1.",
        labels=(labels.PROVIDER,),
        categories=(Category.PROVIDERS,),
        updated_by="the window of attempts",
        queries=("provider_error_rate * 100",),
    ),
    MetricSpec(
        name=RESPONSE_TIME,
        instrument="gatewayz.provider.response.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from sending an attempt to the first byte of the provider's response, or to its timeout.",
        labels=(labels.PROVIDER,),
        categories=(Category.PROVIDERS, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        updated_by="each attempt that got a response or timed out",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (le, provider) (rate(provider_response_time_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name=HEALTH_SCORE,
        instrument="gatewayz.provider.health_score",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="0.4 x availability + 0.3 x (1 - error rate) + 0.3 x latency score, 0 to 1.",
        labels=(labels.PROVIDER,),
        categories=(Category.PROVIDERS,),
        updated_by="the health evaluation",
        queries=("topk(5, gatewayz_provider_health_score)", "gatewayz_provider_health_score < 0.7"),
    ),
    MetricSpec(
        name=BREAKER_STATE,
        instrument="gatewayz.circuit_breaker.state",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="1 for the state the provider's circuit breaker is in, 0 for the two others.",
        labels=(labels.PROVIDER, Label(semconv.STATE, values=semconv.BREAKER_STATES)),
        categories=(Category.PROVIDERS,),
        updated_by="the circuit breaker",
        queries=('gatewayz_circuit_breaker_state{state="open"} == 1',),
    ),
)

FURTHER: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=MODEL_BREAKER_STATE,
        instrument="gatewayz.model.circuit_breaker.state",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="1 for the state of the circuit breaker of a model at a provider, 0 for the two others.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.STATE, values=semconv.BREAKER_STATES)),
        categories=(Category.PROVIDERS,),
        updated_by="the circuit breaker of a model at a provider",
        queries=('gatewayz_model_circuit_breaker_state{state="open"} == 1',),
        documented=False,
    ),
    MetricSpec(
        name=BREAKER_TRANSITIONS,
        instrument="gatewayz.circuit_breaker.transitions",
        kind=Kind.COUNTER,
        unit="{transition}",
        help="Circuit breaker transitions, by the state entered.",
        labels=(labels.PROVIDER, Label(semconv.STATE, values=semconv.BREAKER_STATES)),
        categories=(Category.PROVIDERS,),
        starts_at_zero=True,
        updated_by="the circuit breaker",
        queries=('sum by (provider) (increase(gatewayz_circuit_breaker_transitions_total{state="open"}[1h]))',),
        documented=False,
    ),
    MetricSpec(
        name=PROBES,
        instrument="gatewayz.provider.probes",
        kind=Kind.COUNTER,
        unit="{probe}",
        help="The gateway's own small calls to providers, by outcome; they do not count as traffic.",
        labels=(labels.PROVIDER, Label(semconv.OUTCOME, values=semconv.PROBE_OUTCOMES)),
        categories=(Category.PROVIDERS,),
        starts_at_zero=True,
        updated_by="each probe that ends",
        queries=('sum by (provider) (increase(gatewayz_provider_probes_total{outcome="down"}[5m]))',),
        documented=False,
    ),
    MetricSpec(
        name=MODEL_LISTED,
        instrument="gatewayz.model.listed",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="1 where the provider's list of models names the model, 0 where it does not; absent where the provider returns no list.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS,),
        updated_by="the probe of the provider's models",
        queries=("gatewayz_model_listed == 0",),
        documented=False,
    ),
)
