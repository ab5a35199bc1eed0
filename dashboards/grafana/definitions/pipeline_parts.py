"""The panels of the pipeline's board in short, and its rows about the gateway's own jobs and edges."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.model import Panel, PanelKind, Query, Row, Step

SIGNALS: Final = ("spans", "metric_points", "log_records")
"""As the Collector calls them in its metrics."""

_W: Final = parts.WINDOW


def lines(
    title: str, description: str, queries: tuple[Query, ...], unit: str, *, well: bool = False, width: int = 8
) -> Panel:
    """Return a panel of lines; `well`: no data is the normal state."""
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.TIME_SERIES,
        queries=queries,
        unit=unit,
        no_value="none in the time range" if well else "no data: is the server scraped?",
        empty_when_well=well,
        width=width,
    )


def collector(metric: str, *parts_of_name: str) -> tuple[Query, ...]:
    """Return the rate of a metric of the Collector for each signal, and each part of its name."""
    return tuple(
        Query(expr=f"sum(rate(otelcol_{metric}_{part}_{signal}[{_W}]))", legend=f"{part} {signal}".replace("_", " "))
        for part in parts_of_name
        for signal in SIGNALS
    )


def lost(title: str, description: str, queries: tuple[Query, ...]) -> Panel:
    """Return a panel of a count that should be 0."""
    return Panel(
        title=title,
        description=description,
        kind=PanelKind.STAT,
        queries=queries,
        unit="short",
        steps=(Step("green"), Step("red", 1)),
        decimals=0,
        no_value="no data",
        width=6,
    )


def gateway_jobs_row() -> Row:
    """Return the row about the gateway's periodic jobs."""
    return Row(
        height=7,
        panels=(
            lines(
                "Jobs: time since the last success",
                "How long ago each periodic job of the gateway last succeeded.",
                (
                    Query(
                        expr="time() - max by (job_name) (gatewayz_job_last_success_timestamp_seconds)",
                        legend="{{job_name}}",
                    ),
                ),
                "s",
            ),
            lines(
                "Jobs: duration",
                "How long the last run of each periodic job took.",
                (Query(expr="max by (job_name) (gatewayz_job_last_duration_seconds)", legend="{{job_name}}"),),
                "s",
            ),
            lines(
                "Jobs: failures",
                "Runs that failed, were too long or were cancelled, in a minute.",
                (
                    Query(
                        expr=f"sum by (job_name, reason) (increase(gatewayz_job_failures_total[{_W}])) > 0",
                        legend="{{job_name}} {{reason}}",
                    ),
                ),
                "short",
                well=True,
            ),
        ),
    )


def gateway_edges_row() -> Row:
    """Return the row about clients, the database and the standard streams of the gateway."""
    return Row(
        height=7,
        panels=(
            lines(
                "Connections of clients",
                "Open connections, idle ones included, and those that the gateway closed per second.",
                (
                    Query(expr="sum(gatewayz_client_connections)", legend="open"),
                    Query(
                        expr=f"sum by (reason) (rate(gatewayz_client_connections_closed_total[{_W}])) > 0",
                        legend="closed: {{reason}}",
                    ),
                ),
                "short",
            ),
            lines(
                "Rows and lines lost",
                "Ledger rows and log lines that were dropped in a minute, and OTEL_* settings that were ignored.",
                (
                    Query(expr=f"sum(increase(gatewayz_ledger_rows_dropped_total[{_W}]))", legend="ledger rows"),
                    Query(expr=f"sum(increase(gatewayz_telemetry_log_lines_dropped_total[{_W}]))", legend="log lines"),
                    Query(expr="max(gatewayz_telemetry_ignored_settings)", legend="ignored settings"),
                ),
                "short",
            ),
            lines(
                "Scrapes of the gateway, p99",
                "Time to collect and render an exposition.",
                (
                    Query(
                        expr=parts.quantile(0.99, "gatewayz_telemetry_scrape_duration_seconds"),
                        legend="p99",
                    ),
                ),
                "s",
                well=True,
            ),
        ),
    )
