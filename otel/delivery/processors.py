"""The SDK's span and log processors, which enqueue what has ended.

They run on the thread that ended the span. The product's own spans and log records are encoded at once: that
takes a few microseconds, while an encoding thread would take the interpreter from requests again and
again. What only the SDK can encode waits for that thread. No I/O, no lock.
"""

import copy
from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel.delivery.signal_queue import SignalQueue
from otel.logs.fast_logger import FastLogRecord, OfferLine
from otel.traces.fast_span import FastSpan
from otel.traces.span_parts import TakeKnown

Flush = Callable[[float], bool]
_NO_CONTEXT = Context()


class _Enqueuing:
    """What both processors do: `shutdown` only closes the intake, because `Delivery.shutdown` delivers."""

    def __init__(self, queue: SignalQueue[Any], flush: Flush, offer: Callable[[Any], None] | None = None) -> None:
        self._queue = queue
        self._flush = flush
        self.offer: Callable[[FastSpan | FastLogRecord], None] = offer or queue.offer
        """Enqueues a sampled span that has ended, or a record, encoded."""

    def shutdown(self) -> None:
        """Enqueue no more."""
        self._queue.close_intake()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until everything that was enqueued is delivered or dropped; returns whether it is."""
        return self._flush(timeout_millis / 1000)


class SpanDelivery(_Enqueuing, SpanProcessor):
    """Enqueues each sampled span when it ends; `offer_known` those of the product's own that are usual."""

    def __init__(
        self,
        queue: SignalQueue[Any],
        flush: Flush,
        offer: Callable[[Any], None] | None = None,
        offer_known: TakeKnown | None = None,
    ) -> None:
        super().__init__(queue, flush, offer)
        self.offer_known = offer_known

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Do nothing: only finished spans are delivered."""

    def on_end(self, span: ReadableSpan) -> None:
        """Enqueue a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._queue.offer(span)


class LogDelivery(_Enqueuing, LogRecordProcessor):
    """Enqueues each log record; `offer_line` takes lines of spans without one."""

    def __init__(
        self,
        queue: SignalQueue[Any],
        flush: Flush,
        offer: Callable[[Any], None] | None = None,
        offer_line: OfferLine | None = None,
    ) -> None:
        super().__init__(queue, flush, offer)
        self.offer_line = offer_line

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
