"""Why a request failed or was slow, and whether the gateway, a provider, the network or a caller is the cause."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec

ATTEMPT_FAILURES: Final = "gatewayz_attempt_failures_total"
FAILED_DURATION: Final = "gatewayz_failed_attempt_duration_seconds"

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
)
