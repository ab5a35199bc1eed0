"""What several boards have in common: queries, variables, links, and panels that are on more than one board."""

from typing import Final

from dashboards.grafana.model import Column, Panel, PanelKind, Query, Source, Step, Variable

FOLDER: Final = "Gatewayz"
WINDOW: Final = "$__rate_interval"
"""Grafana's: at least four scrapes, and wider for a longer time range."""

PROVIDER: Final = Variable(
    name="provider", label="Provider", family="gatewayz_provider_health_score", label_key="provider"
)
MODEL: Final = Variable(name="model", label="Model", family="model_inference_requests_total", label_key="model")

BY_PROVIDER: Final = 'provider=~"$provider"'
BY_MODEL: Final = 'model=~"$model"'
BY_BOTH: Final = f"{BY_PROVIDER}, {BY_MODEL}"

LOGS_OF_CHOSEN: Final = (
    '{job="gatewayz"} | json | logger="gatewayz.request" | provider=~"${provider:pipe}" | model=~"${model:pipe}"'
)
ERROR_LOGS: Final = '{job="gatewayz"} | json | level="error"'
TRACES_OF_CHOSEN: Final = (
    '{ resource.service.name = "gatewayz" && span.peer.service =~ "${provider:pipe}"'
    ' && span.gen_ai.request.model =~ "${model:pipe}" }'
)
FAILED_TRACES: Final = '{ resource.service.name = "gatewayz" && status = error }'
SERVER_TRACES: Final = '{ resource.service.name = "gatewayz" && kind = server }'

ERROR_SHARE: Final = (
    '100 * (sum(rate(fastapi_requests_total{status_code=~"5.."}[5m])) or vector(0))'
    " / (sum(rate(fastapi_requests_total[5m])) > 0)"
)
USD_PER_HOUR: Final = "sum(rate(gatewayz_cost_by_provider[10m])) * 3600"

TRACE_COLUMNS: Final = (
    Column(title="Trace ID", width_pixels=130),
    Column(title="Start time", width_pixels=160),
    Column(title="Service", width_pixels=80),
    Column(title="Name"),
    Column(title="Duration", width_pixels=80),
)
"""Tempo's columns, so wide that the duration is seen, too."""

ERROR_LINE: Final = (
    " | line_format `{{if .status}}{{.status}} {{.operation}}{{else}}{{.message}}{{end}}{{if .error_kind}} {{.error_kind}}{{end}}"
    "{{if .model}} {{.model}}{{end}}{{if .provider}} at {{.provider}}{{end}}`"
)
"""What of an error line a person reads first; its other fields are in its details."""

HEALTH_STEPS: Final = (Step("red"), Step("yellow", 0.7), Step("green", 0.85))
ERROR_STEPS: Final = (Step("green"), Step("yellow", 1), Step("red", 5))


def quantile(q: float, family: str, by: str = "", where: str = "", window: str = WINDOW) -> str:
    """Return the query of a quantile of a histogram, over all instances; `by` names labels to keep apart."""
    labels = f"le, {by}" if by else "le"
    selector = f"{{{where}}}" if where else ""
    return f"histogram_quantile({q}, sum by ({labels}) (rate({family}_bucket{selector}[{window}])))"


def quantiles(family: str, where: str = "", *values: float) -> tuple[Query, ...]:
    """Return one query for each quantile of a histogram; the highest shows its exemplars."""
    chosen = values or (0.5, 0.95, 0.99)
    return tuple(
        Query(expr=quantile(q, family, where=where), legend=f"p{q * 100:g}", exemplars=q == max(chosen)) for q in chosen
    )


def buckets(family: str, where: str = "") -> tuple[Query, ...]:
    """Return the query of a heat map: how many measurements fell into each bucket of a histogram."""
    selector = f"{{{where}}}" if where else ""
    return (Query(expr=f"sum by (le) (increase({family}_bucket{selector}[{WINDOW}]))", legend="{{le}}"),)


def share(part: str, whole: str) -> str:
    """Return the query of a share in percent: 0 without the part, absent without the whole."""
    return f"100 * ({part} or 0 * {whole}) / ({whole} > 0)"


def loki(expr: str, legend: str = "") -> Query:
    """Return a LogQL query over the time range."""
    return Query(expr=expr, legend=legend, source=Source.LOKI)


def provider_health(width: int) -> Panel:
    """Return the documented panel of the health of providers."""
    return Panel(
        title="Provider health",
        description="0.4 x availability + 0.3 x (1 - error rate) + 0.3 x latency score. Below 0.7 for 10 minutes is an alert.",
        kind=PanelKind.STAT,
        queries=(
            Query(expr=f"min by (provider) (gatewayz_provider_health_score{{{BY_PROVIDER}}})", legend="{{provider}}"),
        ),
        unit="none",
        steps=HEALTH_STEPS,
        maximum=1,
        decimals=2,
        by="provider",
        no_value="no provider is rated yet",
        width=width,
    )


def error_rate(width: int) -> Panel:
    """Return the documented panel of the share of failed requests."""
    return Panel(
        title="Error rate",
        description="Share of requests answered with a 5xx status in the last 5 minutes. Above 5 % for 5 minutes is an alert.",
        kind=PanelKind.GAUGE,
        queries=(Query(expr=ERROR_SHARE, legend="5xx"),),
        unit="percent",
        steps=ERROR_STEPS,
        maximum=100,
        decimals=1,
        no_value="no traffic",
        logs=ERROR_LOGS,
        traces=FAILED_TRACES,
        width=width,
    )


def token_usage(width: int) -> Panel:
    """Return the documented panel of tokens over time."""
    return Panel(
        title="Token usage over time",
        description="Tokens per minute, input and output apart, as the providers report them.",
        kind=PanelKind.TIME_SERIES,
        queries=(
            Query(
                expr=f"sum by (model, token_type) (rate(tokens_used_total{{{BY_MODEL}}}[5m])) * 60 > 0",
                legend="{{model}} {{token_type}}",
            ),
        ),
        unit="short",
        by="model",
        no_value="no tokens used",
        width=width,
    )


def cost_analysis(width: int) -> Panel:
    """Return the documented panel of the cost by provider."""
    return Panel(
        title="Cost analysis",
        description="What providers charged in the chosen time range: upstream price times usage.",
        kind=PanelKind.PIE_CHART,
        queries=(
            Query(
                expr="topk(10, sum by (provider) (increase(gatewayz_cost_by_provider[$__range])) > 0)",
                legend="{{provider}}",
                instant=True,
            ),
        ),
        unit="currencyUSD",
        decimals=2,
        by="provider",
        no_value="no cost",
        width=width,
    )


def provider_availability(width: int) -> Panel:
    """Return the documented panel of the availability of providers."""
    return Panel(
        title="Provider availability",
        description="Share of the last 5 minutes in which the provider could take traffic; time with an open breaker counts as unavailable.",
        kind=PanelKind.STAT,
        queries=(
            Query(
                expr=f"min by (provider) (provider_availability{{{BY_PROVIDER}}}) * 100",
                legend="{{provider}}",
            ),
        ),
        unit="percent",
        steps=(Step("red"), Step("yellow", 95), Step("green", 99)),
        maximum=100,
        decimals=1,
        by="provider",
        no_value="no provider is rated yet",
        width=width,
    )


def usd_per_hour(width: int) -> Panel:
    """Return the panel of what is spent now."""
    return Panel(
        title="USD per hour",
        description="What providers charge at the rate of the last 10 minutes. Above 100 USD per hour is an alert.",
        kind=PanelKind.STAT,
        queries=(Query(expr=USD_PER_HOUR, legend="USD per hour"),),
        unit="currencyUSD",
        steps=(Step("green"), Step("yellow", 50), Step("red", 100)),
        decimals=2,
        no_value="no cost",
        width=width,
    )
