"""The documented dashboard: five panels that say in one look which provider is unhealthy, how much fails, and what it costs.

Its queries are the documented ones, corrected: series of several instances are aggregated, a share
without failures is 0 and without traffic absent, and cost is what the chosen time range cost
instead of a counter's life.
"""

from typing import Final

from dashboards.grafana.model import Dashboard, Panel, PanelKind, Place, Query, Step, Variable

_ERROR_SHARE: Final = (
    '100 * (sum(rate(fastapi_requests_total{status_code=~"5.."}[5m])) or vector(0))'
    " / (sum(rate(fastapi_requests_total[5m])) > 0)"
)

GATEWAY_OVERVIEW: Final = Dashboard(
    uid="gatewayz-overview",
    title="Gateway overview",
    description="Provider health, errors, tokens, cost and availability of the LLM gateway.",
    folder="Gatewayz",
    tags=("gatewayz",),
    variables=(
        Variable(name="provider", label="Provider", family="gatewayz_provider_health_score", label_key="provider"),
        Variable(name="model", label="Model", family="model_inference_requests_total", label_key="model"),
    ),
    panels=(
        Panel(
            title="Provider health",
            description="0.4 x availability + 0.3 x (1 - error rate) + 0.3 x latency score. Below 0.7 for 10 minutes is an alert.",
            kind=PanelKind.STAT,
            queries=(
                Query(
                    expr='min by (provider) (gatewayz_provider_health_score{provider=~"$provider"})',
                    legend="{{provider}}",
                ),
            ),
            unit="none",
            steps=(Step("red"), Step("yellow", 0.7), Step("green", 0.85)),
            minimum=0,
            maximum=1,
            place=Place(0, 0, 16, 8),
        ),
        Panel(
            title="Error rate",
            description="Share of requests answered with a 5xx status in the last 5 minutes. Above 5 % for 5 minutes is an alert.",
            kind=PanelKind.GAUGE,
            queries=(Query(expr=_ERROR_SHARE, legend="5xx"),),
            unit="percent",
            steps=(Step("green"), Step("yellow", 1), Step("red", 5)),
            minimum=0,
            maximum=100,
            no_value="no traffic",
            place=Place(16, 0, 8, 8),
        ),
        Panel(
            title="Token usage over time",
            description="Tokens per minute, input and output apart, as the providers report them.",
            kind=PanelKind.TIME_SERIES,
            queries=(
                Query(
                    expr='sum by (model, token_type) (rate(tokens_used_total{model=~"$model"}[5m])) * 60',
                    legend="{{model}} {{token_type}}",
                ),
            ),
            unit="short",
            minimum=0,
            place=Place(0, 8, 16, 9),
        ),
        Panel(
            title="Cost analysis",
            description="What providers charged in the chosen time range: upstream price times usage.",
            kind=PanelKind.PIE_CHART,
            queries=(
                Query(
                    expr="topk(10, sum by (provider) (increase(gatewayz_cost_by_provider[$__range])))",
                    legend="{{provider}}",
                    instant=True,
                ),
            ),
            unit="currencyUSD",
            place=Place(16, 8, 8, 9),
        ),
        Panel(
            title="Provider availability",
            description="Share of the last 5 minutes in which the provider could take traffic; time with an open breaker counts as unavailable.",
            kind=PanelKind.STAT,
            queries=(
                Query(
                    expr='min by (provider) (provider_availability{provider=~"$provider"}) * 100', legend="{{provider}}"
                ),
            ),
            unit="percent",
            steps=(Step("red"), Step("yellow", 95), Step("green", 99)),
            minimum=0,
            maximum=100,
            place=Place(0, 17, 24, 6),
        ),
    ),
)
