"""A delivery with the SDK's providers in front of it, for tests against a receiver double.

with DeliveryHarness(receiver.endpoint) as harness:
    harness.record(0)
    assert harness.delivery.force_flush(DEADLINE_SECONDS)
"""

import random
from types import TracebackType
from typing import Self

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from otel.config.environ import telemetry_config_from_environ
from otel.delivery import Delivery, DeliveryReport, build_delivery
from otel.delivery.build import build_sender
from otel.pipeline.resource import build_resource
from tests.harness.watched_sender import Try, WatchedSender


class DeliveryHarness:
    """Records one span, one log record and one count per `record`, and pushes them to `endpoint`.

    Keyword arguments are further `OTEL_*` variables. Its intervals are short: batches every 20 ms, metrics every 100 ms.
    Its timeout is OTLP's ten seconds: after a shorter one a busy machine sends again what had arrived.
    `tries` are all calls of the senders, in order of their ends. `spool` is the folder for what shutdown could not deliver.
    """

    def __init__(
        self, endpoint: str, *, buffer_bytes: int = 64 * 1024 * 1024, spool: str | None = None, **environ: str
    ) -> None:
        self.environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BLRP_SCHEDULE_DELAY": "20",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            # Small batches, so that there are several of them.
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
            "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "64",
            **environ,
        }
        self.tries: list[Try] = []
        config = telemetry_config_from_environ(self.environ, buffer_bytes=buffer_bytes, spool_folder=spool)
        resource = build_resource(config, service_version="0", instance_id="harness")
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.delivery: Delivery = build_delivery(
            config,
            collect_metrics=self._reader.get_metrics_data,
            rng=random.Random(1),
            sender=lambda of_signal: WatchedSender(of_signal.signal, build_sender(of_signal), self.tries),
        )
        if self.delivery.span_processor is not None:
            self._tracers.add_span_processor(self.delivery.span_processor)
        if self.delivery.log_processor is not None:
            self._loggers.add_log_record_processor(self.delivery.log_processor)
        self._tracer = self._tracers.get_tracer("harness")
        self._logger = self._loggers.get_logger("harness")
        self._counter = self._meters.get_meter("harness").create_counter("recorded")
        self._report: DeliveryReport | None = None
        self.recorded = 0

    def __enter__(self) -> Self:
        self.delivery.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def record(self, count: int = 1) -> None:
        """Record `count` times; span attribute `n`, log body and counter number what was recorded, from 0."""
        for _ in range(count):
            with self._tracer.start_as_current_span("work", attributes={"n": self.recorded}):
                self._logger.emit(body=self.recorded, severity_number=SeverityNumber.INFO)
            self._counter.add(1, {"kind": "harness"})
            self.recorded += 1

    def close(self, deadline_seconds: float = 2.0) -> DeliveryReport:
        """Shut the delivery down first, then the providers; a second call returns the first one's report."""
        if self._report is None:
            self._report = self.delivery.shutdown(deadline_seconds)
            self._tracers.shutdown()
            self._loggers.shutdown()
            self._meters.shutdown()
        return self._report
