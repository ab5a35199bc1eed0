"""A span that starts and ends with known attributes is encoded in one step: the bytes are the SDK's, whatever else it has."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel.delivery.encoding.spans import make_span_batch_encoder
from otel.traces.context import traced_context
from otel.traces.fast_tracer import FastTracer
from otel.traces.held_trace import HoldRules, TraceHold
from otel.traces.known_attributes import KnownAttributes, VaryingKeys
from otel.traces.span_parts import UNSET, SpanOrigin

KEYS = VaryingKeys("v.text", "v.int", "v.double")
START = [KnownAttributes({"k": "v", "n": 1}, "chat tiny"), KnownAttributes({"k": "w"}, "chat tiny")]
END = [KnownAttributes({"end": "x", "yes": True}), KnownAttributes({})]
ERROR = Status(StatusCode.ERROR)
VALUES = st.tuples(
    st.none() | st.text(max_size=9) | st.sampled_from(["ü" * 70, "x" * 20_000]),
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 127, 128, 4_095, 4_096, 1 << 63, True]),
    st.none() | st.floats() | st.sampled_from([0.0, -0.0, math.nan]),
)
CALLER = SpanContext(1 << 100, 7, True, TraceFlags(1), TraceState())
WITH_STATE = SpanContext(1 << 100, 7, True, TraceFlags(1), TraceState([("vendor", "1")]))


class Ended:
    """A tracer whose spans are encoded early; `general` are those that were not encoded in one step."""

    def __init__(self, sampler=DEFAULT_ON, limits=None, hold=None) -> None:
        self.offered: list = []
        self.general: list = []
        self.times = iter(range(3, 1_000))
        self.encoder = make_span_batch_encoder()
        offer = self.encoder.offer_early(self.offered.append)

        def take(span) -> None:
            self.general.append(span)
            offer(span)

        self.origin = SpanOrigin(
            Resource({"a": 1}),
            InstrumentationScope("s"),
            limits or SpanLimits(),
            lambda: next(self.times),
            lambda _: None,
            take=take,
            take_known=self.encoder.offer_known_early(self.offered.append),
        )
        self.tracer = FastTracer(self.origin, sampler, RandomIdGenerator(), hold)

    def expected(self, span, known, values) -> bytes:
        """What the SDK makes of the span."""
        if span not in self.general:
            end_ns, span.end_time = span.end_time, None
            span.add_supported(known, KEYS, values)
            span.end_time = end_ns
        return encode_spans([span.readable()]).SerializeToString()


ONE = Ended()
"""For all examples: what it keeps of one must not show in another."""


@given(
    st.sampled_from(START),
    st.sampled_from(END),
    VALUES,
    st.sampled_from([None, CALLER, WITH_STATE, "local"]),
    st.sampled_from([SpanKind.CLIENT, SpanKind.SERVER]),
    st.sampled_from(["chat tiny", "other"]),
    st.sampled_from([UNSET, ERROR]),
)
def test_the_bytes_are_the_sdks(start, end, values, parent, kind, name, status):  # noqa: PLR0917
    if parent == "local":
        context = traced_context(ONE.tracer.start_known("root", Context(), SpanKind.SERVER, START[0]), Context())
    else:
        context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
    span = ONE.tracer.start_known(name, context, kind, start)
    span.end_with(end, KEYS, values, status)
    assert not span.is_recording()
    if 1 << 63 in values:  # no encoder takes it: it waits as it is, and is counted when it is encoded
        assert ONE.offered[-1] is span
        return
    assert ONE.encoder.encode(ONE.offered[-1:]) == ONE.expected(span, end, values)


def usual(ended, **changes):
    span = ended.tracer.start_known("chat tiny", Context(), SpanKind.CLIENT, START[0])
    for method, arguments in changes.items():
        getattr(span, method)(*arguments)
    span.end_with(KnownAttributes(END[0]), KEYS, ("a", 1, 0.5), UNSET)
    return span


def test_a_usual_span_takes_one_step_and_ends_once():
    ended = Ended()
    span = usual(ended)
    span.end_with(END[0], KEYS, ("b", 1, 0.5), UNSET)
    span.end()
    assert (len(ended.offered), ended.general, span.end_time) == (1, [], 4)


@pytest.mark.parametrize(
    "changes",
    [
        {"set_attribute": ("other", "y")},
        {"add_event": ("event",)},
        {"add_link": (CALLER,)},
        {"set_status": (ERROR,)},
        {"update_name": ("another",)},
        {"add_supported": (END[1], KEYS, (None, None, None))},
    ],
)
def test_what_was_added_before_the_end_stays(changes):
    ended = Ended()
    span = usual(ended, **changes)
    assert ended.encoder.encode(ended.offered) == ended.expected(span, END[0], ("a", 1, 0.5))


@pytest.mark.parametrize("most", [7, 5, 3, 0])
def test_limits_apply(most):
    ended = Ended(limits=SpanLimits(max_span_attributes=most))
    span = usual(ended)
    assert ended.encoder.encode(ended.offered) == ended.expected(span, END[0], ("a", 1, 0.5))
    assert span.readable().dropped_attributes == max(0, 7 - most)


def test_a_held_span_waits_for_the_end_of_its_trace():
    ended = Ended(ALWAYS_OFF, hold=TraceHold(HoldRules()))
    caller = set_span_in_context(NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(0))), Context())
    server = ended.tracer.start_known("chat tiny", caller, SpanKind.SERVER, START[0])
    child = ended.tracer.start_known("chat tiny", traced_context(server, caller), SpanKind.CLIENT, START[0])
    child.end_with(END[0], KEYS, ("a", 1, 0.5), UNSET)
    assert ended.offered == []
    server.end_with(END[0], KEYS, ("a", 1, 0.5), ERROR)
    assert ended.general == [child, server]


def test_what_is_kept_of_shapes_is_bounded():
    ended, end = Ended(), KnownAttributes({})
    for number in range(250):
        start = KnownAttributes({"n": number})
        ended.tracer.start_known("x", Context(), SpanKind.CLIENT, start).end_with(end, KEYS, ("a", 1, 0.5), UNSET)
    assert len(end.shapes) <= 100
    assert len(ended.offered) == 250


def test_spans_of_two_tracers_have_the_heads_of_their_own():
    first, end = Ended(), KnownAttributes({})
    other = FastTracer(first.origin._replace(scope=InstrumentationScope("t")), DEFAULT_ON, RandomIdGenerator())
    spans = []
    for tracer in (first.tracer, other, first.tracer):
        spans.append(tracer.start_known("x", Context(), SpanKind.CLIENT, START[0]))
        spans[-1].end_with(end, KEYS, ("a", 1, 0.5), UNSET)
        first.expected(spans[-1], end, ("a", 1, 0.5))
    assert first.encoder.encode(first.offered) == encode_spans([span.readable() for span in spans]).SerializeToString()
