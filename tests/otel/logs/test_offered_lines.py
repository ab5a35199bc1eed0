"""A line of a span is encoded without a record: the bytes are the SDK's."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from otel.delivery.buffer import ExportBuffer
from otel.delivery.encoding.logs import make_log_batch_encoder
from otel.delivery.processors import LogDelivery
from otel.delivery.signal_queue import SignalQueue
from otel.logs.fast_logger import FastLogger, FastLogRecord

RESOURCE, SCOPE = Resource({"service.name": "gatewayz"}, "https://schema"), InstrumentationScope("gatewayz", "1")


class Emitted:
    """A logger whose lines are encoded as they are emitted."""

    def __init__(self) -> None:
        self.queue = SignalQueue(
            ExportBuffer(1 << 20),
            max_pending_items=99,
            batch_size=99,
            batch_full=threading.Event(),
            batch_stored=threading.Event(),
        )
        self.encoder = make_log_batch_encoder()
        early = self.encoder.offer_early(self.queue.offer), self.encoder.offer_line_early(self.queue.offer)
        delivery = LogDelivery(self.queue, lambda _: True, *early)
        provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
        self.logger = FastLogger(provider.get_logger("gatewayz"), RESOURCE, SCOPE, delivery.offer, delivery.offer_line)


ONE = Emitted()
"""For all examples: what it keeps of one must not show in another."""


@given(
    st.integers(1, (1 << 64) - 1),
    st.sampled_from([SeverityNumber.INFO, SeverityNumber.WARN, SeverityNumber.UNSPECIFIED]),
    st.sampled_from(["info", "warning", ""]),
    st.text(max_size=200) | st.sampled_from(["", "ü" * 64, "x" * 127, "x" * 128, "x" * 20_000]),
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.sampled_from([0, 1, 3]),
)
def test_the_bytes_are_the_sdks(unix_ns, number, text, body, trace_id, span_id, flags):  # noqa: PLR0917
    span = SpanContext(trace_id, span_id, False, TraceFlags(flags))
    ONE.logger.emit_line(unix_ns, number, text, body, span, (trace_id.to_bytes(16), span_id.to_bytes(8)))
    [item] = ONE.queue.take()
    record = FastLogRecord(
        (RESOURCE, SCOPE), unix_ns, unix_ns, trace_id, span_id, TraceFlags(flags), number, text, body
    )
    assert type(item) is tuple
    assert ONE.encoder.encode([item]) == encode_logs([record]).SerializeToString()


@pytest.mark.parametrize(("unix_ns", "body"), [(1 << 64, "x"), (1, "\ud800")])
def test_what_cannot_be_encoded_waits_to_be_counted(unix_ns, body):
    emitted = Emitted()
    emitted.logger.emit_line(
        unix_ns, SeverityNumber.INFO, "info", body, SpanContext(1, 1, False), (b"\0" * 15 + b"\1", b"\0" * 7 + b"\1")
    )
    [item] = emitted.queue.take()
    assert type(item) is FastLogRecord
    with pytest.raises((ValueError, OverflowError, UnicodeEncodeError)):
        emitted.encoder.encode([item])


def test_lines_without_ids_and_lines_with_stay_in_order():
    emitted = Emitted()
    span = SpanContext(1, 1, False)
    emitted.logger.emit_line(1, SeverityNumber.INFO, "info", "a", span)
    emitted.logger.emit_line(1, SeverityNumber.INFO, "info", "b", span, (b"\0" * 15 + b"\1", b"\0" * 7 + b"\1"))
    emitted.logger.emit(timestamp=1, observed_timestamp=1, body="c", context=Context())
    items = emitted.queue.take()
    body = emitted.encoder.encode(items)
    assert [body.index(text) for text in (b"*\x03\n\x01a", b"*\x03\n\x01b", b"*\x03\n\x01c")] == sorted(
        body.index(text) for text in (b"*\x03\n\x01a", b"*\x03\n\x01b", b"*\x03\n\x01c")
    )
