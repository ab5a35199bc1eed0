"""Telemetry of the stock OpenTelemetry SDK, sent by its own exporters: none refused, none stored wrong."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from console.store.read_logs import read_trace_logs, search_log_ids
from console.store.read_metrics import (
    read_exemplars,
    read_exponentials,
    read_families,
    read_histograms,
    read_numbers,
    read_series,
)
from console.store.read_traces import read_trace
from console.store.readers import Readers
from console.store.rows import Family
from tests.harness.console_process import ConsoleProcess, running_console

pytestmark = pytest.mark.live

RESOURCE = Resource.create({"service.name": "shop", "service.version": "3", "host.tags": ["a", "b"]})
FOREVER = (0, 2**63 - 1)
NEVER_MS = 3_600_000


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleProcess]:
    with running_console(tmp_path_factory.mktemp("console")) as running:
        yield running


@pytest.fixture
def readers(console: ConsoleProcess) -> Iterator[Readers]:
    found = Readers(Path(console.data))
    yield found
    found.close()


def test_spans_and_logs(console: ConsoleProcess, readers: Readers) -> None:
    tracers, loggers = TracerProvider(resource=RESOURCE), LoggerProvider(resource=RESOURCE)
    spans = OTLPSpanExporter(f"{console.otlp_url}/v1/traces", compression=Compression.Gzip)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    loggers.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(f"{console.otlp_url}/v1/logs")))
    tracer, logger = tracers.get_tracer("shop.cart", "1.5"), loggers.get_logger("shop.cart")
    with tracer.start_as_current_span("earlier") as earlier:
        pass
    with tracer.start_as_current_span(
        "POST /cart", kind=SpanKind.SERVER, links=[Link(earlier.get_span_context(), {"why": "retry"})]
    ) as parent:
        parent.set_attribute("items", [1, 2])
        parent.set_attribute("prices", [1.5, 2.0])
        with tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as child:
            child.set_attribute("gen_ai.system", "openai")
            child.record_exception(ValueError("card refused"))
            child.set_status(Status(StatusCode.ERROR, "card refused"))
            logger.emit(
                body={"card": {"kind": "debit", "tries": [1, 2]}},
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                attributes={"nested": {"deep": [True, None]}, "blob": b"\x00\x01"},
                event_name="card.refused",
            )
    tracers.shutdown()
    loggers.shutdown()  # type: ignore[no-untyped-call]  # of the SDK
    trace_id = f"{parent.get_span_context().trace_id:032x}"
    with readers.connection() as connection:
        server, client = read_trace(connection, trace_id)
        [record] = read_trace_logs(connection, trace_id)
        assert search_log_ids(connection, "debit") == [record.id]
    assert (server.name, server.kind, server.parent_span_id, server.scope_name) == ("POST /cart", 2, None, "shop.cart")
    assert server.attributes == {"items": [1, 2], "prices": [1.5, 2.0]}
    assert [(each.trace_id, each.attributes) for each in server.links] == [
        (f"{earlier.get_span_context().trace_id:032x}", {"why": "retry"})
    ]
    assert (client.parent_span_id, client.status_code, client.status_message) == (server.span_id, 2, "card refused")
    [event] = client.events
    assert (event.name, event.attributes["exception.message"]) == ("exception", "card refused")
    assert server.resource.attributes["host.tags"] == ["a", "b"]
    assert record.body == {"card": {"kind": "debit", "tries": [1, 2]}}
    assert record.attributes == {"nested": {"deep": [True, None]}, "blob": {"bytesValue": "AAE="}}
    assert (record.event_name, record.severity_number, record.span_id) == ("card.refused", 13, client.span_id)
    assert console.rows("SELECT provider FROM spans WHERE name = 'charge'") == [("openai",)]


def points_of(readers: Readers, name: str) -> tuple[Family, list[Any], list[Any]]:
    """Return a family with its points and exemplars."""
    with readers.connection() as connection:
        [family] = read_families(connection, name)
        read: Any = {"histogram": read_histograms, "exponential_histogram": read_exponentials}.get(
            family.kind, read_numbers
        )
        series = [each.id for each in read_series(connection, family.id)]
        return family, list(read(connection, series, *FOREVER)), list(read_exemplars(connection, series, *FOREVER))


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_metrics(console: ConsoleProcess, readers: Readers, temporality: AggregationTemporality) -> None:
    exporter = OTLPMetricExporter(
        f"{console.otlp_url}/v1/metrics", preferred_temporality={Counter: temporality, Histogram: temporality}
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=NEVER_MS)
    views = [View(instrument_name="*.sizes", aggregation=ExponentialBucketHistogramAggregation())]
    meters = MeterProvider([reader], RESOURCE, views=views)
    prefix = temporality.name.lower()
    meter = meters.get_meter("shop")
    orders = meter.create_counter(f"{prefix}.orders")
    level = meter.create_up_down_counter(f"{prefix}.level")
    seconds = meter.create_histogram(f"{prefix}.seconds", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0])
    sizes = meter.create_histogram(f"{prefix}.sizes", unit="By")
    for _ in range(2):
        orders.add(2, {"kind": "a"})
        level.add(-1)
        seconds.record(0.5)
        for size in (1, 2, 4, 0):
            sizes.record(size)
        assert meters.force_flush()
    meters.shutdown()
    growing = temporality is AggregationTemporality.CUMULATIVE
    family, points, _ = points_of(readers, f"{prefix}.orders")
    assert (family.kind, family.temporality, family.is_monotonic) == ("sum", 2 if growing else 1, True)
    assert [each.value for each in points][:2] == ([2, 4] if growing else [2, 2])
    family, points, _ = points_of(readers, f"{prefix}.level")
    assert (family.is_monotonic, [each.value for each in points][:2]) == (False, [-1, -2])
    family, points, _ = points_of(readers, f"{prefix}.seconds")
    assert (family.kind, family.unit) == ("histogram", "s")
    assert [(each.count, each.counts) for each in points][:2] == (
        [(1, (0, 1, 0)), (2, (0, 2, 0))] if growing else [(1, (0, 1, 0))] * 2
    )
    family, points, _ = points_of(readers, f"{prefix}.sizes")
    assert family.kind == "exponential_histogram"
    assert [(each.count, each.zero_count, sum(each.positive_counts)) for each in points][:2] == (
        [(4, 1, 3), (8, 2, 6)] if growing else [(4, 1, 3)] * 2
    )


def test_nothing_was_refused(console: ConsoleProcess, caplog: pytest.LogCaptureFixture) -> None:
    assert console.rows("SELECT * FROM counts WHERE name LIKE 'refused%' AND value > 0") == []
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
