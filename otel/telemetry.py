"""TELEMETRY: puts the parts together; the composition root of `otel/`, and the object an application holds.

Comes in: the configuration, the application's label bounds, clocks. Goes out: a recorder for its events, an exposition for its
monitoring endpoints, a handler for its loggers, and one shutdown for all of it. Building does no network I/O and sets no global.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel import semconv
from otel.catalogue import CATALOGUE
from otel.config import TelemetryConfig
from otel.delivery import Delivery, DeliveryReport, SignalStats, build_delivery
from otel.disabled import DisabledRecorder
from otel.events import Recorder
from otel.exposition import Exposition
from otel.instruments import Instruments, Sample, SampleSource
from otel.labels import LabelBounds
from otel.lean_logger import LeanLogger
from otel.lean_span import SpanOrigin
from otel.lean_tracer import LeanTracer
from otel.line_writer import LineStream, LineWriter
from otel.logs import LogWriter, StdlibHandler
from otel.measure import Measurements
from otel.metric_spec import MetricSpec
from otel.otlp_config import Signal
from otel.process_metrics import observe_process
from otel.reader import SharedReader
from otel.recorder import Guard, TelemetryRecorder
from otel.resource import build_resource
from otel.spans import SpanWriter
from otel.views import build_views

SCOPE_NAME: Final = "gatewayz"
_LINES_SECONDS: Final = 0.5
"""What closing the log lines may take: a pipe that nobody reads must not hold up a shutdown."""


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the application passes in beside the `OTEL_*` configuration.

    `share_seconds`: how long one collection answers scrapes. `clock` is monotonic in seconds, `unix_ns` the wall clock. `stdout` takes
    the log lines, None writes none. `families` extends the catalogue for applications with metrics of their own.
    """

    bounds: LabelBounds
    version: str
    instance_id: str
    clock: Callable[[], float]
    unix_ns: Callable[[], int]
    rng: random.Random
    stdout: LineStream | None = None
    share_seconds: float = 1.0
    families: Sequence[MetricSpec] = ()


class Telemetry:
    """The three signals of one process. Safe from any thread; `shutdown` blocks, so it belongs into a worker thread."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        exposition: Exposition,
        instruments: Instruments | None,
        log_handler: logging.Handler,
        providers: tuple[MeterProvider, LoggerProvider],
        delivery: Delivery | None,
        lines: LineWriter | None,
    ) -> None:
        self.recorder = recorder
        self.exposition = exposition
        self.log_handler = log_handler
        self._instruments = instruments
        self._providers = providers
        self._delivery = delivery
        self._lines = lines
        self._log_levels: list[tuple[logging.Logger, int]] = []

    def start(self) -> None:
        """Start the delivery's threads; connects to nothing."""
        if self._delivery is not None:
            self._delivery.start()

    def observe(self, family: str, source: SampleSource) -> None:
        """Give an observable family its source; raises KeyError or TypeError for a name that is none. Nothing where telemetry is off."""
        if self._instruments is not None:
            self._instruments.observe(family, source)

    def install_logging(self, level: int = logging.INFO) -> None:
        """Send everything that is logged in this process through telemetry, in place of the root logger's handlers."""
        root = logging.getLogger()
        self._log_levels.append((root, root.level))
        root.handlers[:] = [self.log_handler]
        root.setLevel(level)

    def uninstall_logging(self) -> None:
        """Take the handler off again."""
        while self._log_levels:
            logger, level = self._log_levels.pop()
            logger.removeHandler(self.log_handler)
            logger.setLevel(level)

    def delivery_stats(self) -> Mapping[Signal, SignalStats]:
        """Return the export's books by pushed signal; empty where nothing is pushed."""
        return {} if self._delivery is None else self._delivery.stats.snapshot()

    def shutdown(self, deadline_seconds: float) -> DeliveryReport:
        """Flush traces, metrics and logs at once within the deadline; returns what was lost. `/metrics` keeps its last answer."""
        if self._delivery is None:
            report = DeliveryReport(lost_items={}, duration_seconds=0.0)
        else:
            report = self._delivery.shutdown(deadline_seconds)
        # The processors and the reader are already closed: what the providers do now takes no time and sends nothing.
        with ThreadPoolExecutor(len(self._providers)) as pool:
            for provider in self._providers:
                pool.submit(provider.shutdown)
        self.uninstall_logging()
        if self._lines is not None:
            self._lines.close(_LINES_SECONDS)
        return report


def build_telemetry(config: TelemetryConfig, settings: TelemetrySettings) -> Telemetry:
    """Build everything, or with `config.disabled` a telemetry that records nothing and exposes nothing."""
    catalogue = (*CATALOGUE, *settings.families)
    resource = build_resource(config, service_version=settings.version, instance_id=settings.instance_id)
    reader = SharedReader(clock=settings.clock, share_seconds=settings.share_seconds)
    meters = MeterProvider([reader], resource=resource, views=build_views(catalogue), shutdown_on_exit=False)
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    lines = None if settings.stdout is None else LineWriter(settings.stdout)
    delivery = None if config.disabled else _connect(config, settings, reader, loggers)
    instruments = Instruments(meters.get_meter(SCOPE_NAME), catalogue)
    otlp_logger = None if delivery is None else _logger(resource, loggers, delivery)
    logs = LogWriter(otlp_logger, None if lines is None else lines.write, settings.unix_ns)
    measurements = Measurements(instruments, settings.bounds)
    exposition = Exposition(
        reader,
        catalogue,
        on_collected=None if config.disabled else measurements.scrape_collected,
        clock=settings.clock,
    )
    recorder: Recorder = DisabledRecorder()
    if not config.disabled:
        guard = Guard()
        spans = SpanWriter(_tracer(config, settings, resource, delivery), settings.bounds)
        recorder = TelemetryRecorder(measurements, spans, logs, settings.bounds, guard)
        measurements.start_at_zero(catalogue)
        _observe_own(instruments, settings, reader=reader, delivery=delivery, guard=guard, lines=lines)
    return Telemetry(
        recorder=recorder,
        exposition=exposition,
        instruments=None if config.disabled else instruments,
        log_handler=StdlibHandler(logs),
        providers=(meters, loggers),
        delivery=delivery,
        lines=lines,
    )


def _connect(
    config: TelemetryConfig,
    settings: TelemetrySettings,
    reader: SharedReader,
    loggers: LoggerProvider,
) -> Delivery:
    """Build the delivery, behind what the SDK makes of log records."""
    delivery = build_delivery(
        config,
        collect_metrics=reader.collect_for_push,
        clock=settings.clock,
        rng=settings.rng,
        instance_id=settings.instance_id,
    )
    if delivery.log_processor is not None:
        loggers.add_log_record_processor(delivery.log_processor)
    return delivery


def _tracer(
    config: TelemetryConfig, settings: TelemetrySettings, resource: Resource, delivery: Delivery | None
) -> LeanTracer:
    """Return the tracer whose spans go into the delivery, where traces are pushed."""
    processor = None if delivery is None else delivery.span_processor
    on_end = (lambda _: None) if processor is None else processor.on_end
    origin = SpanOrigin(resource, InstrumentationScope(SCOPE_NAME), SpanLimits(), settings.unix_ns, on_end)
    return LeanTracer(origin, config.build_sampler(), RandomIdGenerator())


def _logger(resource: Resource, loggers: LoggerProvider, delivery: Delivery) -> LeanLogger | None:
    """Return the logger whose records go into the delivery, None where logs are not pushed."""
    processor = delivery.log_processor
    if processor is None:
        return None
    return LeanLogger(loggers.get_logger(SCOPE_NAME), resource, InstrumentationScope(SCOPE_NAME), processor.offer)


def _observe_own(
    instruments: Instruments,
    settings: TelemetrySettings,
    *,
    reader: SharedReader,
    delivery: Delivery | None,
    guard: Guard,
    lines: LineWriter | None,
) -> None:
    """Register the application's info, the process, and telemetry about the telemetry."""
    info = {semconv.APP_NAME: settings.bounds.app_name, semconv.VERSION: settings.version}
    instruments.observe("fastapi_app_info", lambda: [(1, info)])
    observe_process(instruments)
    instruments.observe("gatewayz_telemetry_record_failures_total", lambda: [(guard.failures, {})])
    instruments.observe(
        "gatewayz_telemetry_overflow_total",
        lambda: [(count, {semconv.METRIC: family}) for family, count in reader.overflow().items()],
    )
    if lines is not None:
        instruments.observe("gatewayz_telemetry_log_lines_dropped_total", lambda: [(lines.dropped, {})])
    if delivery is not None:
        _observe_delivery(instruments, delivery)


def _observe_delivery(instruments: Instruments, delivery: Delivery) -> None:
    """Register the delivery's books, one series per pushed signal."""
    pages = delivery.stats.snapshot

    def by_signal(value: Callable[[SignalStats], int]) -> SampleSource:
        return lambda: [(value(page), {semconv.SIGNAL: signal}) for signal, page in pages().items()]

    def dropped() -> Iterable[Sample]:
        return [
            (count, {semconv.SIGNAL: signal, semconv.REASON: reason})
            for signal, page in pages().items()
            for reason, count in page.dropped.items()
        ]

    instruments.observe("gatewayz_telemetry_queued_bytes", by_signal(lambda page: page.queued_bytes))
    instruments.observe("gatewayz_telemetry_queued_items", by_signal(lambda page: page.queued_items))
    instruments.observe("gatewayz_telemetry_exported_total", by_signal(lambda page: page.exported))
    instruments.observe("gatewayz_telemetry_retries_total", by_signal(lambda page: page.retries))
    instruments.observe("gatewayz_telemetry_dropped_total", dropped)
