"""API keys, subscriptions, trials, cost and the ledger."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import Category, Kind, Label, MetricSpec

ACTIVE_API_KEYS: Final = "active_api_keys"
SUBSCRIPTIONS: Final = "subscription_count"
ACTIVE_TRIALS: Final = "trial_active"
PROVIDER_COST: Final = "gatewayz_cost_by_provider"
LEDGER_ROWS_DROPPED: Final = "gatewayz_ledger_rows_dropped_total"

DOCUMENTED: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=ACTIVE_API_KEYS,
        instrument="gatewayz.api_keys.active",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{key}",
        help="API keys that are neither revoked nor expired.",
        categories=(Category.BUSINESS,),
        updated_by="the database",
        queries=("active_api_keys",),
    ),
    MetricSpec(
        name=SUBSCRIPTIONS,
        instrument="gatewayz.subscriptions",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{subscription}",
        help="Active API keys by plan, trials excluded.",
        labels=(Label(semconv.PLAN, bound_by="configured plans or other"),),
        categories=(Category.BUSINESS,),
        updated_by="the database",
        queries=("sum(subscription_count)",),
    ),
    MetricSpec(
        name=ACTIVE_TRIALS,
        instrument="gatewayz.trials.active",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{trial}",
        help="Trials that have not ended.",
        categories=(Category.BUSINESS,),
        updated_by="the database",
        queries=("trial_active",),
    ),
    MetricSpec(
        name=PROVIDER_COST,
        instrument="gatewayz.provider.cost",
        kind=Kind.COUNTER,
        unit="USD",
        help="What providers charge: upstream price times usage, in US dollars.",
        labels=(labels.PROVIDER,),
        categories=(Category.BUSINESS, Category.PROVIDERS),
        starts_at_zero=True,
        updated_by="the end of each upstream attempt that used tokens",
        queries=(
            "topk(5, sum by (provider) (increase(gatewayz_cost_by_provider[24h])))",
            "sum by (provider) (rate(gatewayz_cost_by_provider[5m])) * 60",
        ),
    ),
)

FURTHER: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=LEDGER_ROWS_DROPPED,
        instrument="gatewayz.ledger.rows.dropped",
        kind=Kind.COUNTER,
        unit="{row}",
        help="Ledger rows lost because the database was unavailable for longer than the queue could hold them.",
        categories=(Category.BUSINESS,),
        starts_at_zero=True,
        updated_by="the ledger writer",
        queries=("increase(gatewayz_ledger_rows_dropped_total[1h]) > 0",),
        documented=False,
    ),
)
