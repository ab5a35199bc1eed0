"""The encoding here of spans and log records against the SDK's, byte by byte, for whatever the API accepts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel.delivery.encoding.logs import LogEncoder, make_log_batch_encoder
from otel.delivery.encoding.protobuf import AttributeEncoder, UnsupportedValueError, varint
from otel.delivery.encoding.spans import SpanEncoder, make_span_batch_encoder

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
UINT64 = st.integers(0, (1 << 64) - 1)
TEXT = st.text(max_size=200) | st.sampled_from(["", "a", "ü" * 64, "x" * 127, "x" * 128, "x" * 20_000])
PLAIN = st.one_of(TEXT, st.booleans(), INT64, st.floats(), st.sampled_from([0, 1, 1.0, True, False, -1, 0.0, -0.0]))
VALUES = PLAIN | st.lists(TEXT, max_size=3).map(tuple) | st.lists(INT64, max_size=3) | st.binary(max_size=8)
ATTRIBUTES = st.dictionaries(TEXT, VALUES, max_size=8)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    st.sampled_from([TraceState(), TraceState([("vendor", "1"), ("other", "a=b")])]),
)
EVENTS = st.builds(Event, st.text(max_size=9), st.just({"k": 1}), UINT64)
RESOURCES = [Resource({"service.name": "gatewayz", "host.cpus": 2}, "https://schema"), Resource({})]
SCOPES = [
    InstrumentationScope("gatewayz"),
    InstrumentationScope("x", "1.2", "https://schema", {"a": "b"}),
    None,
]
SPANS = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXTS,
    parent=st.none() | CONTEXTS,
    resource=st.sampled_from(RESOURCES),
    attributes=st.none() | ATTRIBUTES,
    events=st.just(()) | st.lists(EVENTS, max_size=2),
    links=st.just(()) | st.lists(CONTEXTS.map(Link), max_size=2),
    kind=st.sampled_from(SpanKind),
    status=st.sampled_from(
        [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "why")]
    ),
    start_time=UINT64,
    end_time=UINT64,
    instrumentation_scope=st.sampled_from(SCOPES),
)


@st.composite
def records(draw):
    return ReadableLogRecord(
        log_record=LogRecord(
            timestamp=draw(st.none() | UINT64),
            observed_timestamp=draw(UINT64),
            trace_id=draw(st.integers(0, (1 << 128) - 1)),
            span_id=draw(UINT64),
            trace_flags=draw(st.sampled_from([TraceFlags(0), TraceFlags(1)])),
            severity_text=draw(st.none() | TEXT),
            severity_number=draw(st.none() | st.sampled_from(SeverityNumber)),
            body=draw(st.none() | VALUES | st.dictionaries(st.text(max_size=4), PLAIN, max_size=2)),
            attributes=draw(st.none() | ATTRIBUTES),
            event_name=draw(st.none() | TEXT),
        ),
        resource=draw(st.sampled_from(RESOURCES)),
        instrumentation_scope=draw(st.sampled_from(SCOPES)),
    )


@given(st.lists(SPANS, max_size=5))
def test_spans_are_encoded_as_the_sdk_encodes_them(spans):
    assert make_span_batch_encoder().encode(spans) == encode_spans(spans).SerializeToString()


@given(st.lists(records(), max_size=5))
def test_log_records_are_encoded_as_the_sdk_encodes_them(batch):
    assert make_log_batch_encoder().encode(batch) == encode_logs(batch).SerializeToString()


@given(UINT64 | st.sampled_from([0, 127, 128, 16_383, 16_384, (1 << 64) - 1]))
def test_a_varint(number):
    read, shift = 0, 0
    encoded = varint(number)
    for digit in encoded:
        read |= (digit & 0x7F) << shift
        shift += 7
    assert read == number
    assert [bool(digit & 0x80) for digit in encoded] == [True] * (len(encoded) - 1) + [False]


def test_equal_values_of_different_types_stay_apart():
    encoder = SpanEncoder()
    for value in (1, True, 1.0, "1", True, 1):
        span = ReadableSpan("n", SpanContext(1, 1, False), attributes={"k": value}, start_time=1, end_time=2)
        encoded = encoder.encode(span)
        assert encoded == encode_spans([span]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()


EQUAL = st.sampled_from([0, 0.0, -0.0, False, 1, 1.0, True, "1", "", -1, -1.0, 2**53, float(2**53)])
EQUAL_VALUES = EQUAL | st.lists(EQUAL, max_size=2) | st.lists(EQUAL, max_size=2).map(tuple)


def attributes_of(encoded):
    return Span.FromString(encoded).attributes


@given(st.lists(st.tuples(st.sampled_from(["k", "l"]), EQUAL_VALUES, st.booleans()), max_size=12))
@example([("k", (each,), False) for each in (1, True, 1.0, True, 1)])
@example([("k", (each,), False) for each in (0.0, -0.0, False, 0, 0.0)])
@example([("k", each, False) for each in (-0.0, 0.0, False, 0, -0.0)])
def test_values_that_are_equal_keep_their_types_in_any_order(values):
    encoder = AttributeEncoder(b"\x4a")  # the field of a span's attributes
    for key, value, is_varying in values:
        found = attributes_of(encoder.encode({key: value}, is_varying=is_varying))
        span = ReadableSpan("n", SpanContext(1, 1, False), attributes={key: value}, start_time=1, end_time=2)
        [expected] = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0].attributes
        assert [each.SerializeToString() for each in found] == [expected.SerializeToString()]


class Kept(SpanExporter):
    """Keeps what ends."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans += spans
        return SpanExportResult.SUCCESS


def test_a_span_of_the_sdk_is_encoded_fast_and_counts_what_it_dropped():
    kept = Kept()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    span = provider.get_tracer("t").start_span("chat tiny", kind=SpanKind.CLIENT)
    span.set_attributes({f"key.{number}": number for number in range(200)})
    span.set_attribute("finish", ["stop"])
    span.set_status(Status(StatusCode.ERROR, "x"))
    span.end()
    [ended] = kept.spans
    assert ended.dropped_attributes > 0
    SpanEncoder().encode(ended)  # raises where it is not the short way
    assert make_span_batch_encoder().encode([ended]) == encode_spans([ended]).SerializeToString()


@pytest.mark.parametrize("body", [{"a": 1}, b"bytes", 1 << 70])
def test_unsupported_values_are_encoded_by_the_sdk(body):
    record = ReadableLogRecord(LogRecord(body=body), Resource({}), SCOPES[0])
    with pytest.raises(UnsupportedValueError):
        LogEncoder().encode(record)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_text_that_no_utf8_can_carry_fails_as_with_the_sdk(text):
    record = ReadableLogRecord(LogRecord(body=text), Resource({}), SCOPES[0])
    with pytest.raises(Exception) as by_sdk:  # noqa: PT011  whatever it is
        encode_logs([record])
    with pytest.raises(by_sdk.type):
        make_log_batch_encoder().encode([record])


@given(st.lists(SPANS, max_size=5), st.data())
def test_items_that_were_encoded_early_give_the_same_request(spans, data):
    encoder = make_span_batch_encoder()
    early, origins = [], {}
    offer = encoder.offer_early(early.append)
    for span in spans:
        span.origin = origins.setdefault((id(span.resource), id(span.instrumentation_scope)), object())
        (offer if data.draw(st.booleans()) else early.append)(span)
    assert encoder.encode(early) == encode_spans(spans).SerializeToString()
