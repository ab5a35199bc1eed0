"""LLM calls: attempts, their duration, tokens and credits, by provider and model."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec

REQUESTS: Final = "model_inference_requests_total"
DURATION: Final = "model_inference_duration_seconds"
TOKENS: Final = "tokens_used_total"
CREDITS: Final = "credits_used_total"
UPTIME: Final = "gatewayz_model_uptime_24h"
TOKEN_EFFICIENCY: Final = "gatewayz_token_efficiency"  # noqa: S105  a metric name
TIME_TO_FIRST_TOKEN: Final = "gatewayz_time_to_first_token_seconds"  # noqa: S105  likewise
OUTPUT_RATE: Final = "gatewayz_output_tokens_per_second"
ATTEMPTS_PER_CALL: Final = "gatewayz_attempts_per_request"
CANCELLED_CALLS: Final = "gatewayz_cancelled_calls_total"
ESTIMATED_USAGE: Final = "gatewayz_estimated_usage_total"
IMPLAUSIBLE_USAGE: Final = "gatewayz_implausible_usage_total"

FIRST_TOKEN_BUCKETS_SECONDS: Final = (
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0,
)  # fmt: skip
TOKENS_PER_SECOND_BUCKETS: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 250.0, 500.0, 1000.0)

DOCUMENTED: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=REQUESTS,
        instrument="gen_ai.client.operation.count",
        kind=Kind.COUNTER,
        unit="{request}",
        help="Upstream attempts that ended, by outcome; a call whose client left counts as neither.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.STATUS, values=semconv.ATTEMPT_STATUSES)),
        categories=(Category.MODELS,),
        starts_at_zero=True,
        updated_by="each upstream attempt that ends",
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
        name=DURATION,
        instrument="gen_ai.client.operation.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of successful upstream attempts, to the end of the stream.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        updated_by="each successful upstream attempt",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (model, le) (rate(model_inference_duration_seconds_bucket[5m])))",
            "1000 * histogram_quantile(0.95, sum by (provider, le) (rate(model_inference_duration_seconds_bucket[5m])))",
        ),
    ),
    MetricSpec(
        name=TOKENS,
        instrument="gen_ai.client.token.usage",
        kind=Kind.COUNTER,
        unit="{token}",
        help="Tokens that providers processed, as they reported or else as estimated.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.TOKEN_TYPE, values=semconv.TOKEN_TYPES)),
        categories=(Category.MODELS, Category.BUSINESS),
        starts_at_zero=True,
        updated_by="the end of each upstream attempt that used tokens",
        queries=("sum by (model, token_type) (rate(tokens_used_total[5m])) * 60",),
    ),
    MetricSpec(
        name=CREDITS,
        instrument="gatewayz.credits.used",
        kind=Kind.COUNTER,
        unit="{credit}",
        help="Credits charged to callers; one credit is one US dollar.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.BUSINESS),
        starts_at_zero=True,
        updated_by="the end of each upstream attempt that used tokens",
        queries=("sum(increase(credits_used_total[24h]))",),
    ),
    MetricSpec(
        name=UPTIME,
        instrument="gatewayz.model.uptime",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Successful share of the model's calls of the last 24 hours, from the ledger, 0 to 1.",
        labels=(labels.MODEL,),
        categories=(Category.MODELS,),
        updated_by="the ledger",
        queries=("gatewayz_model_uptime_24h < 0.99",),
    ),
    MetricSpec(
        name=TOKEN_EFFICIENCY,
        instrument="gatewayz.model.token_efficiency",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="Output tokens per input token of the model, from the ledger.",
        labels=(labels.MODEL,),
        categories=(Category.MODELS,),
        updated_by="the ledger",
        queries=("topk(5, gatewayz_token_efficiency)",),
    ),
)

FURTHER: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=TIME_TO_FIRST_TOKEN,
        instrument="gen_ai.server.time_to_first_token",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time from sending a streamed attempt to its first chunk with content.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=FIRST_TOKEN_BUCKETS_SECONDS,
        updated_by="the end of each streamed attempt that sent content",
        queries=(
            "histogram_quantile(0.95, sum by (model, le) (rate(gatewayz_time_to_first_token_seconds_bucket[5m])))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=OUTPUT_RATE,
        instrument="gatewayz.gen_ai.output_rate",
        kind=Kind.HISTOGRAM,
        unit="{token}/s",
        help="Output tokens per second of successful streamed attempts, from the first token to the end.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=TOKENS_PER_SECOND_BUCKETS,
        updated_by="the end of each successful streamed attempt of two tokens or more",
        queries=("histogram_quantile(0.5, sum by (model, le) (rate(gatewayz_output_tokens_per_second_bucket[5m])))",),
        documented=False,
    ),
    MetricSpec(
        name=ATTEMPTS_PER_CALL,
        instrument="gatewayz.call.attempts",
        kind=Kind.HISTOGRAM,
        unit="{attempt}",
        help="Upstream attempts that one call needed; 0 is a response from the cache or no provider left to try, 2 or more is a failover.",
        labels=(labels.MODEL,),
        categories=(Category.MODELS,),
        buckets=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
        updated_by="the end of each call",
        queries=(
            "sum(rate(gatewayz_attempts_per_request_sum[5m])) / sum(rate(gatewayz_attempts_per_request_count[5m]))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=CANCELLED_CALLS,
        instrument="gatewayz.call.cancelled",
        kind=Kind.COUNTER,
        unit="{call}",
        help="Calls whose client left, before or after the first byte of the response; neither success nor error. The provider is other "
        "where none was asked: none yet, or for a cached response.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.PHASE, values=semconv.CANCEL_PHASES)),
        categories=(Category.MODELS,),
        starts_at_zero=True,
        updated_by="each call whose client left",
        queries=("sum by (phase) (rate(gatewayz_cancelled_calls_total[5m])) * 60",),
        documented=False,
    ),
    MetricSpec(
        name=ESTIMATED_USAGE,
        instrument="gatewayz.gen_ai.usage_estimated",
        kind=Kind.COUNTER,
        unit="{attempt}",
        help="Attempts whose token counts are the gateway's estimate because the provider reported none.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS,),
        starts_at_zero=True,
        updated_by="the end of each attempt whose provider reported no usage",
        queries=("sum by (provider) (rate(gatewayz_estimated_usage_total[5m]))",),
        documented=False,
    ),
    MetricSpec(
        name=IMPLAUSIBLE_USAGE,
        instrument="gatewayz.gen_ai.usage_implausible",
        kind=Kind.COUNTER,
        unit="{report}",
        help="Impossible token counts and costs that a provider reported, by count; the gateway estimates instead.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.TOKEN_TYPE, values=semconv.IMPLAUSIBLE_COUNTS)),
        categories=(Category.MODELS,),
        updated_by="the end of each attempt whose provider reported an impossible count",
        queries=("sum by (provider, token_type) (increase(gatewayz_implausible_usage_total[1h])) > 0",),
        documented=False,
    ),
)
