"""One screen for who was called: what is broken, since when, why, what it costs, and a trace and log lines that show it."""

from typing import Final

from dashboards.alerting.settings import read_settings
from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Column, Dashboard, Meaning, Order, Panel, PanelKind, Query, Row, Source, Step

_SUBJECT: Final = ", ".join(
    f'"{label}"'
    for label in ("provider", "model", "plan", "type", "path", "slo", "signal", "reason", "job", "instance")
)
_SINCE: Final = (
    "1000 * max by (alertname, alertstate, severity, subject) (label_join("
    f'ALERTS * ignoring (alertstate) group_left () ALERTS_FOR_STATE, "subject", " ", {_SUBJECT}))'
)
"""The time at which an alert's condition began, in milliseconds; what it is about is in labels that differ from alert to alert."""

_RUNBOOK: Final = f"{read_settings().runbook_base_url}${{__data.fields.Alert}}.md"

ON_CALL: Final = Dashboard(
    uid="gatewayz-on-call",
    title="On call",
    description="What is broken, since when, why and what it costs, with a trace and log lines that show it.",
    folder=parts.FOLDER,
    variables=(parts.PROVIDER, parts.MODEL),
    logs=parts.ERROR_LOGS,
    traces=parts.FAILED_TRACES,
    rows=(
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="What is broken, and since when",
                    description="Alerts that are pending or firing, with the begin of their condition; a click on the name opens the runbook.",
                    kind=PanelKind.TABLE,
                    queries=(Query(expr=_SINCE, instant=True),),
                    unit="none",
                    minimum=None,
                    columns=(
                        Column(field="alertname", title="Alert", width_pixels=190, link_title="Runbook", url=_RUNBOOK),
                        Column(field="alertstate", title="State", width_pixels=70),
                        Column(field="severity", title="Severity", width_pixels=80),
                        Column(field="subject", title="Subject"),
                        Column(field="Value", title="Since", unit="dateTimeFromNow", width_pixels=120),
                    ),
                    # By letter: firing before pending, critical before warning.
                    order=(Order("State"), Order("Severity")),
                    no_value="no alert",
                    empty_when_well=True,
                    width=14,
                ),
                parts.error_rate(4),
                Panel(
                    title="Open circuits",
                    description="The state of each provider's circuit breaker: an open one gets no calls but trials.",
                    kind=PanelKind.STAT,
                    queries=(
                        Query(
                            expr=(
                                "2 * max by (provider) (gatewayz_circuit_breaker_state"
                                f'{{state="open", {parts.BY_PROVIDER}}}) + max by (provider)'
                                f' (gatewayz_circuit_breaker_state{{state="half_open", {parts.BY_PROVIDER}}})'
                            ),
                            legend="{{provider}}",
                        ),
                    ),
                    unit="none",
                    maximum=2,
                    steps=(Step("green"), Step("yellow", 1), Step("red", 2)),
                    meanings=(
                        Meaning(0, "closed", "green"),
                        Meaning(1, "half-open", "yellow"),
                        Meaning(2, "open", "red"),
                    ),
                    by="provider",
                    no_value="breakers are off",
                    width=6,
                ),
            ),
        ),
        Row(
            height=5,
            is_purpose=True,
            panels=(
                Panel(
                    title="Whose fault",
                    description="Failed attempts of the last 15 minutes by fault domain.",
                    kind=PanelKind.BAR_GAUGE,
                    queries=(
                        Query(
                            expr=(
                                "sum by (fault) (increase(gatewayz_failed_attempt_duration_seconds_count"
                                f"{{{parts.BY_BOTH}}}[15m]))"
                            ),
                            legend="{{fault}}",
                            instant=True,
                        ),
                    ),
                    unit="short",
                    steps=(Step("green"), Step("yellow", 1), Step("red", 20)),
                    decimals=0,
                    no_value="no failed attempts",
                    empty_when_well=True,
                    width=6,
                ),
                Panel(
                    title="Why",
                    description="The most frequent causes of failed attempts in the last 15 minutes.",
                    kind=PanelKind.TABLE,
                    queries=(
                        Query(
                            expr=(
                                "topk(5, sum by (provider, model, error_kind) (increase(gatewayz_attempt_failures_total"
                                f"{{{parts.BY_BOTH}}}[15m])) > 0)"
                            ),
                            instant=True,
                        ),
                    ),
                    unit="none",
                    minimum=None,
                    decimals=0,
                    columns=(
                        Column(field="error_kind", title="Cause", width_pixels=160),
                        Column(field="provider", title="Provider", width_pixels=110),
                        Column(field="model", title="Model"),
                        Column(field="Value", title="Failures", width_pixels=76),
                    ),
                    order=(Order("Failures", is_descending=True),),
                    no_value="no failed attempts",
                    empty_when_well=True,
                    width=10,
                ),
                parts.usd_per_hour(4),
                Panel(
                    title="Exposure",
                    description="What abandoned work of the last hour may cost beyond the cost that is counted.",
                    kind=PanelKind.STAT,
                    queries=(Query(expr="sum(increase(gatewayz_exposure_usd_total[1h]))", legend="last hour"),),
                    unit="currencyUSD",
                    steps=(Step("green"), Step("yellow", 1), Step("red", 10)),
                    decimals=2,
                    no_value="no exposure",
                    width=4,
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                Panel(
                    title="Error logs",
                    description="The newest lines of level error; the trace id of a line opens its trace.",
                    kind=PanelKind.LOGS,
                    queries=(parts.loki(parts.ERROR_LOGS + parts.ERROR_LINE),),
                    unit="none",
                    minimum=None,
                    no_value="no error in the time range",
                    empty_when_well=True,
                    width=12,
                ),
                Panel(
                    title="Failed requests",
                    description="Traces of requests in which something failed; the id opens the trace.",
                    kind=PanelKind.TABLE,
                    queries=(Query(expr=parts.FAILED_TRACES, source=Source.TEMPO),),
                    unit="none",
                    minimum=None,
                    columns=parts.TRACE_COLUMNS,
                    no_value="no failed trace in the time range",
                    empty_when_well=True,
                    width=12,
                ),
            ),
        ),
    ),
)
