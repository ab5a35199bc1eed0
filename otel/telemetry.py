"""TELEMETRY: puts the parts together; the composition root of `otel/`, and the object an application holds.

Comes in: the configuration, the application's label bounds, clocks. Goes out: a recorder for its
events, an exposition for its monitoring endpoints, a handler for its loggers, and one shutdown for
all of it. Building does no network I/O and sets no global.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.catalogue import CATALOGUE
from otel.catalogue.spec import MetricSpec
from otel.config.environ import TelemetryConfig
from otel.config.otlp import Signal
from otel.console_exporters import MetricsConsole, span_to_console
from otel.delivery import Delivery, DeliveryReport, SignalStats, build_delivery
from otel.events import Recorder
from otel.exposition import Exposition
from otel.labels import LabelBounds
from otel.logs.fast_logger import LeanLogger
from otel.logs.stream_writer import LineStream, LineWriter
from otel.logs.writer import LogWriter, StdlibHandler, stdlib_level
from otel.metrics.instruments import Instruments, SampleSource
from otel.metrics.measurements import Measurements
from otel.metrics.reader import SharedReader
from otel.metrics.views import build_views
from otel.noop import DisabledRecorder
from otel.recorder import Guard, TelemetryRecorder
from otel.redaction import KnownSecrets
from otel.resource import build_resource
from otel.self_telemetry import observe_own
from otel.traces.fast_span import SpanOrigin
from otel.traces.fast_tracer import LeanTracer
from otel.traces.propagation import build_propagator
from otel.traces.spans import SpanWriter

SCOPE_NAME: Final = "gatewayz"
_EXEMPLAR_FILTERS: Final[Mapping[str, Callable[[], ExemplarFilter]]] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}
_LINES_SECONDS: Final = 0.5
"""What closing the log lines may take: a pipe that nobody reads must not hold up a shutdown."""


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the application passes in beside the `OTEL_*` configuration.

    `share_seconds`: how long one collection answers scrapes. `clock` is monotonic in seconds, `unix_ns` the wall clock. `stdout` takes
    the log lines, None writes none. `families` extends the catalogue for applications with metrics of their own. `secrets` are redacted
    wherever they stand in log lines and spans, as are the values of the export's headers.
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
    secrets: Sequence[str] = ()


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
        console: MetricsConsole | None,
        log_level: int,
    ) -> None:
        self.recorder = recorder
        self.exposition = exposition
        self.log_handler = log_handler
        self._instruments = instruments
        self._providers = providers
        self._delivery = delivery
        self._lines = lines
        self._console = console
        self._log_level = log_level
        self._log_levels: list[tuple[logging.Logger, int]] = []

    def start(self) -> None:
        """Start the delivery's threads; connects to nothing."""
        if self._delivery is not None:
            self._delivery.start()
        if self._console is not None:
            self._console.start()

    def observe(self, family: str, source: SampleSource) -> None:
        """Give an observable family its source; raises KeyError or TypeError for a name that is none. Nothing where telemetry is off."""
        if self._instruments is not None:
            self._instruments.observe(family, source)

    def install_logging(self, level: int | None = None, *, quiet: Sequence[str] = ()) -> None:
        """Send everything that is logged in this process through telemetry, in place of the root logger's handlers.

        `level` is the lowest that is looked at: by default INFO, or DEBUG where `OTEL_LOG_LEVEL` asks for it. Of the loggers in
        `quiet` it is WARNING whatever is asked for.
        """
        level = self._log_level if level is None else level
        root = logging.getLogger()
        root.handlers[:] = [self.log_handler]
        self._set_level(root, level)
        for name in quiet:
            self._set_level(logging.getLogger(name), max(level, logging.WARNING))

    def _set_level(self, logger: logging.Logger, level: int) -> None:
        self._log_levels.append((logger, logger.level))
        logger.setLevel(level)

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
        if self._console is not None:
            self._console.close()
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
    meters = MeterProvider(
        [reader],
        resource=resource,
        views=build_views(catalogue),
        exemplar_filter=_EXEMPLAR_FILTERS[config.exemplar_filter](),
        shutdown_on_exit=False,
    )
    loggers = LoggerProvider(resource, shutdown_on_exit=False, log_record_limits=config.limits.for_log_records())
    lines = None if settings.stdout is None else LineWriter(settings.stdout)
    delivery = None if config.disabled else _connect(config, settings, reader, loggers)
    instruments = Instruments(meters.get_meter(SCOPE_NAME), catalogue)
    otlp_logger = None if delivery is None else _logger(resource, loggers, delivery)
    log_level = stdlib_level(config.log_level)
    pushed = (each for each in (config.traces, config.metrics, config.logs) if each is not None)
    secrets = KnownSecrets((*settings.secrets, *(value for each in pushed for value in each.secret_values())))
    logs = LogWriter(
        otlp_logger,
        None if lines is None else lines.write,
        settings.unix_ns,
        stdout_level=config.log_level,
        secrets=secrets,
    )
    measurements = Measurements(instruments, settings.bounds)
    exposition = Exposition(
        reader,
        catalogue,
        on_collected=None if config.disabled else measurements.scrape_collected,
        clock=settings.clock,
    )
    propagator = build_propagator(config.propagators, config.build_sampler())
    recorder: Recorder = DisabledRecorder(propagator)
    if not config.disabled:
        guard = Guard()
        spans = SpanWriter(
            _tracer(config, settings, resource, delivery, lines, secrets=secrets),
            settings.bounds,
            propagator,
            secrets=secrets,
        )
        recorder = TelemetryRecorder(measurements, spans, logs, settings.bounds, guard)
        measurements.start_at_zero(catalogue)
        observe_own(
            instruments,
            settings.bounds.app_name,
            settings.version,
            ignored_settings=len(config.warnings),
            reader=reader,
            delivery=delivery,
            guard=guard,
            lines=lines,
        )
    return Telemetry(
        recorder=recorder,
        exposition=exposition,
        instruments=None if config.disabled else instruments,
        log_handler=StdlibHandler(logs, log_level),
        providers=(meters, loggers),
        delivery=delivery,
        lines=lines,
        console=_metrics_console(config, reader, lines),
        log_level=log_level,
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


def _metrics_console(config: TelemetryConfig, reader: SharedReader, lines: LineWriter | None) -> MetricsConsole | None:
    """Return what writes the metrics to stdout, None where that was not asked for."""
    if "metrics" not in config.console or lines is None:
        return None
    return MetricsConsole(lambda: reader.snapshot().data, lines.write, config.metric_export_interval_seconds)


def _tracer(
    config: TelemetryConfig,
    settings: TelemetrySettings,
    resource: Resource,
    delivery: Delivery | None,
    lines: LineWriter | None,
    *,
    secrets: KnownSecrets,
) -> LeanTracer:
    """Return the tracer whose spans go into the delivery, where traces are pushed, and to stdout, where that was asked for."""
    takers: list[Callable[[ReadableSpan], None]] = []
    if delivery is not None and delivery.span_processor is not None:
        takers.append(delivery.span_processor.on_end)
    if "traces" in config.console and lines is not None:
        takers.append(span_to_console(lines.write))

    def on_end(span: ReadableSpan) -> None:
        for take in takers:
            take(span)

    origin = SpanOrigin(
        resource,
        InstrumentationScope(SCOPE_NAME),
        config.limits.for_spans(),
        settings.unix_ns,
        takers[0] if len(takers) == 1 else on_end,
        secrets.redact,
    )
    return LeanTracer(origin, config.build_sampler(), RandomIdGenerator())


def _logger(resource: Resource, loggers: LoggerProvider, delivery: Delivery) -> LeanLogger | None:
    """Return the logger whose records go into the delivery, None where logs are not pushed."""
    processor = delivery.log_processor
    if processor is None:
        return None
    return LeanLogger(loggers.get_logger(SCOPE_NAME), resource, InstrumentationScope(SCOPE_NAME), processor.offer)
