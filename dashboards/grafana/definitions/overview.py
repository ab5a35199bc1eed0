"""The overview: rate, errors and duration, the objectives and what is left of the error budget, and the documented panels."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Choice, Dashboard, Panel, PanelKind, Query, Row, SeriesColor, Step

SLO: Final = Choice(name="slo", label="Objective in %", values=("99.5", "99", "99.9", "95"))
_ERRORS: Final = '(sum(increase(fastapi_requests_total{status_code=~"5.."}[$__range])) or vector(0))'
_REQUESTS: Final = "(sum(increase(fastapi_requests_total[$__range])) > 0)"
_BUDGET: Final = "(1 - $slo / 100)"
_FIRST_TOKENS: Final = "gatewayz_time_to_first_token_seconds"


def _burn(window: str) -> Query:
    errors = f'(sum(rate(fastapi_requests_total{{status_code=~"5.."}}[{window}])) or vector(0))'
    return Query(expr=f"{errors} / (sum(rate(fastapi_requests_total[{window}])) > 0) / {_BUDGET}", legend=window)


OVERVIEW: Final = Dashboard(
    uid="gatewayz-overview",
    title="Gateway overview",
    description="Rate, errors, duration, objectives, provider health, tokens and cost of the LLM gateway.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    choices=(SLO,),
    logs='{job="gatewayz"} | json | logger="gatewayz.request"',
    traces=parts.SERVER_TRACES,
    rows=(
        Row(
            height=5,
            is_purpose=True,
            panels=(
                Panel(
                    title="Requests per minute",
                    description="HTTP requests that ended, over all gateways; monitoring routes are not counted.",
                    kind=PanelKind.STAT,
                    queries=(Query(expr="sum(rate(fastapi_requests_total[5m])) * 60", legend="requests"),),
                    unit="reqpm",
                    decimals=1,
                    no_value="no traffic",
                    width=4,
                ),
                parts.error_rate(4),
                Panel(
                    title="Duration p95",
                    description="95 % of the requests of the last 5 minutes ended within this time, streams included.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=parts.quantile(0.95, "fastapi_requests_duration_seconds", window="5m"), legend="p95"
                        ),
                    ),
                    unit="s",
                    steps=(Step("green"), Step("yellow", 10), Step("red", 30)),
                    no_value="no traffic",
                    width=4,
                ),
                Panel(
                    title="First token within 2 s",
                    description="Share of the streams of the time range whose first token came within 2 seconds; the objective is 95 %.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=(
                                f'100 * sum(increase({_FIRST_TOKENS}_bucket{{le=~"2|2.0"}}[$__range]))'
                                f" / (sum(increase({_FIRST_TOKENS}_count[$__range])) > 0)"
                            ),
                            legend="within 2 s",
                            instant=True,
                        ),
                    ),
                    unit="percent",
                    steps=(Step("red"), Step("yellow", 95), Step("green", 97)),
                    maximum=100,
                    decimals=1,
                    no_value="no streams",
                    width=4,
                ),
                Panel(
                    title="Error budget left",
                    description="What the objective still allows in the time range; below 0 more failed than it allows.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=f"100 * (1 - {_ERRORS} / {_REQUESTS} / {_BUDGET})",
                            legend="of $slo %",
                            instant=True,
                        ),
                    ),
                    unit="percent",
                    steps=(Step("red"), Step("yellow", 10), Step("green", 50)),
                    minimum=None,
                    maximum=100,
                    decimals=0,
                    no_value="no traffic",
                    logs=parts.ERROR_LOGS,
                    traces=parts.FAILED_TRACES,
                    width=4,
                ),
                parts.usd_per_hour(4),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Rate",
                    description="Requests per minute by status code.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=f"sum by (status_code) (rate(fastapi_requests_total[{parts.WINDOW}])) * 60",
                            legend="{{status_code}}",
                        ),
                    ),
                    unit="reqpm",
                    is_stacked=True,
                    colors=(SeriesColor("2..", "green"), SeriesColor("4..", "yellow"), SeriesColor("5..", "red")),
                    no_value="no traffic",
                    width=8,
                ),
                Panel(
                    title="Errors",
                    description="Requests per minute with a 5xx status, by route.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (path, status_code) (rate(fastapi_requests_total"
                                f'{{status_code=~"5.."}}[{parts.WINDOW}])) * 60'
                            ),
                            legend="{{path}} {{status_code}}",
                        ),
                    ),
                    unit="reqpm",
                    no_value="no errors",
                    empty_when_well=True,
                    logs=parts.ERROR_LOGS,
                    traces=parts.FAILED_TRACES,
                    width=8,
                ),
                Panel(
                    title="Duration",
                    description="Time from the first byte of a request to the end of its response, streams included.",
                    kind=PanelKind.TIME_SERIES,
                    queries=parts.quantiles("fastapi_requests_duration_seconds"),
                    unit="s",
                    no_value="no traffic",
                    width=8,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                parts.provider_health(12),
                Panel(
                    title="Burn rate",
                    description="How fast the error budget is used: 1 uses it up exactly at the end of the objective's period.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(_burn("5m"), _burn("1h"), _burn("6h")),
                    unit="none",
                    steps=(Step("green"), Step("yellow", 6), Step("red", 14.4)),
                    no_value="no traffic",
                    logs=parts.ERROR_LOGS,
                    traces=parts.FAILED_TRACES,
                    width=12,
                ),
            ),
        ),
        Row(
            height=8,
            panels=(parts.token_usage(10), parts.cost_analysis(8), parts.provider_availability(6)),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Exceptions",
                    description="Exceptions per minute that were unhandled or became a 5xx response.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=f"sum by (exception_type) (rate(fastapi_exceptions_total[{parts.WINDOW}])) * 60",
                            legend="{{exception_type}}",
                        ),
                    ),
                    unit="opm",
                    no_value="no exceptions",
                    empty_when_well=True,
                    logs=parts.ERROR_LOGS,
                    traces=parts.FAILED_TRACES,
                    width=12,
                ),
                Panel(
                    title="Anomalies",
                    description="Anomalies that began in the time range, by type.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr="sum by (type) (increase(gatewayz_detected_anomalies[$__range]))",
                            legend="{{type}}",
                            instant=True,
                        ),
                    ),
                    unit="short",
                    steps=(Step("green"), Step("yellow", 1)),
                    decimals=0,
                    no_value="the detector is off",
                    logs='{job="gatewayz"} | json | logger="gatewayz.anomaly"',
                    width=12,
                ),
            ),
        ),
    ),
)
