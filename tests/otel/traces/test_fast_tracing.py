"""The fast span, tracer and logger compared with the SDK's: the same calls give the same bytes."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    TraceIdRatioBased,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel.delivery.buffer import ExportBuffer
from otel.delivery.encoding.logs import LogEncoder, make_log_batch_encoder
from otel.delivery.processors import LogDelivery
from otel.delivery.signal_queue import SignalQueue
from otel.logs.fast_logger import FastLogger, FastLogRecord
from otel.traces.context import traced_context
from otel.traces.fast_tracer import FastTracer
from otel.traces.span_parts import SpanOrigin

RESOURCE = Resource({"service.name": "gatewayz"})
SCOPE = InstrumentationScope("gatewayz")
SAMPLERS = [ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON, DEFAULT_OFF, TraceIdRatioBased(0.5), ParentBasedTraceIdRatio(0.5)]
NAMES = st.text(max_size=6)
KEYS = st.text(max_size=3) | st.sampled_from(["a", "b", "gen_ai.request.model"])
VALUES = st.one_of(
    st.text(max_size=9),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.floats(allow_nan=False),
    st.none(),
    st.binary(max_size=3),
    st.lists(st.text(max_size=3), max_size=2),
    st.lists(st.integers(0, 9), max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 9), max_size=2),
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=6)
STATES = st.sampled_from([TraceState(), TraceState([("vendor", "1")])])
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(2), TraceFlags(3)]),
    STATES,
)
STATUSES = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "why"), StatusCode.ERROR]
)
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set_attributes"), st.tuples(ATTRIBUTES)),
        st.tuples(st.just("set_attribute"), st.tuples(KEYS, VALUES)),
        st.tuples(st.just("set_status"), st.tuples(STATUSES)),
        st.tuples(st.just("update_name"), st.tuples(NAMES)),
        st.tuples(st.just("add_event"), st.tuples(NAMES, ATTRIBUTES, st.integers(1, 9))),
        st.tuples(st.just("add_link"), st.tuples(CONTEXTS, ATTRIBUTES)),
        st.tuples(st.just("record_exception"), st.tuples(st.sampled_from([ValueError("x"), KeyError("y")]), st.none(), st.just(7))),
        st.tuples(st.just("end"), st.tuples(st.integers(1, 9))),
    ),
    max_size=8,
)  # fmt: skip
LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=st.sampled_from([128, 3, 1, 0, SpanLimits.UNSET]),
    max_span_attribute_length=st.sampled_from([SpanLimits.UNSET, 2]),
    max_attribute_length=st.sampled_from([SpanLimits.UNSET, 2]),
    max_events=st.sampled_from([128, 1]),
    max_links=st.sampled_from([128, 1]),
    max_event_attributes=st.sampled_from([128, 1]),
    max_link_attributes=st.sampled_from([128, 1]),
)


class CountedIds(IdGenerator):
    """Ids 1, 2, 3; `random` sets whether trace ids are declared random."""

    def __init__(self, *, random: bool) -> None:
        self._ids = itertools.count(1)
        self._random = random

    def generate_span_id(self) -> int:
        return next(self._ids)

    def generate_trace_id(self) -> int:
        return next(self._ids) << 60

    def is_trace_id_random(self) -> bool:
        return self._random


class Kept(SpanProcessor):
    """Keeps the spans that end."""

    def __init__(self):
        self.spans: list[ReadableSpan] = []

    def on_end(self, span):
        self.spans.append(span)


def both(sampler=DEFAULT_ON, limits=None, *, random=True):
    """A fast tracer and the SDK's, each with the spans that it ended."""
    limits = limits or SpanLimits()
    fast, sdk = Kept(), Kept()
    origin = SpanOrigin(RESOURCE, SCOPE, limits, lambda: 5, fast.on_end)
    provider = TracerProvider(
        sampler, RESOURCE, id_generator=CountedIds(random=random), span_limits=limits, shutdown_on_exit=False
    )
    provider.add_span_processor(sdk)
    return (FastTracer(origin, sampler, CountedIds(random=random)), fast), (provider.get_tracer("gatewayz"), sdk)


def encoded(kept: Kept) -> list[bytes]:
    """The spans as the SDK encodes them, with attributes sorted by name."""
    messages = []
    for span in kept.spans:
        message = encode_spans([span])
        pairs = message.resource_spans[0].scope_spans[0].spans[0].attributes
        in_order = sorted(pairs, key=lambda pair: pair.key)
        del pairs[:]
        pairs.extend(in_order)
        messages.append(message.SerializeToString())
    return messages


@given(LIMITS, st.sampled_from(SpanKind), NAMES, st.none() | ATTRIBUTES, CHANGES)
def test_the_same_calls_give_the_same_span(limits, kind, name, attributes, changes):
    (fast_tracer, fast), (sdk_tracer, sdk) = both(limits=limits)
    for tracer in (fast_tracer, sdk_tracer):
        span = tracer.start_span(name, Context(), kind, attributes, start_time=3)
        for method, arguments in changes:
            getattr(span, method)(*arguments)
        recording = span.is_recording()
        span.end(9)
        assert not span.is_recording()
        assert recording == all(method != "end" for method, _ in changes)
    assert encoded(fast) == encoded(sdk)
    assert [span.dropped_attributes for span in fast.spans] == [span.dropped_attributes for span in sdk.spans]


@given(
    st.sampled_from(SAMPLERS),
    st.booleans(),
    st.none() | CONTEXTS.map(lambda context: SpanContext(context.trace_id, context.span_id, True, context.trace_flags, context.trace_state)),
    st.lists(CONTEXTS.map(Link), max_size=1),
)  # fmt: skip
def test_sampling_and_ids_are_the_sdks_from_the_root_to_the_grandchild(sampler, random, caller, links):
    pairs = both(sampler, random=random)
    contexts_by_tracer = []
    for tracer, _ in pairs:
        context = Context() if caller is None else set_span_in_context(NonRecordingSpan(caller), Context())
        contexts = []
        spans = []
        for name in ("root", "child", "grandchild"):
            span = tracer.start_span(name, context, attributes={"a": 1}, links=links, start_time=1)
            context = traced_context(span, context)
            contexts.append((span.get_span_context(), span.is_recording()))
            spans.append(span)
        for span in reversed(spans):
            span.end(9)
        contexts_by_tracer.append(contexts)
    assert contexts_by_tracer[0] == contexts_by_tracer[1]
    assert encoded(pairs[0][1]) == encoded(pairs[1][1])


@pytest.mark.parametrize("way", ["as current", "as a block"])
def test_an_exception_in_a_block_is_on_the_span(way):
    pairs = both()
    for tracer, _ in pairs:
        with pytest.raises(ZeroDivisionError):
            if way == "as current":
                with tracer.start_as_current_span("s", Context()):
                    raise ZeroDivisionError("x")
            with tracer.start_span("s", Context()):
                raise ZeroDivisionError("x")
    [fast], [sdk] = pairs[0][1].spans, pairs[1][1].spans
    assert (fast.status.status_code, fast.status.description) == (sdk.status.status_code, sdk.status.description)
    [of_fast], [of_sdk] = fast.events, sdk.events
    assert of_fast.name == of_sdk.name == "exception"
    for key in ("exception.type", "exception.message", "exception.escaped"):
        assert of_fast.attributes[key] == of_sdk.attributes[key]


def test_calls_after_the_end_are_logged_and_change_nothing(caplog):
    (tracer, kept), _ = both()
    span = tracer.start_span("s", Context())
    span.end()
    span.set_attribute("late", 1)
    span.end()
    [ended] = kept.spans
    assert dict(ended.attributes) == {}
    assert "set_attributes was called on an ended span" in caplog.text


class Emitted:
    """A fast logger or the SDK's, with a queue for its records."""

    def __init__(self, *, fast: bool) -> None:
        buffer = ExportBuffer(1 << 20)
        self.queue = SignalQueue(
            buffer, max_pending_items=99, batch_size=99, batch_full=threading.Event(), batch_stored=threading.Event()
        )
        provider = LoggerProvider(RESOURCE, shutdown_on_exit=False)
        delivery = LogDelivery(self.queue, lambda _: True)
        provider.add_log_record_processor(delivery)
        sdk = provider.get_logger("gatewayz")
        self.logger = FastLogger(sdk, RESOURCE, SCOPE, delivery.offer) if fast else sdk


@given(
    st.none() | CONTEXTS,
    st.booleans(),
    st.none() | st.integers(1, 1 << 60),
    st.sampled_from([None, "info", "error"]),
    st.sampled_from([None, SeverityNumber.INFO, SeverityNumber.UNSPECIFIED]),
    st.text(max_size=9) | st.none() | st.integers(0, 9),
    st.none() | st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=3),
    st.sampled_from([None, "", "event"]),
)
def test_the_same_calls_give_the_same_record(of_span, traced, timestamp, text, number, body, attributes, event):  # noqa: PLR0917
    made = []
    for fast in (True, False):
        emitted = Emitted(fast=fast)
        span = None if of_span is None else NonRecordingSpan(of_span)
        context = None if span is None else (traced_context if traced else set_span_in_context)(span, Context())
        emitted.logger.emit(
            timestamp=timestamp,
            observed_timestamp=7,
            context=context,
            severity_number=number,
            severity_text=text,
            body=body,
            attributes=attributes,
            event_name=event,
        )
        [item] = emitted.queue.take()
        made.append(make_log_batch_encoder().encode([item]))
        assert made[-1] == encode_logs([item]).SerializeToString()
    assert made[0] == made[1]


def test_a_text_body_bypasses_the_sdk_and_other_records_do_not():
    emitted = Emitted(fast=True)
    emitted.logger.emit(timestamp=1, observed_timestamp=1, body="{}")
    emitted.logger.emit(LogRecord(body="{}", timestamp=1, observed_timestamp=1))
    emitted.logger.emit(timestamp=1, body="{}", exception=ValueError("x"))
    line, record, failed = emitted.queue.take()
    assert type(line) is FastLogRecord
    assert type(record) is not FastLogRecord
    assert failed.log_record.attributes["exception.type"] == "ValueError"
    LogEncoder().encode(line)  # raises where it is not the short way
    assert emitted.logger.enabled()
