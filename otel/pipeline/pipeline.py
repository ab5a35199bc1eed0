"""The metrics, spans and log lines of one process, from their first event to one shutdown for all of them.

`build` makes it from the configuration. Building does no network I/O and sets no global.
"""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel.catalogue.naming import Naming
from otel.config.otlp import Signal
from otel.delivery import Delivery, DeliveryReport, SignalStats
from otel.events import Recorder
from otel.exposition import Exposition
from otel.logs.stream_writer import LineWriter
from otel.logs.writer import LogWriter, StdlibHandler
from otel.metrics.instruments import Instruments, SampleSource
from otel.pipeline.console_exporters import MetricsConsole

_CLOSE_LINES_SECONDS: Final = 0.5
"""What closing the log lines may take: a pipe that no process reads must not delay a shutdown."""


class Providers(NamedTuple):
    """OpenTelemetry's way in: what is recorded with these leaves the process as the built-in signals do."""

    tracers: TracerProvider
    meters: MeterProvider
    loggers: LoggerProvider
    propagator: TextMapPropagator


class Pipeline:
    """The three signals of one process. Safe from any thread; `shutdown` blocks, so it belongs into a worker thread."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        exposition: Exposition,
        instruments: Instruments | None,
        logs: LogWriter,
        log_level: int,
        providers: Providers,
        naming: Naming,
        delivery: Delivery | None,
        lines: LineWriter | None,
        console: MetricsConsole | None,
    ) -> None:
        self.recorder = recorder
        self.exposition = exposition
        self.instruments = instruments
        self.logs = logs
        self.log_handler = StdlibHandler(logs, log_level)
        self.providers = providers
        self.naming = naming
        self._log_level = log_level
        self._delivery = delivery
        self._lines = lines
        self._console = console
        self._log_levels: list[tuple[logging.Logger, int]] = []

    @property
    def is_disabled(self) -> bool:
        """Whether `OTEL_SDK_DISABLED` turned everything off but trace context."""
        return self.instruments is None

    def start(self) -> None:
        """Start the delivery's threads; connects to nothing."""
        if self._delivery is not None:
            self._delivery.start()
        if self._console is not None:
            self._console.start()

    def observe(self, family: str, source: SampleSource) -> None:
        """Give an observable family its source; raises KeyError for an unknown name, TypeError for a synchronous one.

        Does nothing where telemetry is off.
        """
        if self.instruments is not None:
            self.instruments.observe(family, source)

    def install_logging(self, level: int | None = None, *, quiet: Sequence[str] = ()) -> None:
        """Send everything that is logged in this process through telemetry, in place of the root logger's handlers.

        `level` is the lowest that is recorded: by default INFO, or DEBUG where `OTEL_LOG_LEVEL` is
        `debug`. For the loggers in `quiet` it is at least WARNING.
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
        """Remove the handler and restore the levels."""
        while self._log_levels:
            logger, level = self._log_levels.pop()
            logger.removeHandler(self.log_handler)
            logger.setLevel(level)

    def delivery_stats(self) -> Mapping[Signal, SignalStats]:
        """Return the export's counters by pushed signal; empty where nothing is pushed."""
        return {} if self._delivery is None else self._delivery.stats.snapshot()

    def shutdown(self, deadline_seconds: float) -> DeliveryReport:
        """Flush traces, metrics and logs at once within the deadline; returns what was lost.

        `/metrics` goes on serving the last collection.
        """
        if self._delivery is None:
            report = DeliveryReport(lost_items={}, duration_seconds=0.0)
        else:
            report = self._delivery.shutdown(deadline_seconds)
        if self._console is not None:
            self._console.close()
        # The processors and the reader are closed already: the providers take no time and send nothing.
        providers = (self.providers.meters, self.providers.loggers)
        with ThreadPoolExecutor(len(providers)) as pool:
            for provider in providers:
                pool.submit(provider.shutdown)
        self.uninstall_logging()
        if self._lines is not None:
            self._lines.close(_CLOSE_LINES_SECONDS)
        return report
