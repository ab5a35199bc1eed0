"""What attempts cost and where the number comes from: by provider and model, priced, reported, unpriced, abandoned."""

from typing import Final

from otel.catalogue import labels, semconv
from otel.catalogue.spec import Category, Kind, Label, MetricSpec

TOKEN_DETAILS: Final = "gatewayz_tokens_detail_total"  # noqa: S105  a metric name
COST: Final = "gatewayz_cost_usd_total"
UNPRICED_TOKENS: Final = "gatewayz_unpriced_tokens_total"
REPORTED_COST_DIFFERENCE: Final = "gatewayz_reported_cost_difference_usd_total"
EXPOSURE: Final = "gatewayz_exposure_usd_total"
BUDGET_LIMIT: Final = "gatewayz_budget_limit_usd"
BUDGET_REMAINING: Final = "gatewayz_budget_remaining_usd"

_BUDGET_LABELS: Final = (
    Label(semconv.PLAN, bound_by="configured plans"),
    Label(semconv.BUDGET_PERIOD, values=semconv.BUDGET_PERIODS),
)

FURTHER: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=TOKEN_DETAILS,
        instrument="gatewayz.gen_ai.token.details",
        kind=Kind.COUNTER,
        unit="{token}",
        help="Parts of tokens_used_total: cached, cache_write and audio_input of the input, reasoning and audio_output of the output.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.TOKEN_DETAIL, values=semconv.TOKEN_DETAILS)),
        categories=(Category.MODELS, Category.BUSINESS),
        series_limit=20_000,
        starts_at_zero=True,
        most_at_zero=500,
        updated_by="the end of each upstream attempt whose provider reported such tokens; above 100 targets a series begins with its first",
        queries=(
            (
                'sum by (model) (rate(gatewayz_tokens_detail_total{token_detail="cached"}[1h]))'
                ' / sum by (model) (rate(tokens_used_total{token_type="input"}[1h]))'
            ),
        ),
        documented=False,
    ),
    MetricSpec(
        name=COST,
        instrument="gatewayz.cost",
        kind=Kind.COUNTER,
        unit="USD",
        help="What providers charge, in US dollars, by provider, model and where the number comes from.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.COST_SOURCE, values=semconv.COST_SOURCES)),
        categories=(Category.MODELS, Category.BUSINESS),
        series_limit=20_000,
        starts_at_zero=True,
        updated_by="the end of each upstream attempt that cost something",
        queries=(
            "topk(10, sum by (provider, model) (increase(gatewayz_cost_usd_total[24h])))",
            "sum by (cost_source) (increase(gatewayz_cost_usd_total[24h]))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=UNPRICED_TOKENS,
        instrument="gatewayz.gen_ai.unpriced",
        kind=Kind.COUNTER,
        unit="{token}",
        help="Tokens that no price is known for, so that their cost counts as 0.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.MODELS, Category.BUSINESS),
        starts_at_zero=True,
        updated_by="the end of each upstream attempt at a target without a price",
        queries=("sum by (provider, model) (increase(gatewayz_unpriced_tokens_total[1h])) > 0",),
        documented=False,
    ),
    MetricSpec(
        name=REPORTED_COST_DIFFERENCE,
        instrument="gatewayz.cost.reported_difference",
        kind=Kind.COUNTER,
        unit="USD",
        help="By how much the provider's own figures are over or under the target's price, in US dollars.",
        labels=(labels.PROVIDER, labels.MODEL, Label(semconv.DIRECTION, values=semconv.DIRECTIONS)),
        categories=(Category.BUSINESS,),
        series_limit=20_000,
        starts_at_zero=True,
        most_at_zero=500,
        updated_by="the end of each attempt with a reported cost and a price; above 250 targets a series begins with its first",
        queries=(
            "sum by (provider, model, direction) (increase(gatewayz_reported_cost_difference_usd_total[24h])) > 0",
        ),
        documented=False,
    ),
    MetricSpec(
        name=EXPOSURE,
        instrument="gatewayz.cost.exposure",
        kind=Kind.COUNTER,
        unit="USD",
        help="What providers may charge beyond the cost for work that was abandoned, estimated, in US dollars.",
        labels=(labels.PROVIDER, labels.MODEL),
        categories=(Category.BUSINESS,),
        starts_at_zero=True,
        updated_by="each upstream attempt whose client left, or that timed out, after its request was sent",
        queries=("sum by (provider, model) (increase(gatewayz_exposure_usd_total[24h]))",),
        documented=False,
    ),
    MetricSpec(
        name=BUDGET_LIMIT,
        instrument="gatewayz.budget.limit",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="USD",
        help="What calls of all keys of a plan together may cost per day or month (UTC), in US dollars.",
        labels=_BUDGET_LABELS,
        categories=(Category.BUSINESS,),
        updated_by="the configuration; absent for plans without such a budget",
        queries=("max by (plan, period) (gatewayz_budget_limit_usd)",),
        documented=False,
    ),
    MetricSpec(
        name=BUDGET_REMAINING,
        instrument="gatewayz.budget.remaining",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="USD",
        help="What is left of a plan's budget, in US dollars; never below 0. What calls in flight have reserved is not spent yet.",
        labels=_BUDGET_LABELS,
        categories=(Category.BUSINESS,),
        updated_by="the end of each call, and the ledger every `jobs.business_seconds`",
        queries=(
            (
                "min by (plan, period) (gatewayz_budget_remaining_usd)"
                " / max by (plan, period) (gatewayz_budget_limit_usd) < 0.1"
            ),
        ),
        documented=False,
    ),
)
