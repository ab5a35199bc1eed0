"""Providers: health and its three terms, circuit breakers over time, errors by cause, latency and upstream quotas."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Dashboard, Meaning, Panel, PanelKind, Query, Row, Step

_P: Final = parts.BY_PROVIDER
_SCORE: Final = f"min by (provider) (gatewayz_provider_health_score{{{_P}}})"
_AVAILABLE: Final = f"min by (provider) (provider_availability{{{_P}}})"
_SUCCESS: Final = f"(1 - max by (provider) (provider_error_rate{{{_P}}}))"
_LATENCY_SCORE: Final = f"clamp(({_SCORE} - 0.4 * {_AVAILABLE} - 0.3 * {_SUCCESS}) / 0.3, 0, 1)"
_BREAKER_LOGS: Final = '{job="gatewayz"} | json | logger="gatewayz.breaker" | provider=~"${provider:pipe}"'
_STATES: Final = (Meaning(0, "closed", "green"), Meaning(1, "half-open", "yellow"), Meaning(2, "open", "red"))


def _term(title: str, description: str, expr: str) -> Panel:
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.TIME_SERIES,
        queries=(Query(expr=expr, legend="{{provider}}"),),
        unit="percentunit",
        maximum=1,
        by="provider",
        no_value="no provider is rated yet",
        width=8,
    )


def _breakers(
    title: str,
    description: str,
    state: str,
    *,
    legend: str,
    width: int,
    only: str = "",
    no_value: str = "breakers are off",
) -> Panel:
    """Return a panel of breakers over time: 0 closed, 1 half open, 2 open. `state` is the query of one state, `%s` in its place.

    With `only`, the query of a condition, breakers that do not meet it are left out.
    """
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.STATE_TIMELINE,
        queries=(
            Query(
                expr="2 * " + state % '"open"' + " + " + state % '"half_open"' + (only and f" and {only}"),
                legend=legend,
            ),
        ),
        unit="none",
        maximum=2,
        steps=(Step("green"), Step("yellow", 1), Step("red", 2)),
        meanings=_STATES,
        by="provider",
        no_value=no_value,
        empty_when_well=bool(only),
        logs=_BREAKER_LOGS,
        width=width,
    )


PROVIDERS: Final = Dashboard(
    uid="gatewayz-providers",
    title="Providers",
    description="Health of each provider, its three terms, breakers, causes of errors, latency and upstream quotas.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=parts.LOGS_OF_CHOSEN,
    traces=parts.TRACES_OF_CHOSEN,
    rows=(
        Row(height=5, is_purpose=True, panels=(parts.provider_health(12), parts.provider_availability(12))),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                _breakers(
                    "Circuit breakers",
                    "The state of each provider's circuit breaker over time.",
                    f"max by (provider) (gatewayz_circuit_breaker_state{{state=%s, {_P}}})",
                    legend="{{provider}}",
                    width=12,
                ),
                Panel(
                    title="Errors by cause",
                    description="Failed attempts per minute by provider and kind of failure.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (provider, error_kind) (rate(gatewayz_attempt_failures_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{provider}} {{error_kind}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                    by="provider",
                    no_value="no failed attempts",
                    empty_when_well=True,
                    logs=f'{{job="gatewayz"}} | json | logger="gatewayz.attempt" | provider=~"{"${provider:pipe}"}"',
                    traces=f"{parts.TRACES_OF_CHOSEN.removesuffix(' }')} && status = error }}",
                    width=12,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Response time",
                    description="Time to the first byte of a provider's response, or to its timeout; points are traces.",
                    kind=PanelKind.TIME_SERIES,
                    queries=parts.quantiles("provider_response_time_seconds", _P),
                    unit="s",
                    no_value="no attempts",
                    width=8,
                ),
                Panel(
                    title="Response time p95 by provider",
                    description="95 % of the attempts of a provider had their first byte within this time.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=parts.quantile(0.95, "provider_response_time_seconds", "provider", _P),
                            legend="{{provider}}",
                        ),
                    ),
                    unit="s",
                    by="provider",
                    no_value="no attempts",
                    width=8,
                ),
                Panel(
                    title="Upstream quota left",
                    description="What is left of the account's quotas at providers that report them in their headers.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr=(
                                "100 * min by (provider, model, quota)"
                                f" (gatewayz_upstream_quota_remaining{{{parts.BY_BOTH}}}"
                                f" / gatewayz_upstream_quota_limit{{{parts.BY_BOTH}}})"
                            ),
                            legend="{{provider}} {{model}} {{quota}}",
                            instant=True,
                        ),
                    ),
                    unit="percent",
                    maximum=100,
                    steps=(Step("red"), Step("yellow", 10), Step("green", 30)),
                    by="provider",
                    no_value="no provider reports a quota",
                    width=8,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                _term(
                    "Availability",
                    "40 % of the health score: share of the last 5 minutes with traffic possible.",
                    _AVAILABLE,
                ),
                _term("Success rate", "30 % of the health score: 1 - error rate of the last 5 minutes.", _SUCCESS),
                _term(
                    "Latency score",
                    "30 % of the health score, computed back from it: 1 up to the target, 0 at the limit.",
                    _LATENCY_SCORE,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Attempts",
                    description="Upstream attempts per minute by provider and outcome.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (provider, status) (rate(model_inference_requests_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{provider}} {{status}}",
                        ),
                    ),
                    unit="opm",
                    is_stacked=True,
                    by="provider",
                    no_value="no attempts",
                    width=8,
                ),
                Panel(
                    title="How long failures take, p95",
                    description="How long a failed attempt kept its caller waiting, by fault domain.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=parts.quantile(
                                0.95, "gatewayz_failed_attempt_duration_seconds", "provider, fault", parts.BY_BOTH
                            ),
                            legend="{{provider}} {{fault}}",
                        ),
                    ),
                    unit="s",
                    by="provider",
                    no_value="no failed attempts",
                    empty_when_well=True,
                    width=8,
                ),
                Panel(
                    title="Probes",
                    description="The gateway's own small calls per minute, by provider and outcome.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                f"sum by (provider, outcome) (rate(gatewayz_provider_probes_total{{{_P}}}"
                                f"[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{provider}} {{outcome}}",
                        ),
                    ),
                    unit="opm",
                    by="provider",
                    no_value="probes are off",
                    width=8,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Breaker transitions",
                    description="How often circuits opened, half-opened and closed in the time range.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr=(
                                "sum by (provider, state) (increase(gatewayz_circuit_breaker_transitions_total"
                                f"{{{_P}}}[$__range])) > 0"
                            ),
                            legend="{{provider}} {{state}}",
                            instant=True,
                        ),
                    ),
                    unit="short",
                    decimals=0,
                    by="provider",
                    no_value="no circuit changed",
                    empty_when_well=True,
                    width=8,
                ),
                _breakers(
                    "Breakers of models",
                    "Breakers of models at a provider that opened in the time range; most problems are of one model.",
                    f"max by (provider, model) (gatewayz_model_circuit_breaker_state{{state=%s, {parts.BY_BOTH}}})",
                    only=(
                        "max by (provider, model) (max_over_time(gatewayz_model_circuit_breaker_state"
                        f'{{state!="closed", {parts.BY_BOTH}}}[$__range])) > 0'
                    ),
                    no_value="no breaker of a model opened, or breakers are off",
                    legend="{{provider}} {{model}}",
                    width=8,
                ),
                Panel(
                    title="Waits for a connection, p95",
                    description="How long attempts waited for a pooled connection; raise max_connections of a provider that shows here.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=parts.quantile(0.95, "gatewayz_pool_wait_seconds", "provider", _P),
                            legend="{{provider}}",
                        ),
                    ),
                    unit="s",
                    by="provider",
                    no_value="no attempt had to wait",
                    empty_when_well=True,
                    width=8,
                ),
            ),
        ),
    ),
)
