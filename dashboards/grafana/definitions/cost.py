"""Cost: US dollars per hour now and by provider, model and plan, what the cache saves, what has no price, the month, budgets."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Column, Dashboard, Order, Panel, PanelKind, Query, Row, Step

_B: Final = parts.BY_BOTH
_PER_PLAN: Final = (
    'sum by (plan) (rate({job="gatewayz"} | json | logger="gatewayz.request" | cost_usd>0'
    ' | __error__="" | unwrap cost_usd [$__auto])) * 3600'
)
_INPUT: Final = f'sum(increase(tokens_used_total{{token_type="input", {_B}}}[$__range]))'
_CACHED: Final = f'sum(increase(gatewayz_tokens_detail_total{{token_detail="cached", {_B}}}[$__range]))'
_TOKENS: Final = f"sum(increase(tokens_used_total{{{_B}}}[$__range]))"
_UNPRICED: Final = f"sum(increase(gatewayz_unpriced_tokens_total{{{_B}}}[$__range]))"
_COSTLY_LOGS: Final = '{job="gatewayz"} | json | logger="gatewayz.request" | cost_usd>0.01'


def _stat(title: str, description: str, expr: str, unit: str, *steps: Step, maximum: float | None = None) -> Panel:
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.STAT,
        queries=(Query(expr=expr, legend=title, instant=True),),
        unit=unit,
        maximum=maximum,
        decimals=2 if unit == "currencyUSD" else 1,
        steps=steps or (Step("blue"),),
        no_value="no cost",
        width=4,
    )


def _usd_per_hour(by: str, title: str, width: int) -> Panel:
    return Panel(
        title=title,
        description=f"What providers charge, in US dollars per hour, by {by}.",
        kind=PanelKind.TIME_SERIES,
        queries=(
            Query(
                expr=f"topk(10, sum by ({by}) (rate(gatewayz_cost_usd_total{{{_B}}}[{parts.WINDOW}])) * 3600 > 0)",
                legend=f"{{{{{by}}}}}",
            ),
        ),
        unit="currencyUSD",
        is_stacked=True,
        by=by,
        no_value="no cost",
        width=width,
    )


COST: Final = Dashboard(
    uid="gatewayz-cost",
    title="Cost",
    description="What providers charge now, in the time range and by the end of the month, and what the budgets allow.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=_COSTLY_LOGS,
    traces=parts.TRACES_OF_CHOSEN,
    time_from="now-6h",
    rows=(
        Row(
            height=4,
            is_purpose=True,
            panels=(
                parts.usd_per_hour(4),
                _stat(
                    "Cost of the time range",
                    "What providers charged in the chosen time range.",
                    f"sum(increase(gatewayz_cost_usd_total{{{_B}}}[$__range]))",
                    "currencyUSD",
                ),
                _stat(
                    "Month at this rate",
                    "The cost of a whole month if each of its days cost as much as the last 24 hours.",
                    f"sum(increase(gatewayz_cost_usd_total{{{_B}}}[24h])) * max(days_in_month())",
                    "currencyUSD",
                ),
                _stat(
                    "Cached share of the input",
                    "Input tokens that came from a provider's cache, and so cost less.",
                    parts.share(_CACHED, _INPUT),
                    "percent",
                    maximum=100,
                ),
                _stat(
                    "Unpriced share",
                    "Tokens that no price is known for, so that their cost counts as 0.",
                    parts.share(_UNPRICED, _TOKENS),
                    "percent",
                    Step("green"),
                    Step("yellow", 0.1),
                    Step("red", 5),
                    maximum=100,
                ),
                _stat(
                    "Exposure",
                    "What abandoned work of the time range may cost beyond the cost that is counted.",
                    f"sum(increase(gatewayz_exposure_usd_total{{{_B}}}[$__range]))",
                    "currencyUSD",
                ),
            ),
        ),
        Row(
            height=7,
            is_purpose=True,
            panels=(
                _usd_per_hour("provider", "USD per hour by provider", 8),
                _usd_per_hour("model", "USD per hour by model", 8),
                Panel(
                    title="USD per hour by plan",
                    description="What the calls of a plan's keys cost per hour, from the request logs.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(parts.loki(_PER_PLAN, "{{plan}}"),),
                    unit="currencyUSD",
                    is_stacked=True,
                    no_value="no cost",
                    logs=_COSTLY_LOGS,
                    width=8,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Budgets: used",
                    description="Share of a plan's budget that is spent; at 100 % its calls are refused.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr=(
                                "100 * (1 - min by (plan, period) (gatewayz_budget_remaining_usd)"
                                " / max by (plan, period) (gatewayz_budget_limit_usd))"
                            ),
                            legend="{{plan}} per {{period}}",
                            instant=True,
                        ),
                    ),
                    unit="percent",
                    maximum=100,
                    decimals=1,
                    steps=(Step("green"), Step("yellow", 75), Step("red", 90)),
                    no_value="no plan has a budget",
                    width=8,
                ),
                parts.cost_analysis(8),
                Panel(
                    title="Cost by source",
                    description="The part of the cost that the provider reported, that a price gives, and that is estimated.",
                    kind=PanelKind.PIE_CHART,
                    queries=(
                        Query(
                            expr=f"sum by (cost_source) (increase(gatewayz_cost_usd_total{{{_B}}}[$__range])) > 0",
                            legend="{{cost_source}}",
                            instant=True,
                        ),
                    ),
                    unit="currencyUSD",
                    decimals=2,
                    no_value="no cost",
                    width=8,
                ),
            ),
        ),
        Row(
            height=8,
            panels=(
                Panel(
                    title="Most expensive models",
                    description="Cost and tokens of the time range by provider and model.",
                    kind=PanelKind.TABLE,
                    queries=(
                        Query(
                            expr=f"topk(10, sum by (provider, model) (increase(gatewayz_cost_usd_total{{{_B}}}[$__range])) > 0)",
                            instant=True,
                        ),
                        Query(
                            expr=f"sum by (provider, model) (increase(tokens_used_total{{{_B}}}[$__range])) > 0",
                            instant=True,
                        ),
                    ),
                    unit="none",
                    minimum=None,
                    columns=(
                        Column(field="provider", title="Provider"),
                        Column(field="model", title="Model"),
                        Column(field="Value #A", title="Cost", unit="currencyUSD"),
                        Column(field="Value #B", title="Tokens", unit="short"),
                    ),
                    order=(Order("Cost", is_descending=True),),
                    no_value="no cost",
                    width=12,
                ),
                Panel(
                    title="Charged to callers, and paid",
                    description="Credits charged per hour (one credit is one US dollar) beside what providers charge.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=f"sum(rate(credits_used_total{{{_B}}}[{parts.WINDOW}])) * 3600",
                            legend="charged",
                        ),
                        Query(
                            expr=f"sum(rate(gatewayz_cost_usd_total{{{_B}}}[{parts.WINDOW}])) * 3600",
                            legend="paid",
                        ),
                    ),
                    unit="currencyUSD",
                    no_value="no cost",
                    width=6,
                ),
                Panel(
                    title="Reported against priced",
                    description="By how much providers report more or less than the price, in US dollars of the time range.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr=(
                                "sum by (provider, direction) (increase(gatewayz_reported_cost_difference_usd_total"
                                f"{{{_B}}}[$__range])) > 0"
                            ),
                            legend="{{provider}} {{direction}}",
                            instant=True,
                        ),
                    ),
                    unit="currencyUSD",
                    by="provider",
                    no_value="no difference",
                    empty_when_well=True,
                    width=6,
                ),
            ),
        ),
        Row(
            height=6,
            panels=(
                Panel(
                    title="Keys and trials",
                    description="API keys that are neither revoked nor expired, and trials that have not ended.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(expr="max(active_api_keys)", legend="active keys"),
                        Query(expr="max(trial_active)", legend="trials"),
                    ),
                    unit="short",
                    decimals=0,
                    no_value="the database was not read yet",
                    width=12,
                ),
                Panel(
                    title="Keys by plan",
                    description="Active keys of each plan, trials excluded.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(Query(expr="max by (plan) (subscription_count)", legend="{{plan}}"),),
                    unit="short",
                    decimals=0,
                    is_stacked=True,
                    no_value="the database was not read yet",
                    width=12,
                ),
            ),
        ),
    ),
)
