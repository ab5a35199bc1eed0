"""What the spans of a tracer share, and what their attributes are made of."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status

from otel.redaction import redact
from otel.traces.known_attributes import KnownAttributes, Varying, VaryingKeys

if TYPE_CHECKING:
    from otel.traces.fast_span import FastSpan

UNSET: Final = Status()
"""The status of most spans; one object, so that it is recognised without looking into it."""

NO_STATE: Final = SpanContext(1, 1, is_remote=False).trace_state
"""The trace state of contexts without one, likewise."""

_SCALARS: Final = frozenset({str, bool, int, float})


class SpanOrigin(NamedTuple):
    """What all spans of a tracer share.

    `on_end` takes each finished span, in the thread that ended it, unless `take` is given, which takes it
    without making an SDK's span of it. `take_known` takes a usual one with what it ends with. `redact` cleans
    free text: events, exceptions and status descriptions.
    """

    resource: Resource
    scope: InstrumentationScope
    limits: SpanLimits
    unix_ns: Callable[[], int]
    on_end: Callable[[ReadableSpan], None]
    redact: Callable[[str], str] = redact
    take: Callable[["FastSpan"], None] | None = None
    take_known: "TakeKnown | None" = None


TakeKnown: TypeAlias = Callable[["FastSpan", KnownAttributes, VaryingKeys, tuple[Any, ...]], bool]
"""Takes a span that has only the attributes that it started with, and those that it ends with; returns whether it did."""

Layer: TypeAlias = Mapping[str, Any] | Varying
"""Some of a span's attributes."""


def room_within(limits: SpanLimits) -> int:
    """Return how many attributes a span takes before the limits apply, 0 where they always do."""
    if limits.max_span_attribute_length is not None:
        return 0
    return sys.maxsize if limits.max_span_attributes is None else limits.max_span_attributes


def are_supported(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK would store these attributes unchanged."""
    for key, value in attributes.items():
        kind = type(value)
        if kind not in _SCALARS and not (kind is tuple and all(type(each) is str for each in value)):
            return False
        if not key or type(key) is not str:
            return False
    return True
