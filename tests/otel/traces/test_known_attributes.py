"""The product's own spans store values apart from their keys: mapping and bytes are those of the SDK all the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanKind

from otel.delivery.encoding.protobuf import UnsupportedValueError
from otel.delivery.encoding.spans import SpanEncoder
from otel.traces.context import traced_context
from otel.traces.fast_tracer import FastTracer
from otel.traces.known_attributes import KnownAttributes, VaryingKeys
from otel.traces.span_parts import SpanOrigin

KEYS = ("v.text", "v.int", "v.double")
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=9) | st.sampled_from(["ü" * 70, "x" * 20_000]),
    st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([0, 127, 128, 4_095, 4_096, -1, 1 << 62]),
    st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf]),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
)
VARYING = VaryingKeys(*KEYS)
KNOWN = KnownAttributes({"k": "v", "n": 1, "yes": True}, "chat tiny")
ENCODER = SpanEncoder()  # one for all examples: what it keeps of one must not show in another


def ended_span(limits=None, **changes):
    """A child span with known and varying attributes that has ended."""
    ended = []
    origin = SpanOrigin(
        Resource({}), InstrumentationScope("s"), limits or SpanLimits(), lambda: 5, lambda _: None, take=ended.append
    )
    tracer = FastTracer(origin, DEFAULT_ON, RandomIdGenerator())
    context = traced_context(tracer.start_known("root", Context(), SpanKind.SERVER, KNOWN), Context())
    span = tracer.start_known(KNOWN.span_name, context, SpanKind.CLIENT, KNOWN, 3)
    for method, arguments in changes.items():
        getattr(span, method)(*arguments)
    span.end(9)
    return ended[0]


def by_the_sdk(span):
    return encode_spans([span.readable()]).resource_spans[0].scope_spans[0].spans[0].SerializeToString()


@given(st.tuples(VALUES, VALUES, VALUES))
def test_values_apart_from_their_keys_are_encoded_as_the_sdk_encodes_them(values):
    end = KnownAttributes({"end": "x"})
    span = ended_span(add_supported=(end, VARYING, values))
    expected = {**KNOWN, **end, **{key: value for key, value in zip(KEYS, values, strict=True) if value is not None}}
    assert str(dict(span.readable().attributes)) == str(expected)  # as text, because NaN equals nothing
    assert ENCODER.encode(span) == by_the_sdk(span)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 1 << 200])
def test_an_integer_beyond_64_bits_is_left_to_the_sdk(value):
    with pytest.raises(UnsupportedValueError):
        ENCODER.encode(ended_span(add_supported=(KnownAttributes({}), VARYING, (None, value, None))))


def test_attributes_that_come_before_or_after_stay():
    own = (KnownAttributes({"end": "x"}), VARYING, ("a", 2, 0.5))
    for first, second in (("add_supported", "set_attribute"), ("set_attribute", "add_supported")):
        arguments = {"add_supported": own, "set_attribute": ("other", "y")}
        span = ended_span(**{first: arguments[first], second: arguments[second]})
        assert dict(span.readable().attributes) == {
            **KNOWN,
            "end": "x",
            "v.text": "a",
            "v.int": 2,
            "v.double": 0.5,
            "other": "y",
        }
        assert ENCODER.encode(span) == by_the_sdk(span)


@pytest.mark.parametrize(("most", "dropped"), [(9, 0), (6, 1), (2, 5)])
def test_limits_apply_to_values_apart_from_their_keys(most, dropped):
    span = ended_span(
        SpanLimits(max_span_attributes=most), add_supported=(KnownAttributes({"e": 1}), VARYING, ("a", 2, 0.5))
    )
    assert span.readable().dropped_attributes == dropped
    assert len(span.readable().attributes) == 7 - dropped


def test_a_name_that_changes_is_the_spans():
    assert ended_span(update_name=("another",)).readable().name == "another"
