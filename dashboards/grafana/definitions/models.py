"""Models: time to first token, tokens per second, usage with its parts, uptime and efficiency."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Dashboard, Meaning, Panel, PanelKind, Query, Row, Step

_M: Final = parts.BY_MODEL
_CELLS: Final = 9
"""Of large values beside each other: more have names that are too small to read."""

_FAILED: Final = (
    f'sum by (model) (rate(model_inference_requests_total{{status="error", {parts.BY_BOTH}}}[{parts.WINDOW}]))'
)
_LISTED_SERIES: Final = f"gatewayz_model_listed{{{parts.BY_BOTH}}}"
_LISTED: Final = f"min by (provider, model) ({_LISTED_SERIES})"
_ALL: Final = f"sum by (model) (rate(model_inference_requests_total{{{parts.BY_BOTH}}}[{parts.WINDOW}]))"


def _quantile_by_model(title: str, description: str, family: str, q: float, unit: str) -> Panel:
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.TIME_SERIES,
        queries=(Query(expr=parts.quantile(q, family, "model", parts.BY_BOTH), legend="{{model}}", exemplars=True),),
        unit=unit,
        by="model",
        no_value="no streams",
        width=8,
    )


MODELS: Final = Dashboard(
    uid="gatewayz-models",
    title="Models",
    description="How fast each model is, how many tokens it uses and of which kind, and how often it serves its calls.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=parts.LOGS_OF_CHOSEN,
    traces=parts.TRACES_OF_CHOSEN,
    rows=(
        Row(
            height=5,
            is_purpose=True,
            panels=(
                Panel(
                    title="Lowest uptime, 24 h",
                    description="Successful share of the worst models' calls, from the ledger; callers' mistakes do not count.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=f"bottomk({_CELLS}, min by (model) (gatewayz_model_uptime_24h{{{_M}}}))",
                            legend="{{model}}",
                            instant=True,
                        ),
                    ),
                    unit="percentunit",
                    maximum=1,
                    decimals=1,
                    steps=(Step("red"), Step("yellow", 0.99), Step("green", 0.999)),
                    by="model",
                    no_value="no calls in 24 hours",
                    width=12,
                ),
                Panel(
                    title="Lowest token efficiency",
                    description="Output tokens per input token of the models that return least for their input, from the ledger.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=f"bottomk({_CELLS}, avg by (model) (gatewayz_token_efficiency{{{_M}}}))",
                            legend="{{model}}",
                            instant=True,
                        ),
                    ),
                    unit="none",
                    decimals=3,
                    steps=(Step("blue"),),
                    by="model",
                    no_value="no tokens in 24 hours",
                    width=12,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                _quantile_by_model(
                    "Time to first token, p95",
                    "Time from sending a streamed attempt to its first chunk with content; points are traces.",
                    "gatewayz_time_to_first_token_seconds",
                    0.95,
                    "s",
                ),
                _quantile_by_model(
                    "Tokens per second, median",
                    "Output tokens per second of a stream, from its first token to its end.",
                    "gatewayz_output_tokens_per_second",
                    0.5,
                    "none",
                ),
                _quantile_by_model(
                    "Duration, p95",
                    "Duration of successful attempts, to the end of the stream.",
                    "model_inference_duration_seconds",
                    0.95,
                    "s",
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                parts.token_usage(8),
                Panel(
                    title="Parts of tokens",
                    description="Cached, cache write and audio tokens of the input, reasoning and audio tokens of the output, per minute.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (token_detail) (rate(gatewayz_tokens_detail_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{token_detail}}",
                        ),
                    ),
                    unit="short",
                    is_stacked=True,
                    no_value="no provider reports parts",
                    width=8,
                ),
                Panel(
                    title="Failed attempts by model",
                    description="Share of a model's attempts that failed.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(Query(expr=parts.share(_FAILED, _ALL), legend="{{model}}"),),
                    unit="percent",
                    maximum=100,
                    by="model",
                    no_value="no attempts",
                    width=8,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                _quantile_by_model(
                    "Longest gap in a stream, p95",
                    "The longest wait for a provider between two chunks with content.",
                    "gatewayz_longest_chunk_gap_seconds",
                    0.95,
                    "s",
                ),
                Panel(
                    title="Calls with failover",
                    description="Share of a model's calls that needed more than one attempt.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "100 * (1 - sum by (model) (rate(gatewayz_attempts_per_request_bucket"
                                f'{{le=~"1|1.0", {_M}}}[{parts.WINDOW}])) / (sum by (model)'
                                f" (rate(gatewayz_attempts_per_request_count{{{_M}}}[{parts.WINDOW}])) > 0))"
                            ),
                            legend="{{model}}",
                        ),
                    ),
                    unit="percent",
                    maximum=100,
                    by="model",
                    no_value="no calls",
                    width=8,
                ),
                Panel(
                    title="Cancelled calls",
                    description="Calls per minute whose client left, before or after the first byte of the response.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (model, phase) (rate(gatewayz_cancelled_calls_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{model}} {{phase}}",
                        ),
                    ),
                    unit="opm",
                    by="model",
                    no_value="no call was cancelled",
                    empty_when_well=True,
                    width=8,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                Panel(
                    title="Models that a provider no longer lists",
                    description="Models that the provider's own list did not name in the time range, and when.",
                    kind=PanelKind.STATE_TIMELINE,
                    queries=(
                        Query(
                            expr=f"{_LISTED} and min by (provider, model) (min_over_time({_LISTED_SERIES}[$__range])) == 0",
                            legend="{{provider}} {{model}}",
                        ),
                    ),
                    unit="none",
                    maximum=1,
                    steps=(Step("red"), Step("green", 1)),
                    meanings=(Meaning(0, "not listed", "red"), Meaning(1, "listed", "green")),
                    by="model",
                    no_value="every model is listed, or no provider returns a list",
                    empty_when_well=True,
                    width=12,
                ),
                Panel(
                    title="Estimated and implausible usage",
                    description="Attempts per minute without a usable token count of the provider: the gateway estimates instead.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "sum by (model) (rate(gatewayz_estimated_usage_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{model}} estimated",
                        ),
                        Query(
                            expr=(
                                "sum by (model) (rate(gatewayz_implausible_usage_total"
                                f"{{{parts.BY_BOTH}}}[{parts.WINDOW}])) * 60 > 0"
                            ),
                            legend="{{model}} implausible",
                        ),
                    ),
                    unit="opm",
                    by="model",
                    no_value="no usage was estimated",
                    empty_when_well=True,
                    width=12,
                ),
            ),
        ),
    ),
)
