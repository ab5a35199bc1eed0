"""PROCESSORS: where the SDK hands over what has ended: spans and log records go into their queue, and that is all.

Comes in: sampled spans and log records, on the thread that ended them. Goes out: the same to
`SignalQueue.offer`. No encoding, no I/O, no lock.
"""

import copy
from collections.abc import Callable

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel.delivery.buffer import SignalQueue
from otel.logs.fast_logger import FastLogRecord

Flush = Callable[[float], bool]
_NO_CONTEXT = Context()


class SpanDelivery(SpanProcessor):
    """Queues each sampled span when it ends. Its provider's `shutdown` only closes the intake: `Delivery.shutdown` delivers."""

    def __init__(self, queue: SignalQueue[ReadableSpan], flush: Flush) -> None:
        self._queue = queue
        self._flush = flush

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do yet."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._queue.offer(span)

    def shutdown(self) -> None:
        """Take no more spans."""
        self._queue.close_intake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what has ended so far is delivered or dropped; returns whether it is."""
        return self._flush(timeout_millis / 1000)


class LogDelivery(LogRecordProcessor):
    """Queues each log record. Its provider's `shutdown` only closes the intake: `Delivery.shutdown` delivers."""

    def __init__(self, queue: SignalQueue[ReadableLogRecord | FastLogRecord], flush: Flush) -> None:
        self._queue = queue
        self._flush = flush

    def offer(self, record: FastLogRecord) -> None:
        """Queue a record that is ready to be encoded."""
        self._queue.offer(record)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a copy of the record, without the context, which may hold a whole request alive."""
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
        """Take no more records."""
        self._queue.close_intake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until what was emitted so far is delivered or dropped; returns whether it is."""
        return self._flush(timeout_millis / 1000)
