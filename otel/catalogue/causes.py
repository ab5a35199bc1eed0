"""Why a request failed or was slow, and whether the gateway, a provider, the network or a caller is the cause."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec

ATTEMPT_FAILURES: Final = "gatewayz_attempt_failures_total"
FAILED_DURATION: Final = "gatewayz_failed_attempt_duration_seconds"

QUOTA_REMAINING: Final = "gatewayz_upstream_quota_remaining"
QUOTA_LIMIT: Final = "gatewayz_upstream_quota_limit"
OVERHEAD: Final = "gatewayz_overhead_seconds"
LONGEST_GAP: Final = "gatewayz_longest_chunk_gap_seconds"
POOL_WAIT: Final = "gatewayz_pool_wait_seconds"

OVERHEAD_BUCKETS_SECONDS: Final = (
    0.00025, 0.0005, 0.00075, 0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
"""A whole response costs the gateway about a millisecond, a stream some microseconds more for each chunk."""

WAIT_BUCKETS_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

FAMILIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=ATTEMPT_FAILURES,
        instrument="gatewayz.attempt.failures",
        kind=Kind.COUNTER,
        unit="{attempt}",
        help="Upstream attempts that failed, by the kind of the failure; each kind is in one fault domain.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.ERROR_KIND, values=semconv.ERROR_KINDS)),
        categories=(Category.MODELS, Category.PROVIDERS),
        series_limit=20_000,
        starts_at_zero=True,
        most_at_zero=1_000,
        updated_by="each upstream attempt that fails; above 50 targets a series begins with its first failure",
        queries=(
            "topk(5, sum by (provider, model, error_kind) (increase(gatewayz_attempt_failures_total[15m])) > 0)",
            'sum by (provider) (rate(gatewayz_attempt_failures_total{error_kind="rate_limited"}[5m])) * 60',
        ),
        documented=False,
    ),
    MetricSpec(
        name=FAILED_DURATION,
        instrument="gatewayz.attempt.failed.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Duration of failed upstream attempts, by fault domain: how long a failure kept a caller waiting.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.FAULT, values=semconv.FAULT_DOMAINS)),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=DURATION_BUCKETS_SECONDS,
        series_limit=5_000,
        updated_by="each upstream attempt that fails",
        queries=(
            "sum by (fault) (rate(gatewayz_failed_attempt_duration_seconds_count[5m])) * 60",
            "histogram_quantile(0.95, sum by (le, provider) (rate(gatewayz_failed_attempt_duration_seconds_bucket[5m])))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=OVERHEAD,
        instrument="gatewayz.overhead",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time of a call in the gateway that was not spent waiting for a provider, a client or a limit, "
        "from the arrival of the request to the last byte of the response.",
        labels=(
            Label(semconv.OPERATION, values=semconv.LLM_OPERATIONS),
            Label(semconv.STREAM, values=semconv.BOOLEANS),
        ),
        categories=(Category.SYSTEM, Category.PERFORMANCE),
        buckets=OVERHEAD_BUCKETS_SECONDS,
        updated_by="the end of each response to a call",
        queries=(
            "1000 * histogram_quantile(0.95, sum by (le, stream) (rate(gatewayz_overhead_seconds_bucket[5m])))",
            "1000 * sum(rate(gatewayz_overhead_seconds_sum[5m])) / sum(rate(gatewayz_overhead_seconds_count[5m]))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=LONGEST_GAP,
        instrument="gatewayz.stream.longest_gap",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="The longest wait for a provider between two chunks with content, one value per stream.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.PERFORMANCE),
        buckets=WAIT_BUCKETS_SECONDS,
        updated_by="the end of each streamed attempt that sent content twice or more",
        queries=(
            "histogram_quantile(0.95, sum by (le, provider) (rate(gatewayz_longest_chunk_gap_seconds_bucket[5m])))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=POOL_WAIT,
        instrument="gatewayz.pool.wait",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Waits of attempts for a pooled connection, those that ran out of time included; an attempt that found one at once is not counted.",
        labels=(labels.PROVIDER,),
        categories=(Category.PROVIDERS, Category.PERFORMANCE),
        buckets=WAIT_BUCKETS_SECONDS,
        updated_by="the end of each attempt that had to wait because `max_connections` were in use",
        queries=(
            "sum by (provider) (rate(gatewayz_pool_wait_seconds_count[5m])) * 60",
            "histogram_quantile(0.95, sum by (le, provider) (rate(gatewayz_pool_wait_seconds_bucket[5m])))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=QUOTA_REMAINING,
        instrument="gatewayz.upstream.quota.remaining",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="What is left of a quota of the gateway's account, as the provider last reported it; absent after 5 minutes without a report.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.QUOTA, values=semconv.QUOTAS)),
        categories=(Category.PROVIDERS,),
        series_limit=4_000,
        updated_by="each response with rate-limit headers",
        queries=("min by (provider, model) (gatewayz_upstream_quota_remaining / gatewayz_upstream_quota_limit) < 0.1",),
        documented=False,
    ),
    MetricSpec(
        name=QUOTA_LIMIT,
        instrument="gatewayz.upstream.quota.limit",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="1",
        help="The size of a quota of the gateway's account, where the provider reports it.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.QUOTA, values=semconv.QUOTAS)),
        categories=(Category.PROVIDERS,),
        series_limit=4_000,
        updated_by="each response with rate-limit headers",
        queries=("max by (provider, model, quota) (gatewayz_upstream_quota_limit)",),
        documented=False,
    ),
)
