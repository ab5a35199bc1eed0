"""Latency: how durations are distributed, what of them is the gateway's own, and traces of slow requests as exemplars."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Dashboard, Panel, PanelKind, Query, Row

_CALLS: Final = 'path=~"/v1/.*"'
_SLOW_LOGS: Final = '{job="gatewayz"} | json | logger="gatewayz.request" | duration_ms>2000'
_SLOW_TRACES: Final = '{ resource.service.name = "gatewayz" && kind = server && duration > 2s }'


def _heatmap(title: str, description: str, family: str, where: str, width: int) -> Panel:
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.HEATMAP,
        queries=parts.buckets(family, where),
        unit="s",
        no_value="no traffic",
        width=width,
    )


def _lines(title: str, description: str, queries: tuple[Query, ...], no_value: str, width: int = 8) -> Panel:
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.TIME_SERIES,
        queries=queries,
        unit="s",
        no_value=no_value,
        width=width,
    )


def _by(family: str, by: str, where: str = "") -> tuple[Query, ...]:
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return (Query(expr=parts.quantile(0.95, family, by, where), legend=legend, exemplars=True),)


LATENCY: Final = Dashboard(
    uid="gatewayz-latency",
    title="Latency",
    description="How long requests take, which part of it is the gateway's own, and the traces of slow ones.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=_SLOW_LOGS,
    traces=_SLOW_TRACES,
    rows=(
        Row(
            height=8,
            is_purpose=True,
            panels=(
                _heatmap(
                    "Durations of calls",
                    "How many requests to /v1 fell into each bucket of duration, streams included.",
                    "fastapi_requests_duration_seconds",
                    _CALLS,
                    12,
                ),
                _heatmap(
                    "Response times of providers",
                    "How many attempts fell into each bucket of the time to the first byte.",
                    "provider_response_time_seconds",
                    parts.BY_PROVIDER,
                    12,
                ),
            ),
        ),
        Row(
            height=9,
            is_purpose=True,
            panels=(
                _lines(
                    "Duration of calls",
                    "Quantiles of requests to /v1; points are traces, a click opens one.",
                    parts.quantiles("fastapi_requests_duration_seconds", _CALLS),
                    "no traffic",
                ),
                _lines(
                    "The gateway's own time",
                    "Time of a call that was not spent waiting for a provider, a client or a limit.",
                    parts.quantiles("gatewayz_overhead_seconds"),
                    "no calls",
                ),
                _lines(
                    "Duration p95 by route",
                    "95 % of the requests of a route ended within this time.",
                    _by("fastapi_requests_duration_seconds", "path"),
                    "no traffic",
                ),
            ),
        ),
        Row(
            height=8,
            panels=(
                _heatmap(
                    "Times to the first token",
                    "How many streams fell into each bucket of the time to the first token.",
                    "gatewayz_time_to_first_token_seconds",
                    parts.BY_BOTH,
                    12,
                ),
                _heatmap(
                    "The gateway's own times",
                    "How many calls fell into each bucket of the gateway's own time.",
                    "gatewayz_overhead_seconds",
                    "",
                    12,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                _lines(
                    "Model p95",
                    "Duration of successful attempts by model, to the end of the stream.",
                    _by("model_inference_duration_seconds", "model", parts.BY_BOTH),
                    "no attempts",
                ),
                _lines(
                    "Own time p95, unary and streams",
                    "The gateway's own time by operation and by whether the response is a stream.",
                    _by("gatewayz_overhead_seconds", "operation, stream"),
                    "no calls",
                ),
                _lines(
                    "Event loop and database p95",
                    "How late the event loop ran its timers, and how long statements took.",
                    (
                        Query(expr=parts.quantile(0.95, "gatewayz_event_loop_lag_seconds"), legend="event loop"),
                        Query(
                            expr=parts.quantile(0.95, "database_query_duration_seconds", "operation"),
                            legend="{{operation}}",
                        ),
                    ),
                    "no traffic",
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Requests in progress",
                    description="Requests being served now, by route.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(Query(expr="sum by (path) (fastapi_requests_in_progress) > 0", legend="{{path}}"),),
                    unit="short",
                    is_stacked=True,
                    no_value="no request is in progress",
                    empty_when_well=True,
                    width=8,
                ),
                Panel(
                    title="Cache hits",
                    description="Share of lookups that found an entry, by cache.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                f"100 * sum by (cache) (rate(cache_hits_total[{parts.WINDOW}])) / (sum by (cache)"
                                f" (rate(cache_hits_total[{parts.WINDOW}]) + rate(cache_misses_total[{parts.WINDOW}])) > 0)"
                            ),
                            legend="{{cache}}",
                        ),
                    ),
                    unit="percent",
                    maximum=100,
                    no_value="no lookups",
                    width=8,
                ),
                Panel(
                    title="Requests refused by a limit",
                    description="Responses per minute with status 429, by the limit that was hit.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=f"sum by (limit_type) (rate(rate_limited_requests[{parts.WINDOW}])) * 60 > 0",
                            legend="{{limit_type}}",
                        ),
                    ),
                    unit="reqpm",
                    is_stacked=True,
                    no_value="no request was refused",
                    empty_when_well=True,
                    logs='{job="gatewayz"} | json | status="429"',
                    width=8,
                ),
            ),
        ),
    ),
)
