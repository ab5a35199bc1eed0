"""What the spans of a tracer share, and what is encoded of one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status

from otel.redaction import redact

if TYPE_CHECKING:
    from otel.traces.fast_span import FastSpan

_SCALARS: Final = frozenset({str, bool, int, float})


class SpanOrigin(NamedTuple):
    """What all spans of a tracer share.

    `on_end` takes each finished span, in the thread that ended it, unless `take` is given, which takes it
    without making an SDK's span of it. `redact` cleans free text: events, exceptions and status
    descriptions.
    """

    resource: Resource
    scope: InstrumentationScope
    limits: SpanLimits
    unix_ns: Callable[[], int]
    on_end: Callable[[ReadableSpan], None]
    redact: Callable[[str], str] = redact
    take: Callable[["FastSpan"], None] | None = None


class EndedSpan(NamedTuple):
    """What is encoded of a span without events and links. Times are Unix nanoseconds."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    layers: Sequence[Mapping[str, Any]]
    kind: SpanKind
    status: Status
    start_ns: int
    end_ns: int


def are_supported(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK would store these attributes unchanged."""
    for key, value in attributes.items():
        kind = type(value)
        if kind not in _SCALARS and not (kind is tuple and all(type(each) is str for each in value)):
            return False
        if not key or type(key) is not str:
            return False
    return True
