"""Telemetry about the telemetry: its queues, exports, losses and scrapes."""

from typing import Final

from otel.catalogue import semconv
from otel.catalogue.spec import Kind, Label, MetricSpec

QUEUED_BYTES: Final = "gatewayz_telemetry_queued_bytes"
QUEUED_ITEMS: Final = "gatewayz_telemetry_queued_items"
EXPORTED: Final = "gatewayz_telemetry_exported_total"
DROPPED: Final = "gatewayz_telemetry_dropped_total"
RETRIES: Final = "gatewayz_telemetry_retries_total"
SCRAPE_DURATION: Final = "gatewayz_telemetry_scrape_duration_seconds"
OVERFLOW: Final = "gatewayz_telemetry_overflow_total"
RECORD_FAILURES: Final = "gatewayz_telemetry_record_failures_total"
IGNORED_SETTINGS: Final = "gatewayz_telemetry_ignored_settings"
LOG_LINES_DROPPED: Final = "gatewayz_telemetry_log_lines_dropped_total"

_SIGNAL = Label(semconv.SIGNAL, values=semconv.SIGNALS)

FAMILIES: Final[tuple[MetricSpec, ...]] = (
    MetricSpec(
        name=QUEUED_BYTES,
        instrument="gatewayz.telemetry.queue.size",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="By",
        help="Encoded telemetry waiting in memory for the OTLP endpoint.",
        labels=(_SIGNAL,),
        updated_by="the delivery buffer",
        queries=("sum(gatewayz_telemetry_queued_bytes)",),
        documented=False,
    ),
    MetricSpec(
        name=QUEUED_ITEMS,
        instrument="gatewayz.telemetry.queue.items",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{item}",
        help="Spans, log records and metric pushes waiting in memory for the OTLP endpoint.",
        labels=(_SIGNAL,),
        updated_by="the delivery buffer",
        queries=("sum by (signal) (gatewayz_telemetry_queued_items)",),
        documented=False,
    ),
    MetricSpec(
        name=EXPORTED,
        instrument="gatewayz.telemetry.exported",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        help="Spans, log records and metric pushes that the OTLP endpoint accepted.",
        labels=(_SIGNAL,),
        updated_by="each export that was acknowledged",
        queries=("sum by (signal) (rate(gatewayz_telemetry_exported_total[5m]))",),
        documented=False,
    ),
    MetricSpec(
        name=DROPPED,
        instrument="gatewayz.telemetry.dropped",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{item}",
        help="Spans, log records and metric pushes that were lost, by reason.",
        labels=(_SIGNAL, Label(semconv.REASON, values=semconv.DROP_REASONS)),
        updated_by="each item that is dropped",
        queries=("sum by (signal, reason) (increase(gatewayz_telemetry_dropped_total[5m])) > 0",),
        documented=False,
    ),
    MetricSpec(
        name=RETRIES,
        instrument="gatewayz.telemetry.retries",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{export}",
        help="Exports that failed and will be retried.",
        labels=(_SIGNAL,),
        updated_by="each failed export",
        queries=("sum by (signal) (rate(gatewayz_telemetry_retries_total[5m]))",),
        documented=False,
    ),
    MetricSpec(
        name=SCRAPE_DURATION,
        instrument="gatewayz.telemetry.scrape.duration",
        kind=Kind.HISTOGRAM,
        unit="s",
        help="Time to collect and render an exposition; a scrape served from shared bytes is not in it.",
        buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        updated_by="each collection for a scrape",
        queries=(
            "histogram_quantile(0.99, sum by (le) (rate(gatewayz_telemetry_scrape_duration_seconds_bucket[5m])))",
        ),
        documented=False,
    ),
    MetricSpec(
        name=OVERFLOW,
        instrument="gatewayz.telemetry.overflow",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{measurement}",
        help="Measurements that went to an overflow series because the family's series limit was reached.",
        labels=(Label(semconv.METRIC, bound_by="catalogued families"),),
        updated_by="the reader, from overflow points",
        queries=("sum by (metric) (increase(gatewayz_telemetry_overflow_total[5m])) > 0",),
        documented=False,
    ),
    MetricSpec(
        name=RECORD_FAILURES,
        instrument="gatewayz.telemetry.record.failures",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{failure}",
        help="Events that could not be recorded because recording them raised; any is a defect.",
        updated_by="the recorder",
        queries=("increase(gatewayz_telemetry_record_failures_total[5m]) > 0",),
        documented=False,
    ),
    MetricSpec(
        name=IGNORED_SETTINGS,
        instrument="gatewayz.telemetry.ignored_settings",
        kind=Kind.OBSERVABLE_GAUGE,
        unit="{warning}",
        help="OTEL_* settings that were ignored with a warning at startup; a signal that should be pushed may not be.",
        updated_by="startup",
        queries=("gatewayz_telemetry_ignored_settings > 0",),
        documented=False,
    ),
    MetricSpec(
        name=LOG_LINES_DROPPED,
        instrument="gatewayz.telemetry.log_lines.dropped",
        kind=Kind.OBSERVABLE_COUNTER,
        unit="{line}",
        help="Log lines dropped because the reader of stdout stalled or closed it.",
        updated_by="the log writer",
        queries=("increase(gatewayz_telemetry_log_lines_dropped_total[5m]) > 0",),
        documented=False,
    ),
)
