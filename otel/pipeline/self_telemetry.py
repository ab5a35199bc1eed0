"""Registers the observable families of the process itself and of its telemetry."""

from collections.abc import Callable, Iterable

from otel.catalogue import http, self_telemetry, semconv
from otel.delivery import Delivery, SignalStats
from otel.logs.stream_writer import LineWriter
from otel.metrics.instruments import Instruments, Sample, SampleSource
from otel.metrics.process import observe_process
from otel.metrics.reader import SharedReader
from otel.recording.guard import Guard
from otel.traces.held_trace import TraceHold


def observe_own(
    instruments: Instruments,
    app_name: str,
    version: str,
    *,
    ignored_settings: int,
    reader: SharedReader,
    delivery: Delivery | None,
    guard: Guard,
    lines: LineWriter | None,
    hold: TraceHold | None,
) -> None:
    """Register application info, process metrics and the self-telemetry."""
    info = {semconv.APP_NAME: app_name, semconv.VERSION: version}
    instruments.observe(http.APP_INFO, lambda: [(1, info)])
    observe_process(instruments)
    instruments.observe(self_telemetry.IGNORED_SETTINGS, lambda: [(ignored_settings, {})])
    instruments.observe(self_telemetry.RECORD_FAILURES, lambda: [(guard.failures, {})])
    instruments.observe(
        self_telemetry.OVERFLOW,
        lambda: [(count, {semconv.METRIC: family}) for family, count in reader.overflow().items()],
    )
    if lines is not None:
        instruments.observe(self_telemetry.LOG_LINES_DROPPED, lambda: [(lines.dropped, {})])
    if delivery is not None:
        _observe_delivery(instruments, delivery, hold)


def _observe_delivery(instruments: Instruments, delivery: Delivery, hold: TraceHold | None) -> None:
    """Register the delivery's counters, one series per pushed signal."""
    snapshot = delivery.stats.snapshot
    of_held_traces = {semconv.SIGNAL: "traces", semconv.REASON: semconv.HELD_LIMIT}

    def by_signal(value: Callable[[SignalStats], int]) -> SampleSource:
        return lambda: [(value(stats), {semconv.SIGNAL: signal}) for signal, stats in snapshot().items()]

    def dropped() -> Iterable[Sample]:
        samples: list[Sample] = [
            (count, {semconv.SIGNAL: signal, semconv.REASON: reason})
            for signal, stats in snapshot().items()
            for reason, count in stats.dropped.items()
        ]
        return samples if hold is None else [*samples, (hold.dropped, of_held_traces)]

    instruments.observe(self_telemetry.QUEUED_BYTES, by_signal(lambda stats: stats.queued_bytes))
    instruments.observe(self_telemetry.QUEUED_ITEMS, by_signal(lambda stats: stats.queued_items))
    instruments.observe(self_telemetry.EXPORTED, by_signal(lambda stats: stats.exported))
    instruments.observe(self_telemetry.RETRIES, by_signal(lambda stats: stats.retries))
    instruments.observe(self_telemetry.DROPPED, dropped)
