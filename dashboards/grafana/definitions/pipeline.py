"""The pipeline: what the gateway exports, what the Collector passes on, and what the stores take and keep."""

from typing import Final

from dashboards.grafana.definitions import parts
from dashboards.grafana.definitions.pipeline_parts import (
    SIGNALS,
    collector,
    gateway_edges_row,
    gateway_jobs_row,
    lines,
    lost,
)
from dashboards.grafana.model import Dashboard, Meaning, Panel, PanelKind, Query, Row, Step

_W: Final = parts.WINDOW
_OWN_LOGS: Final = '{job="gatewayz"} | json | logger!~"gatewayz.(request|attempt)"'
"""What the gateway logs of itself, not of requests."""

_ALL_TRACES: Final = '{ resource.service.name = "gatewayz" }'


PIPELINE: Final = Dashboard(
    uid="gatewayz-pipeline",
    title="Pipeline",
    description="Whether telemetry arrives: the gateway's export, the Collector, Prometheus, Loki, Tempo and Alertmanager.",
    folder=parts.FOLDER,
    variables=(),
    logs=_OWN_LOGS,
    traces=_ALL_TRACES,
    rows=(
        Row(
            height=4,
            is_purpose=True,
            panels=(
                Panel(
                    title="Targets",
                    description="Whether Prometheus can scrape each target: the gateway, the Collector, each store.",
                    kind=PanelKind.STAT,
                    queries=(Query(expr="min by (job) (up)", legend="{{job}}"),),
                    unit="none",
                    maximum=1,
                    steps=(Step("red"), Step("green", 1)),
                    meanings=(Meaning(0, "down", "red"), Meaning(1, "up", "green")),
                    no_value="Prometheus scrapes nothing",
                    width=12,
                ),
                lost(
                    "Lost by the gateway",
                    "Spans, log records and pushes of the time range that the gateway dropped.",
                    (Query(expr="sum(increase(gatewayz_telemetry_dropped_total[$__range]))", legend="lost"),),
                ),
                lost(
                    "Refused or failed in the Collector",
                    "Items of the time range that the Collector refused, or that its exporters lost.",
                    (
                        Query(
                            expr=" + ".join(
                                f"(sum(increase(otelcol_{name}_{signal}[$__range])) or vector(0))"
                                for name in ("receiver_refused", "exporter_send_failed")
                                for signal in SIGNALS
                            ),
                            legend="refused or failed",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            height=6,
            is_purpose=True,
            panels=(
                lines(
                    "Exported by the gateway",
                    "Spans, log records and metric pushes per second that the endpoint accepted.",
                    (
                        Query(
                            expr=f"sum by (signal) (rate(gatewayz_telemetry_exported_total[{_W}]))",
                            legend="{{signal}}",
                        ),
                    ),
                    "cps",
                ),
                lines(
                    "Waiting in the gateway",
                    "Encoded telemetry in memory that waits for the endpoint.",
                    (Query(expr="sum by (signal) (gatewayz_telemetry_queued_bytes)", legend="{{signal}}"),),
                    "bytes",
                ),
                lines(
                    "Retries of the gateway",
                    "Exports per second that failed and will be tried again.",
                    (
                        Query(
                            expr=f"sum by (signal) (rate(gatewayz_telemetry_retries_total[{_W}]))",
                            legend="{{signal}}",
                        ),
                    ),
                    "cps",
                    well=True,
                ),
            ),
        ),
        Row(
            height=7,
            is_purpose=True,
            panels=(
                lines(
                    "Collector: accepted and sent",
                    "Items per second that the receivers accepted and the exporters sent.",
                    (*collector("receiver", "accepted"), *collector("exporter", "sent")),
                    "cps",
                ),
                lines(
                    "Collector: refused and failed",
                    "Items per second that were refused, not sent, or not queued.",
                    (
                        *collector("receiver", "refused"),
                        *collector("exporter", "send_failed", "enqueue_failed"),
                    ),
                    "cps",
                    well=True,
                ),
                Panel(
                    title="Collector: queues",
                    description="How full each exporter's queue on disk is.",
                    kind=PanelKind.TIME_SERIES,
                    queries=(
                        Query(
                            expr=(
                                "100 * max by (exporter) (otelcol_exporter_queue_size)"
                                " / max by (exporter) (otelcol_exporter_queue_capacity)"
                            ),
                            legend="{{exporter}}",
                        ),
                    ),
                    unit="percent",
                    maximum=100,
                    steps=(Step("green"), Step("yellow", 50), Step("red", 80)),
                    no_value="no data: is the Collector scraped?",
                    width=8,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                lines(
                    "Prometheus: samples",
                    "Samples per second that Prometheus appended, by type.",
                    (
                        Query(
                            expr=f"sum by (type) (rate(prometheus_tsdb_head_samples_appended_total[{_W}]))",
                            legend="{{type}}",
                        ),
                    ),
                    "cps",
                ),
                lines(
                    "Loki: lines",
                    "Lines per second that Loki took, and those it discarded.",
                    (
                        Query(expr=f"sum(rate(loki_distributor_lines_received_total[{_W}]))", legend="received"),
                        Query(
                            expr=f"sum by (reason) (rate(loki_discarded_samples_total[{_W}]))",
                            legend="discarded {{reason}}",
                        ),
                    ),
                    "cps",
                ),
                lines(
                    "Tempo: spans",
                    "Spans per second that Tempo took, and those it discarded.",
                    (
                        Query(expr=f"sum(rate(tempo_distributor_spans_received_total[{_W}]))", legend="received"),
                        Query(
                            expr=f"sum by (reason) (rate(tempo_discarded_spans_total[{_W}]))",
                            legend="discarded {{reason}}",
                        ),
                    ),
                    "cps",
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                lines(
                    "Prometheus: series",
                    "Series in the head: those that got a sample in the last hours.",
                    (Query(expr="sum(prometheus_tsdb_head_series)", legend="series"),),
                    "short",
                    width=6,
                ),
                lines(
                    "Prometheus: size",
                    "Bytes of its blocks and of its write-ahead log.",
                    (
                        Query(
                            expr="sum(prometheus_tsdb_storage_blocks_bytes) + sum(prometheus_tsdb_wal_storage_size_bytes)",
                            legend="on disk",
                        ),
                    ),
                    "bytes",
                    width=6,
                ),
                lines(
                    "Rules and notifications that fail",
                    "Failed rule evaluations, and alerts that did not reach Alertmanager or its receivers, per second.",
                    (
                        Query(
                            expr=f"sum(rate(prometheus_rule_evaluation_failures_total[{_W}]))",
                            legend="rule evaluations",
                        ),
                        Query(
                            expr=f"sum(rate(prometheus_notifications_dropped_total[{_W}]))",
                            legend="to Alertmanager",
                        ),
                        Query(
                            expr=f"sum by (integration) (rate(alertmanager_notifications_failed_total[{_W}])) > 0",
                            legend="{{integration}}",
                        ),
                    ),
                    "cps",
                    width=6,
                ),
                lines(
                    "Series overflow and failures to record",
                    "Measurements beyond a family's series limit, and events that could not be recorded, per second.",
                    (
                        Query(
                            expr=f"sum by (metric) (rate(gatewayz_telemetry_overflow_total[{_W}])) > 0",
                            legend="overflow {{metric}}",
                        ),
                        Query(expr=f"sum(rate(gatewayz_telemetry_record_failures_total[{_W}]))", legend="not recorded"),
                    ),
                    "cps",
                    well=True,
                    width=6,
                ),
            ),
        ),
        Row(
            height=7,
            panels=(
                lines(
                    "Memory",
                    "Resident memory by job; the gateway's is pushed, the others' scraped.",
                    (Query(expr="sum by (job) (process_resident_memory_bytes)", legend="{{job}}"),),
                    "bytes",
                ),
                lines(
                    "Processor",
                    "Processor seconds per second by job.",
                    (Query(expr=f"sum by (job) (rate(process_cpu_seconds_total[{_W}]))", legend="{{job}}"),),
                    "none",
                ),
                lines(
                    "Open files",
                    "Open file descriptors by job.",
                    (Query(expr="sum by (job) (process_open_fds)", legend="{{job}}"),),
                    "short",
                ),
            ),
        ),
        gateway_jobs_row(),
        gateway_edges_row(),
    ),
)
