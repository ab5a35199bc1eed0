"""Builds a `Pipeline` from the `OTEL_*` configuration and what the application passes in.

Building does no network I/O and sets no global.
"""

import random
from collections.abc import Callable, Mapping, Sequence
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
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from otel.catalogue import CATALOGUE
from otel.catalogue.conventions import CONVENTIONS, SCHEMA_URL
from otel.catalogue.naming import DOCUMENTED, Naming
from otel.catalogue.spec import MetricSpec
from otel.config.environ import TelemetryConfig
from otel.delivery import Delivery, build_delivery
from otel.events import Recorder
from otel.exposition import Exposition
from otel.labels import LabelBounds
from otel.logs.fast_logger import FastLogger
from otel.logs.stream_writer import LineStream, LineWriter
from otel.logs.writer import LogWriter, stdlib_level
from otel.metrics.convention_measurements import ConventionMeasurements
from otel.metrics.instruments import Instruments
from otel.metrics.measurements import Measurements
from otel.metrics.reader import SharedReader
from otel.metrics.views import build_views
from otel.pipeline.console_exporters import MetricsConsole, span_to_console
from otel.pipeline.pipeline import Pipeline, Providers
from otel.pipeline.resource import DEFAULT_SERVICE_NAME, build_resource
from otel.pipeline.self_telemetry import observe_own
from otel.recording.guard import Guard
from otel.recording.noop import DisabledRecorder
from otel.recording.recorder import TelemetryRecorder
from otel.redaction import KnownSecrets
from otel.traces.fast_span import FastSpan
from otel.traces.held_trace import HoldRules, build_hold
from otel.traces.propagation import build_propagator
from otel.traces.provider import FastTracerProvider
from otel.traces.span_parts import SpanOrigin, TakeKnown
from otel.traces.spans import SpanWriter

_EXEMPLAR_FILTERS: Final[Mapping[str, Callable[[], ExemplarFilter]]] = {
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
    "trace_based": TraceBasedExemplarFilter,
}


class PipelineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the application passes in beside the `OTEL_*` configuration.

    `share_seconds`: how long one collection serves scrapes. `clock` is monotonic in seconds,
    `unix_ns` the wall clock, `ids` makes trace and span ids. `stdout` takes the log lines, None writes
    none. `families` are added to the `catalogue`, whose documented names `naming` may change.
    `conventions` are those that can be opted in to.
    `scope_name` is the instrumentation scope of the built-in signals. `secrets` are redacted wherever
    they are in log lines and spans, as are the values of the export's headers. `hold` selects the
    requests whose trace is exported although they are not sampled.
    """

    bounds: LabelBounds
    version: str
    instance_id: str
    clock: Callable[[], float]
    unix_ns: Callable[[], int]
    rng: random.Random
    ids: IdGenerator = msgspec.field(default_factory=RandomIdGenerator)
    stdout: LineStream | None = None
    share_seconds: float = 1.0
    catalogue: Sequence[MetricSpec] = CATALOGUE
    families: Sequence[MetricSpec] = ()
    conventions: Sequence[MetricSpec] = CONVENTIONS
    naming: Naming = DOCUMENTED
    service_name: str = DEFAULT_SERVICE_NAME
    scope_name: str = "gatewayz"
    secrets: Sequence[str] = ()
    hold: HoldRules = HoldRules()


def build_pipeline(config: TelemetryConfig, settings: PipelineSettings) -> Pipeline:
    """Build everything, or with `config.disabled` a pipeline that records nothing and exposes nothing.

    Raises `TelemetryConfigError` for certificate files that cannot be read.
    """
    catalogue = (*settings.catalogue, *settings.families)
    exposed = (*map(settings.naming.spec, settings.catalogue), *settings.families)
    conventions = tuple(spec for spec in settings.conventions if spec.convention in config.conventions)
    convention_scope = f"{settings.scope_name}.conventions"
    resource = build_resource(
        config,
        service_name=settings.service_name,
        service_version=settings.version,
        instance_id=settings.instance_id,
    )
    reader = SharedReader(clock=settings.clock, share_seconds=settings.share_seconds)
    meters = MeterProvider(
        [reader],
        resource=resource,
        views=[*build_views(exposed, settings.scope_name), *build_views(conventions, convention_scope)],
        exemplar_filter=_EXEMPLAR_FILTERS[config.exemplar_filter](),
        shutdown_on_exit=False,
    )
    loggers = LoggerProvider(resource, shutdown_on_exit=False, log_record_limits=config.limits.for_log_records())
    lines = None if settings.stdout is None else LineWriter(settings.stdout)
    delivery = None if config.disabled else _connect(config, settings, reader, loggers)
    instruments = Instruments(meters.get_meter(settings.scope_name), catalogue)
    secrets = _secrets(config, settings)
    logs = LogWriter(
        None if delivery is None else _logger(settings.scope_name, resource, loggers, delivery),
        None if lines is None else lines.write,
        settings.unix_ns,
        stdout_level=config.log_level,
        secrets=secrets,
    )
    further: ConventionMeasurements | None = None
    if conventions:
        meter = meters.get_meter(convention_scope, schema_url=SCHEMA_URL)
        of_conventions = Instruments(meter, conventions, instruments.pending)
        further = ConventionMeasurements(of_conventions, settings.bounds, conventions)
    measurements = Measurements(instruments, settings.bounds, further)
    propagator = build_propagator(config.propagators, config.build_sampler())
    recorder: Recorder = DisabledRecorder(propagator)
    tracers: TracerProvider = NoOpTracerProvider()
    if not config.disabled:
        guard = Guard()
        tracers = fast_tracers = _tracers(config, settings, resource, delivery, lines, secrets=secrets)
        spans = SpanWriter(
            tracers.get_tracer(settings.scope_name),
            settings.bounds,
            propagator,
            secrets=secrets,
            namespace=settings.naming.namespace,
        )
        recorder = TelemetryRecorder(
            measurements,
            spans,
            logs,
            settings.bounds,
            guard,
            request_logger=f"{settings.naming.namespace}.request",
        )
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
            hold=fast_tracers.hold,
        )
    return Pipeline(
        recorder=recorder,
        exposition=Exposition(
            reader,
            (*exposed, *conventions),
            on_collected=None if config.disabled else measurements.scrape_collected,
            clock=settings.clock,
        ),
        instruments=None if config.disabled else instruments,
        logs=logs,
        log_level=stdlib_level(config.log_level),
        providers=Providers(tracers, meters, loggers, propagator),
        naming=settings.naming,
        delivery=delivery,
        lines=lines,
        console=_metrics_console(config, reader, lines),
    )


def _secrets(config: TelemetryConfig, settings: PipelineSettings) -> KnownSecrets:
    pushed = (each for each in (config.traces, config.metrics, config.logs) if each is not None)
    return KnownSecrets((*settings.secrets, *(value for each in pushed for value in each.secret_values())))


def _connect(
    config: TelemetryConfig,
    settings: PipelineSettings,
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
    """Return the writer of metrics to stdout, None where the configuration does not name it."""
    if "metrics" not in config.console or lines is None:
        return None
    return MetricsConsole(lambda: reader.snapshot().data, lines.write, config.metric_export_interval_seconds)


def _drop(_: FastSpan) -> None:
    """Take a span that goes nowhere."""


def _tracers(
    config: TelemetryConfig,
    settings: PipelineSettings,
    resource: Resource,
    delivery: Delivery | None,
    lines: LineWriter | None,
    *,
    secrets: KnownSecrets,
) -> FastTracerProvider:
    """Return the provider whose spans go to the delivery and to stdout, each where the configuration names it."""
    sinks: list[Callable[[ReadableSpan], None]] = []
    if delivery is not None and delivery.span_processor is not None:
        sinks.append(delivery.span_processor.on_end)
    if "traces" in config.console and lines is not None:
        sinks.append(span_to_console(lines.write))

    def on_end(span: ReadableSpan) -> None:
        for sink in sinks:
            sink(span)

    take: Callable[[FastSpan], None] | None = None
    take_known: TakeKnown | None = None
    if not sinks:
        take = _drop
    elif len(sinks) == 1 and delivery is not None and delivery.span_processor is not None:
        take, take_known = delivery.span_processor.offer, delivery.span_processor.offer_known
    origin = SpanOrigin(
        resource,
        InstrumentationScope(settings.scope_name),
        config.limits.for_spans(),
        settings.unix_ns,
        sinks[0] if len(sinks) == 1 else on_end,
        secrets.redact,
        take,
        take_known,
    )
    return FastTracerProvider(
        origin, config.build_sampler(), settings.ids, build_hold(settings.hold, config.sampler, len(sinks))
    )


def _logger(scope_name: str, resource: Resource, loggers: LoggerProvider, delivery: Delivery) -> FastLogger | None:
    """Return the logger whose records go to the delivery, None where logs are not pushed."""
    processor = delivery.log_processor
    if processor is None:
        return None
    scope = InstrumentationScope(scope_name)
    return FastLogger(loggers.get_logger(scope_name), resource, scope, processor.offer, processor.offer_line)
