"""The door to `otel/` for any application: one object for its metrics, spans, log lines and monitoring endpoints.

telemetry = Telemetry.from_environ(service="shop", metrics=[Counter("shop_orders_total", {"method": ("card", "cash")})])
api = FastAPI(lifespan=telemetry.lifespan)
app = telemetry.instrument_asgi(api, serve_metrics=True)
"""

import asyncio
import logging
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

from opentelemetry import metrics as otel_metrics
from opentelemetry import propagate, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.metrics import Meter, NoOpMeterProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Tracer

from otel.catalogue.conventions import of_application
from otel.catalogue.naming import Naming
from otel.config.environ import telemetry_config_from_environ
from otel.delivery import DeliveryReport
from otel.instrument.application_families import application_families
from otel.instrument.asgi import AsgiApp, RequestTelemetry, Scope
from otel.instrument.llm import LlmRecorder
from otel.instrument.metrics_app import MetricsApp
from otel.instrument.own_metrics import MetricError, OwnMetric, OwnMetrics
from otel.instrument.routing import BoundedNames, Routes, find_routes
from otel.labels import LabelBounds
from otel.logs.stream_writer import LineStream
from otel.metrics.instruments import SampleSource
from otel.pipeline import Pipeline, PipelineSettings, build_pipeline
from otel.traces.held_trace import HoldRules

SCOPE_NAME: Final = "otel"
DEADLINE_SECONDS: Final = 5.0
_MAX_TEMPLATES: Final = 1_000
_MAX_EXCEPTION_TYPES: Final = 200

_logger: Final = logging.getLogger("otel")


class Telemetry:
    """The telemetry of one process. Recording is safe from any thread and never blocks.

    As a context manager, with or without `async`, it starts the export and flushes it at the end, within
    `deadline_seconds`. `/metrics` needs neither. It can be started once.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        own_metrics: OwnMetrics,
        llm: LlmRecorder | None,
        *,
        service: str,
        version: str,
        clock: Callable[[], float],
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """Use `from_environ`."""
        self._pipeline = pipeline
        self._own_metrics = own_metrics
        self._llm = llm
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._has_stopped = False
        meters = NoOpMeterProvider() if pipeline.is_disabled else pipeline.providers.meters
        self.tracer: Tracer = pipeline.providers.tracers.get_tracer(service, version)
        """Makes spans; below the request's span inside a measured request."""
        self.meter: Meter = meters.get_meter(service, version)
        """Makes instruments beside the catalogue; their metrics are exported and exposed as they are named."""
        own_metrics.connect(pipeline.instruments)

    @classmethod
    def from_environ(
        cls,
        *,
        service: str,
        version: str = "",
        metrics: Sequence[OwnMetric] = (),
        llm: Mapping[str, Collection[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        http_prefix: str = "fastapi",
        prefix: str = "",
        stdout: LineStream | None = None,
        install_global: bool = False,
        deadline_seconds: float = DEADLINE_SECONDS,
        secrets: Sequence[str] = (),
        conventions: Sequence[str] = (),
        export_failed_traces: bool = True,
        export_slower_than_seconds: float = 0.0,
        spool_folder: str | None = None,
        share_seconds: float = 1.0,
        instance_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix_ns: Callable[[], int] = time.time_ns,
        ids: IdGenerator | None = None,
        rng: random.Random | None = None,
    ) -> Self:
        """Build the telemetry of a service from the `OTEL_*` variables; nothing is pushed until one names an endpoint.

        `metrics` declares the application's own. `llm` names the models of each LLM provider that it calls.
        `http_prefix` begins the names of the HTTP metrics, `prefix` those of the others that the documentation
        calls `gatewayz_*`. `stdout` takes log lines as JSON. `install_global` makes these OpenTelemetry's global
        providers, so that instrumented libraries are heard. `secrets` are redacted in log lines and spans.
        `conventions` adds to `OTEL_SEMCONV_STABILITY_OPT_IN`: `http`, `gen_ai_latest_experimental`.
        Requests that fail, or that take longer than a threshold above 0, leave their trace although it is not sampled.

        Raises `MetricError` for a metric that cannot be declared, RuntimeError where a global provider is installed
        already, `TelemetryConfigError` for certificate files that cannot be read and for names that are not supported.
        """
        config = telemetry_config_from_environ(
            os.environ if environ is None else environ, spool_folder=spool_folder, conventions=conventions
        )
        naming = Naming(http=http_prefix, own=prefix)
        catalogue = application_families(with_llm=llm is not None)
        standard = of_application(with_llm=llm is not None)
        own_metrics = OwnMetrics(metrics, (*catalogue, *map(naming.spec, catalogue), *standard))
        bounds = LabelBounds.from_routes(
            service,
            tuple((provider, model) for provider, models in (llm or {}).items() for model in models),
            paths=BoundedNames(_MAX_TEMPLATES),
            exception_types=BoundedNames(_MAX_EXCEPTION_TYPES),
        )
        pipeline = build_pipeline(
            config,
            PipelineSettings(
                bounds=bounds,
                version=version,
                instance_id=instance_id or str(uuid.uuid4()),
                clock=clock,
                unix_ns=unix_ns,
                rng=rng or random.Random(),  # noqa: S311  jitter of retries
                ids=ids or RandomIdGenerator(),
                stdout=stdout,
                share_seconds=share_seconds,
                catalogue=catalogue,
                families=own_metrics.specs,
                conventions=standard,
                naming=naming,
                service_name=service,
                scope_name=SCOPE_NAME,
                secrets=secrets,
                hold=HoldRules(failed=export_failed_traces, slower_than_seconds=export_slower_than_seconds),
            ),
        )
        for warning in config.warnings:
            _logger.warning("%s", warning)
        if install_global and not pipeline.is_disabled:
            _install_global(pipeline)
        calls = LlmRecorder(
            pipeline.recorder,
            None if pipeline.is_disabled else pipeline.logs,
            bounds,
            clock=clock,
            unix_ns=unix_ns,
            logger=f"{naming.namespace}.llm",
        )
        return cls(
            pipeline,
            own_metrics,
            None if llm is None else calls,
            service=service,
            version=version,
            clock=clock,
            deadline_seconds=deadline_seconds,
        )

    @property
    def llm(self) -> LlmRecorder:
        """Records LLM calls; raises `MetricError` where no provider was declared."""
        if self._llm is None:
            raise MetricError('name the models of each provider: Telemetry.from_environ(llm={"openai": ["gpt-4o"]})')
        return self._llm

    def add(self, name: str, value: float = 1, /, **labels: object) -> None:
        """Add to a declared counter; raises `MetricError` for a name or label that was not declared."""
        self._own_metrics.add(name, value, labels)

    def record(self, name: str, value: float, /, **labels: object) -> None:
        """Record one observation in a declared histogram; raises `MetricError` like `add`."""
        self._own_metrics.record(name, value, labels)

    def set(self, name: str, value: float | None, /, **labels: object) -> None:
        """Set a declared gauge, or remove its series with None; raises `MetricError` like `add`."""
        self._own_metrics.set(name, value, labels)

    def observe(self, name: str, source: SampleSource) -> None:
        """Read a declared gauge from `source` at each collection, which must not block."""
        self._own_metrics.observe(name, source)

    def instrument_asgi(
        self,
        app: Any,
        *,
        ignored: Collection[str] = (),
        route_of: Callable[[Scope], str] | None = None,
        serve_metrics: bool = False,
    ) -> AsgiApp:
        """Return the application with its HTTP requests measured, each with a server span and a log line.

        Route templates are found for FastAPI, Starlette and Litestar, else by `route_of`. Templates in `ignored` are
        not measured, nor are the monitoring endpoints, which `serve_metrics` serves in front of the application.
        """
        own = frozenset(ignored)
        routes = find_routes(app, own) if route_of is None else Routes(route_of, own)
        measured = RequestTelemetry(
            app,
            self._pipeline.recorder,
            route_of=routes.template,
            is_ignored=routes.is_ignored,
            clock=self._clock,
        )
        return _MetricsFirst(self.metrics_app(), measured) if serve_metrics else measured

    def metrics_app(self, *, token: str | None = None) -> MetricsApp:
        """Return the monitoring endpoints as an ASGI application; with a token only for clients that present it."""
        return MetricsApp(self._pipeline.exposition, token=token, naming=self._pipeline.naming)

    def install_logging(self, level: int | None = None, *, quiet: Sequence[str] = ()) -> None:
        """Send what is logged in this process through telemetry, in place of the root logger's handlers."""
        self._pipeline.install_logging(level, quiet=quiet)

    def start(self) -> None:
        """Start the export; connects to nothing. Raises RuntimeError after `shutdown`."""
        if self._has_stopped:
            raise RuntimeError("this Telemetry has been shut down: make a new one with Telemetry.from_environ")
        self._pipeline.start()

    def shutdown(self, deadline_seconds: float | None = None) -> DeliveryReport:
        """Flush the export within the deadline and end it; returns what was lost. Blocks."""
        self._has_stopped = True
        report = self._pipeline.shutdown(self._deadline_seconds if deadline_seconds is None else deadline_seconds)
        if not report.is_complete:
            _logger.warning("shutdown lost telemetry: %s", {**report.lost_items, **report.refused_items})
        return report

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:  # noqa: ARG002  the frameworks pass themselves
        """Run the export while an application lives: `FastAPI(lifespan=telemetry.lifespan)`."""
        async with self:
            yield

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.shutdown)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()


class _MetricsFirst:
    """Serves the monitoring endpoints in front of an application."""

    def __init__(self, metrics: MetricsApp, app: AsgiApp) -> None:
        self._metrics = metrics
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        is_monitoring = scope["type"] == "http" and self._metrics.serves(scope)
        await (self._metrics if is_monitoring else self._app)(scope, receive, send)


def _install_global(pipeline: Pipeline) -> None:
    """Make the pipeline's providers the global ones; the API can do this once in a process."""
    is_free = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if not is_free:
        raise RuntimeError("install_global: this process has a global tracer provider already; install only one")
    providers = pipeline.providers
    trace.set_tracer_provider(providers.tracers)
    otel_metrics.set_meter_provider(providers.meters)
    set_logger_provider(providers.loggers)
    propagate.set_global_textmap(providers.propagator)
