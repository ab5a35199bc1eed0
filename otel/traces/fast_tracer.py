"""A tracer of the trace API that makes `FastSpan`s.

Samplers and id generators are the SDK's. The decision about a root span also holds for its
descendants in this process, without asking the sampler again: every sampler that can be configured
would decide the same.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision, Sampler
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    use_span,
)

from otel.traces.b3 import decided_by_caller
from otel.traces.context import TracedContext
from otel.traces.fast_span import FastSpan
from otel.traces.held_trace import HeldTrace, TraceHold
from otel.traces.known_attributes import KnownAttributes
from otel.traces.span_parts import NO_STATE, SpanOrigin, room_within

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_RANDOM: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


class FastTracer(Tracer):
    """Makes spans. Safe from any thread.

    With a `hold`, server spans that are not sampled and the spans below them are recorded too, until
    the server span ends.
    """

    def __init__(self, origin: SpanOrigin, sampler: Sampler, ids: IdGenerator, hold: TraceHold | None = None) -> None:
        self._origin = origin
        self._sampler = sampler
        self._ids = ids
        self._trace_id, self._span_id = ids.generate_trace_id, ids.generate_span_id
        if type(ids) is RandomIdGenerator:  # what it calls; of 0, which is no id, another is made
            self._trace_id, self._span_id = partial(random.getrandbits, 128), partial(random.getrandbits, 64)
        self._hold = hold
        self._room = room_within(origin.limits)
        self._samples_every_root = sampler is ALWAYS_ON or sampler is DEFAULT_ON
        self._root_flags = _SAMPLED_RANDOM if ids.is_trace_id_random() else _SAMPLED

    def start_span(  # noqa: PLR0917  the API's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # noqa: ARG002  the API's signature
        set_status_on_exception: bool = True,  # noqa: ARG002
    ) -> Span:
        """Start a child of the current span of `context`."""
        span = self._start(name, context, kind, attributes or {}, links, start_time)
        for link in links or ():
            span.add_link(link.context, link.attributes)
        return span

    def start_known(
        self, name: str, context: Context, kind: SpanKind, attributes: KnownAttributes, start_ns: int | None = None
    ) -> Span:
        """Start a child of the current span of `context`; the SDK would store these attributes unchanged."""
        room = self._room - len(attributes)
        parent: SpanContext | None = None
        of_trace: bytes | None = None
        own: tuple[int, int, bool, TraceFlags, TraceState, bool]
        if room < 0:
            return self._start(name, context, kind, attributes, (), start_ns)
        if type(context) is TracedContext and type(context.span) is FastSpan and context.span.held is None:
            parent, of_trace = context.span_context, context.span.id_bytes[0]
            own = (parent[0], self._span_id() or self._ids.generate_span_id(), False, parent[3], parent[4], True)
        elif not context and self._samples_every_root:
            trace_id = self._trace_id() or self._ids.generate_trace_id()
            own = (trace_id, self._span_id() or self._ids.generate_span_id(), False, self._root_flags, NO_STATE, True)
        else:
            return self._start(name, context, kind, attributes, (), start_ns, are_known=True)
        # Its own constructor checks what is known here, and costs more than the ids.
        made: SpanContext = tuple.__new__(SpanContext, own)
        return FastSpan(self._origin, name, made, parent, kind, [attributes], room, start_ns, None, of_trace)

    def _start(  # noqa: PLR0917  as above
        self,
        name: str,
        context: Context | None,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        links: Sequence[Link] | None,
        start_ns: int | None,
        *,
        are_known: bool = False,
    ) -> Span:
        """Start a child of the current span of `context`, without its links, which only the sampler gets."""
        parent: SpanContext | None = None
        held: HeldTrace | None = None
        state: TraceState | None = None
        flags: TraceFlags
        if self._samples_every_root and context is not None and not context:
            trace_id = self._ids.generate_trace_id()
            flags = self._root_flags
        else:
            parent_span = context.span if type(context) is TracedContext else get_current_span(context)
            parent = parent_span.get_span_context()
            trace_id, _, is_remote, flags, state, is_valid = parent
            if is_remote or not is_valid:
                decided = self._decide(name, context, kind, attributes, parent, links)
                parent, trace_id, flags, state, attributes, held = decided
            elif type(parent_span) is FastSpan and parent_span.held is not None and not flags & TraceFlags.SAMPLED:
                held = parent_span.held if parent_span.held.admits() else None
        own = SpanContext(trace_id, self._ids.generate_span_id(), False, flags, state)
        if held is None and not flags & TraceFlags.SAMPLED:
            return NonRecordingSpan(own)
        if are_known and len(attributes) <= self._room:
            room = self._room - len(attributes)
            return FastSpan(self._origin, name, own, parent, kind, [attributes], room, start_ns, held)
        span = FastSpan(self._origin, name, own, parent, kind, [], self._room, start_ns, held)
        if attributes:
            span.set_attributes(attributes)
        return span

    def _decide(  # noqa: PLR0917  as above
        self,
        name: str,
        context: Context | None,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        parent: SpanContext,
        links: Sequence[Link] | None,
    ) -> tuple[SpanContext | None, int, TraceFlags, TraceState | None, Mapping[str, Any], HeldTrace | None]:
        """Let the sampler decide; return parent, trace id, flags, trace state, attributes and the trace that holds it."""
        caller: SpanContext | None = parent
        held: HeldTrace | None = None
        if parent.is_valid:
            trace_id, random_id = parent.trace_id, parent.trace_flags.random_trace_id
        else:
            caller = None
            trace_id, random_id = self._ids.generate_trace_id(), self._ids.is_trace_id_random()
            context = decided_by_caller(context, trace_id)
        decided = self._sampler.should_sample(context, trace_id, name, kind, attributes, links)
        if decided.decision is Decision.RECORD_AND_SAMPLE:
            flags = _SAMPLED_RANDOM if random_id else _SAMPLED
            # The sampler returns a copy: what is known stays known.
            attributes = attributes if decided.attributes == attributes else decided.attributes or {}
        else:
            flags = TraceFlags(TraceFlags.RANDOM_TRACE_ID if random_id else TraceFlags.DEFAULT)
            held = self._hold.open() if self._hold is not None and kind is SpanKind.SERVER else None
        return caller, trace_id, flags, decided.trace_state, attributes, held

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # noqa: PLR0917  the SDK's return type is private
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        """Start a span and make it current while the block runs."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span
