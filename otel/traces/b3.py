"""Zipkin's B3 trace context, in one header (`b3`) or several (`X-B3-*`).

Both forms are extracted, the single header first; one of them is injected. Where a caller leaves
the sampling decision to the receiver, `decide` makes it from the trace id. The debug flag, which is
a decision to sample, is passed on.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.context import Context, create_key, get_value, set_value
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

_SINGLE: Final = "b3"
_TRACE_ID: Final = "x-b3-traceid"
_SPAN_ID: Final = "x-b3-spanid"
_PARENT_SPAN_ID: Final = "x-b3-parentspanid"
_SAMPLED: Final = "x-b3-sampled"
_FLAGS: Final = "x-b3-flags"
B3_HEADERS: Final = (_SINGLE, _TRACE_ID, _SPAN_ID, _PARENT_SPAN_ID, _SAMPLED, _FLAGS)

_IDS: Final = re.compile(r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.IGNORECASE)
_STATES: Final[Mapping[str, str]] = {"1": "1", "true": "1", "0": "0", "false": "0", "d": "d"}
_DEBUG_KEY: Final = create_key("b3-debug")
_DECISION_KEY: Final = create_key("b3-decision")


def decided_by_caller(context: Context | None, trace_id: int) -> Context | None:
    """Return the context that a sampler gets for a root span.

    A caller may send its decision without ids (`b3: 0`, `X-B3-Sampled: 0`). The sampler sees it as
    a remote parent's.
    """
    decision = get_value(_DECISION_KEY, context)
    if decision is None:
        return context
    flags = TraceFlags(TraceFlags.SAMPLED if decision else TraceFlags.DEFAULT)
    return set_span_in_context(
        NonRecordingSpan(SpanContext(trace_id, 1, is_remote=True, trace_flags=flags)),
        context,  # no sampler reads the span id
    )


class B3Propagator(TextMapPropagator):
    """Extracts both forms. Injects the single header, or with `multi` the several ones."""

    def __init__(self, decide: Callable[[int], bool], *, multi: bool = False) -> None:
        self._decide = decide
        self._multi = multi

    @property
    def fields(self) -> set[str]:
        """The headers that `inject` sets."""
        return {_TRACE_ID, _SPAN_ID, _SAMPLED, _FLAGS} if self._multi else {_SINGLE}

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Return the context with the remote span or the caller's decision.

        Unchanged where both are missing or malformed.
        """
        context = Context() if context is None else context

        def header(name: str) -> str:
            values = getter.get(carrier, name) or ()
            return ",".join(values).strip()

        found = _IDS.fullmatch(header(_SINGLE))
        if found is None:
            state = "d" if header(_FLAGS) == "1" else header(_SAMPLED).lower()
            if state and state not in _STATES:
                return context
            several = "-".join([header(_TRACE_ID), header(_SPAN_ID), *([_STATES[state]] if state else [])])
            found = _IDS.fullmatch(several)
            if found is None:
                alone = header(_SINGLE).lower() or ("" if header(_TRACE_ID) or header(_SPAN_ID) else state)
                return _with_decision(context, _STATES.get(alone))
        trace_id, span_id, state = int(found[1], 16), int(found[2], 16), (found[3] or "").lower()
        is_sampled = state in {"1", "d"} if state else self._decide(trace_id)
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
        span_context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
        if not span_context.is_valid:
            return context
        if state == "d":
            context = set_value(_DEBUG_KEY, True, context)
        return set_span_in_context(NonRecordingSpan(span_context), context)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Set the headers of the current span, where there is one."""
        span_context = get_current_span(context).get_span_context()
        if not span_context.is_valid:
            return
        trace_id, span_id = f"{span_context.trace_id:032x}", f"{span_context.span_id:016x}"
        sampled = "1" if span_context.trace_flags.sampled else "0"
        is_debug = sampled == "1" and get_value(_DEBUG_KEY, context) is True
        if not self._multi:
            setter.set(carrier, _SINGLE, f"{trace_id}-{span_id}-{'d' if is_debug else sampled}")
            return
        setter.set(carrier, _TRACE_ID, trace_id)
        setter.set(carrier, _SPAN_ID, span_id)
        if is_debug:
            setter.set(carrier, _FLAGS, "1")
        else:
            setter.set(carrier, _SAMPLED, sampled)


def _with_decision(context: Context, state: str | None) -> Context:
    if state is None:
        return context
    if state == "d":
        context = set_value(_DEBUG_KEY, True, context)
    return set_value(_DECISION_KEY, state != "0", context)
