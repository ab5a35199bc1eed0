"""The SDK's span and log processors, which only enqueue what has ended.

They run on the thread that ended the span. No encoding, no I/O, no lock.
"""

import copy
from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel.delivery.signal_queue import SignalQueue
from otel.logs.fast_logger import FastLogRecord
from otel.traces.fast_span import FastSpan

Flush = Callable[[float], bool]
_NO_CONTEXT = Context()


class SpanDelivery(SpanProcessor):
    """Enqueues each sampled span when it ends. `shutdown` only closes the intake: `Delivery.shutdown` delivers."""

    def __init__(self, queue: SignalQueue[ReadableSpan | FastSpan], flush: Flush) -> None:
        self._queue = queue
        self._flush = flush

    def offer(self, span: FastSpan) -> None:
        """Enqueue a sampled span that has ended."""
        self._queue.offer(span)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: only finished spans are delivered."""

    def on_end(self, span: ReadableSpan) -> None:
        """Enqueue a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._queue.offer(span)

    def shutdown(self) -> None:
        """Enqueue no more spans."""
        self._queue.close_intake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every span that has ended is delivered or dropped; returns whether it is."""
        return self._flush(timeout_millis / 1000)


class LogDelivery(LogRecordProcessor):
    """Enqueues each log record. `shutdown` only closes the intake: `Delivery.shutdown` delivers."""

    def __init__(self, queue: SignalQueue[ReadableLogRecord | FastLogRecord], flush: Flush) -> None:
        self._queue = queue
        self._flush = flush

    def offer(self, record: FastLogRecord) -> None:
        """Enqueue a record that is ready to be encoded."""
        self._queue.offer(record)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Enqueue a copy of the record without its context, which would keep a whole request alive."""
        record = copy.copy(log_record.log_record)
        record.context = _NO_CONTEXT
        self._queue.offer(
            ReadableLogRecord(
                log_record=record,
                resource=log_record.resource or Resource.get_empty(),
                instrumentation_scope=log_record.instrumentation_scope,
                limits=log_record.limits,
            )
        )

    def shutdown(self) -> None:
        """Enqueue no more records."""
        self._queue.close_intake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every record that was emitted is delivered or dropped; returns whether it is."""
        return self._flush(timeout_millis / 1000)
