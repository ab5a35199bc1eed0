"""Wires queues, loops, senders and threads into a `Delivery`; it starts nothing and connects to nothing."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.version import __version__ as sdk_version

from otel.config.environ import BatchConfig, TelemetryConfig
from otel.config.otlp import OtlpConfig, Signal, TelemetryConfigError
from otel.delivery.buffer import ExportBuffer
from otel.delivery.delivery import Delivery, Pushed
from otel.delivery.encode_loop import Encode, EncodeLane, EncodeLoop
from otel.delivery.encoding.logs import make_log_batch_encoder
from otel.delivery.encoding.metrics import PushEncoder
from otel.delivery.encoding.spans import make_span_batch_encoder
from otel.delivery.export_loop import ExportLoop
from otel.delivery.metric_push import MetricPush
from otel.delivery.processors import LogDelivery, SpanDelivery
from otel.delivery.signal_queue import SignalQueue
from otel.delivery.spool import Spool
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.http import HttpSender
from otel.delivery.transport.sender import Sender
from otel.delivery.worker import Worker

USER_AGENT: Final = f"gatewayz-otel OTel-OTLP-Exporter-Python/{sdk_version}"
_ENCODER_PAUSE_SECONDS: Final = 0.0005
"""Between two batches of a backlog, so that the event loop gets the interpreter first."""


def build_sender(config: OtlpConfig) -> Sender:
    """Return the sender for the configured protocol.

    Raises `TelemetryConfigError` for certificate files that cannot be read, and for gRPC where its package is not installed.
    """
    if config.protocol == "grpc":
        try:
            from otel.delivery.transport.grpc import GrpcSender  # noqa: PLC0415  an optional dependency
        except ModuleNotFoundError:
            raise TelemetryConfigError(
                "OTEL_EXPORTER_OTLP_PROTOCOL=grpc needs packages that are not installed: "
                "pip install grpcio googleapis-common-protos, or set http/protobuf"
            ) from None
        return GrpcSender(config, user_agent=USER_AGENT)
    return HttpSender(config, user_agent=USER_AGENT)


def build_delivery(
    config: TelemetryConfig,
    *,
    collect_metrics: Callable[[], MetricsData | None],
    clock: Callable[[], float] = time.monotonic,
    rng: random.Random,
    sender: Callable[[OtlpConfig], Sender] = build_sender,
    instance_id: str = "",
) -> Delivery:
    """Build the delivery of every signal that is pushed.

    `collect_metrics` runs on the delivery's own thread; what it returns must be cumulative. `clock` is monotonic, in seconds; `rng`
    spreads the retries of many processes; `instance_id` names this process's file in the spool.
    Raises `TelemetryConfigError` for certificate files that cannot be read.
    """
    spool = (
        None
        if config.spool_folder is None
        else Spool(Path(config.spool_folder), instance_id or f"{rng.getrandbits(64):016x}")
    )
    return _Builder(config, clock, rng, sender, spool).build(collect_metrics)


class _Builder:
    """The parts that all signals share, while they are being wired."""

    def __init__(
        self,
        config: TelemetryConfig,
        clock: Callable[[], float],
        rng: random.Random,
        sender: Callable[[OtlpConfig], Sender],
        spool: Spool | None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._rng = rng
        self._sender = sender
        self._spool = spool
        self._buffer = ExportBuffer(config.buffer_bytes)
        self._batch_full = threading.Event()
        self._lanes: list[EncodeLane] = []
        self._encode_loop = EncodeLoop(self._lanes, clock)
        self._pushed: list[Pushed] = []

    def build(self, collect_metrics: Callable[[], MetricsData | None]) -> Delivery:
        config = TelemetryConfig() if self._config.disabled else self._config
        delivery: Delivery

        def flush(signal: Signal) -> Callable[[float], bool]:
            return lambda timeout_seconds: delivery.force_flush(timeout_seconds, signals=(signal,))

        span_processor = log_processor = None
        if config.traces is not None:
            of_spans = make_span_batch_encoder()
            spans = self._queue(config.traces, of_spans.encode, config.span_batch)
            span_processor = SpanDelivery(
                spans,
                flush("traces"),
                of_spans.offer_early(spans.offer),
                of_spans.offer_known_early(spans.offer),
            )
        if config.metrics is not None:
            self._metrics(config.metrics, collect_metrics)
        if config.logs is not None:
            of_logs = make_log_batch_encoder()
            logs = self._queue(config.logs, of_logs.encode, config.log_batch)
            log_processor = LogDelivery(
                logs, flush("logs"), of_logs.offer_early(logs.offer), of_logs.offer_line_early(logs.offer)
            )
        encoder = None
        if self._lanes:
            encoder = Worker(
                self._encode_loop, "otlp-encode", wake=self._batch_full, pause_seconds=_ENCODER_PAUSE_SECONDS
            )
        delivery = Delivery(
            self._pushed,
            encoder,
            span_processor=span_processor,
            log_processor=log_processor,
            clock=self._clock,
            spool=self._spool,
        )
        return delivery

    def _queue(self, config: OtlpConfig, encode: Encode, batch: BatchConfig) -> SignalQueue[Any]:
        """Wire a signal that is enqueued item by item."""
        sender = self._sender(config)
        batch_stored = threading.Event()
        queue: SignalQueue[Any] = SignalQueue(
            self._buffer,
            max_pending_items=batch.max_queue_size,
            batch_size=batch.max_export_batch_size,
            batch_full=self._batch_full,
            batch_stored=batch_stored,
        )
        self._lanes.append(
            EncodeLane(
                queue,
                encode,
                sender.pack,
                StateLog(config.signal, sender.address, self._clock),
                batch_size=batch.max_export_batch_size,
                schedule_delay_seconds=batch.schedule_delay_seconds,
            )
        )
        loop = ExportLoop(
            queue,
            sender,
            Backoff(self._rng.random, self._clock),
            StateLog(config.signal, sender.address, self._clock),
            timeout_seconds=config.timeout_seconds,
        )
        self._pushed.append(
            Pushed(
                signal=config.signal,
                queue=queue,
                sender=sender,
                worker=Worker(loop, f"otlp-{config.signal}", wake=batch_stored),
                flush=self._encode_loop.flush,
                enter_shutdown=loop.enter_shutdown,
            )
        )
        return queue

    def _metrics(self, config: OtlpConfig, collect: Callable[[], MetricsData | None]) -> None:
        """Wire the metrics, which are collected."""
        sender = self._sender(config)
        push = MetricPush(
            collect,
            PushEncoder(time.time_ns),
            sender,
            Backoff(self._rng.random, self._clock),
            StateLog(config.signal, sender.address, self._clock),
            interval_seconds=self._config.metric_export_interval_seconds,
            timeout_seconds=config.timeout_seconds,
            clock=self._clock,
        )
        self._pushed.append(
            Pushed(
                signal=config.signal,
                queue=push.queue,
                sender=sender,
                worker=Worker(push, "otlp-metrics", wake=threading.Event()),
                flush=push.flush,
                enter_shutdown=push.enter_shutdown,
                collect_outstanding=push.collect_outstanding,
            )
        )
