"""Opens and ends the server span of a request and one client span per upstream attempt.

Names and attributes are bounded: route templates instead of raw paths, and no prompt, completion,
key or exception text.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Final

import msgspec
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.catalogue import conventions, semconv
from otel.events import (
    AttemptFinished,
    AttemptStarted,
    CallerIdentified,
    CallFinished,
    OverheadMeasured,
    RequestFinished,
    RequestReceived,
)
from otel.events.usage import NANO
from otel.labels import LabelBounds
from otel.redaction import KnownSecrets
from otel.traces.attempt_attributes import AttemptAttributes, OwnKeys
from otel.traces.context import TracedContext, context_of, traced_context
from otel.traces.fast_span import FastSpan
from otel.traces.fast_tracer import FastTracer
from otel.traces.known_attributes import KnownAttributes, KnownCache, VaryingKeys
from otel.traces.span_parts import NO_STATE, UNSET
from otel.traces.trace_state import without_free_text

_ERROR: Final = Status(StatusCode.ERROR)
_NO_SECRETS: Final = KnownSecrets()
_TRACEPARENT: Final = "00-%032x-%016x-%02x"
"""The header of W3C Trace Context, level 2."""

_FLAGS: Final = tuple(f"-{flags:02x}" for flags in range(256))
"""The end of that header."""

_SERVER: Final = SpanKind.SERVER
_CLIENT: Final = SpanKind.CLIENT
_METHOD: Final = "http.request.method"
_PARAMETER: Final = frozenset("{<:*")
"""In any framework, a parameter of a route template contains one of these."""


class SpanWriter:
    """Opens and ends spans. Each `start_*` method returns a context with the open span.

    `propagator` reads the caller's trace context and writes the provider's: W3C Trace Context by
    default.
    """

    def __init__(
        self,
        tracer: Tracer,
        bounds: LabelBounds,
        propagator: TextMapPropagator | None = None,
        *,
        secrets: KnownSecrets = _NO_SECRETS,
        namespace: str = "gatewayz",
    ) -> None:
        self._tracer = tracer
        self._bounds = bounds
        self._propagator = propagator or TraceContextTextMapPropagator()
        self._start: Callable[[str, Context, SpanKind, KnownAttributes, int | None], Span] = (
            tracer.start_known if type(tracer) is FastTracer else partial(_start_by_api, tracer)
        )
        self._is_plain = type(self._propagator) is TraceContextTextMapPropagator
        self._keys = OwnKeys.below(namespace)
        self._known = KnownCache()
        self._attempts = AttemptAttributes(self._keys, self._known, secrets.redact)
        self.of_end = VaryingKeys(self._keys.cost_usd, "gatewayz.overhead_seconds", "http.response.body.size")

    def start_request(self, event: RequestReceived) -> TracedContext:
        """Open the server span.

        It is a child of the caller's span where the trace context is valid.
        """
        parent = Context()
        if event.headers:
            parent = self._propagator.extract(without_free_text(event.headers), context=parent)
        key = (event.method, event.path, event.scheme, event.protocol_version)
        attributes = self._known.find(key) or self._request_attributes(key, event)
        span = self._start(attributes.span_name, parent, _SERVER, attributes, None)
        return context_of(span, span.context if type(span) is FastSpan else span.get_span_context(), parent)

    def _request_attributes(self, key: tuple[str, ...], event: RequestReceived) -> KnownAttributes:
        """Return what is known of a request when it arrives."""
        method = self._bounds.method(event.method)
        path = self._bounds.path(event.path)
        attributes = {_METHOD: method, "url.scheme": conventions.scheme(event.scheme)}
        if path != semconv.UNMATCHED:
            attributes["http.route"] = path
            if _PARAMETER.isdisjoint(path):
                # The value of a parameter is the client's text.
                attributes["url.path"] = path
        if event.protocol_version in conventions.PROTOCOL_VERSIONS:
            attributes["network.protocol.version"] = event.protocol_version
        name = f"{method} {path}"
        # A method or path outside its set is the client's text, of which there is no end.
        is_bounded = method == event.method and path == event.path
        return self._known.keep(key, attributes, name) if is_bounded else KnownAttributes(attributes, name)

    @staticmethod
    def request_failed(span: Span, context: Context) -> None:
        """Let exemplars point to a failed, unsampled request, if its trace will be exported because it failed."""
        if type(span) is FastSpan and span.held is not None and type(context) is TracedContext:
            context.exemplar = context.span_context if span.held.exports_failures else None

    def end_request(  # noqa: PLR0917  as in the span's constructor
        self,
        span: Span,
        event: RequestFinished,
        error_type: str | None,
        caller: CallerIdentified | None,
        call: CallFinished | None,
        overhead: OverheadMeasured | None,
    ) -> None:
        """End the server span with what is known of the request at its end.

        An `error_type` marks it as failed. The call's outcome is on it so that a trace search finds it there.
        """
        if type(span) is FastSpan or span.is_recording():
            known, _ = self._known_end(event, error_type, caller, call)
            cost_usd = None if call is None else call.usage.cost_nanousd / NANO
            overhead_seconds = None if overhead is None else overhead.seconds
            values = cost_usd, overhead_seconds, event.response_bytes
            if type(span) is FastSpan:
                span.end_with(known, self.of_end, values, UNSET if error_type is None else _ERROR)
                return
            span.set_attributes({**known, **self.of_end.mapping(values)})
            if error_type is not None:
                span.set_status(_ERROR)
        span.end()

    def end_attributes(
        self, event: RequestFinished, error_type: str | None, caller: CallerIdentified | None, call: CallFinished | None
    ) -> KnownAttributes | None:
        """Return what many requests share at their end, None where they have names without end."""
        known, key = self._known_end(event, error_type, caller, call)
        return known if self._known.find(key) is known else None

    def _known_end(
        self, event: RequestFinished, error_type: str | None, caller: CallerIdentified | None, call: CallFinished | None
    ) -> tuple[KnownAttributes, Hashable]:
        """Return the same, and by which key it is found if it is kept."""
        of_call = None
        if call is not None:
            state = call.status, call.cancel_phase
            of_call = call.model, call.provider, state, call.attempts, call.cached, call.stream
        key = (event.status_code, event.outcome, error_type, caller, of_call)
        return self._known.find(key) or self._end_attributes(key, event, error_type, caller, call), key

    def _end_attributes(
        self,
        key: tuple[Hashable, ...],
        event: RequestFinished,
        error_type: str | None,
        caller: CallerIdentified | None,
        call: CallFinished | None,
    ) -> KnownAttributes:
        """Return what many requests share at their end."""
        made: dict[str, str | int] = {"http.response.status_code": event.status_code}
        if event.outcome == "cancelled":
            made[self._keys.cancelled] = True
        if error_type is not None:
            made["error.type"] = error_type
        if caller is not None:
            made |= {"gatewayz.api_key.id": caller.key_id, "gatewayz.plan": caller.plan}
        if call is None:
            return self._known.keep(key, made)
        model = self._bounds.model(call.model)
        provider = None if call.provider is None else self._bounds.provider(call.provider)
        made |= {
            "gatewayz.model": model,
            "gatewayz.call.status": call.status,
            "gatewayz.call.attempts": call.attempts,
            "gatewayz.cached": call.cached,
            "gatewayz.stream": call.stream,
        }
        if provider is not None:
            made["gatewayz.provider"] = provider
        if call.cancel_phase is not None:
            made[self._keys.cancel_phase] = call.cancel_phase
        is_bounded = model == call.model and provider == call.provider
        return self._known.keep(key, made) if is_bounded else KnownAttributes(made)

    def anomaly_began(self, fields: Mapping[str, str | int | float]) -> Context:
        """Record a short span with the anomaly as its event; returns its context."""
        span = self._tracer.start_span("anomaly evaluation", Context())
        span.add_event("gatewayz.anomaly", {f"gatewayz.anomaly.{key}": value for key, value in fields.items()})
        span.end()
        return traced_context(span, Context())

    def start_attempt(self, event: AttemptStarted, parent: Context | None) -> tuple[TracedContext, dict[str, str]]:
        """Open a client span; returns its context and the trace headers for the provider."""
        key = event if event.started_unix_ns is None else msgspec.structs.replace(event, started_unix_ns=None)
        attributes = self._known.find(key) or self._start_attributes(key)
        parent = get_current() if parent is None else parent
        span = self._start(attributes.span_name, parent, _CLIENT, attributes, event.started_unix_ns)
        span_context = span.context if type(span) is FastSpan else span.get_span_context()
        context = context_of(span, span_context, parent)
        headers: dict[str, str] = {}
        trace_id, span_id, _, flags, state, _ = span_context  # its properties cost more than all of this
        if self._is_plain and (state is NO_STATE or not state):
            if type(span) is FastSpan:
                of_trace, of_span = span.id_bytes
                headers["traceparent"] = f"00-{of_trace.hex()}-{of_span.hex()}{_FLAGS[flags]}"
            else:
                headers["traceparent"] = _TRACEPARENT % (trace_id, span_id, flags)
        else:
            self._propagator.inject(headers, context)
        return context, headers

    def _start_attributes(self, event: AttemptStarted) -> KnownAttributes:
        """Return what is known of an attempt when it starts."""
        provider = self._bounds.provider(event.provider)
        model = self._bounds.model(event.model)
        made: dict[str, str | int | bool] = {
            "gen_ai.operation.name": event.operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": event.stream,
            self._keys.upstream_model: event.upstream_model,
            self._keys.attempt_number: event.number,
            "peer.service": provider,
        }
        if event.server_address:
            made |= {"server.address": event.server_address, "server.port": event.server_port}
        name = f"{event.operation} {model}"
        is_bounded = provider == event.provider and model == event.model
        return self._known.keep(event, made, name) if is_bounded else KnownAttributes(made, name)

    def end_attempt(self, span: Span, event: AttemptFinished) -> None:
        """End the client span; for a stream, call this at its end."""
        if type(span) is FastSpan:
            span.end_with(*self._attempts.of(event), _ERROR if event.status == "error" else UNSET)
            return
        if span.is_recording():
            known, keys, values = self._attempts.of(event)
            span.set_attributes({**known, **keys.mapping(values)})
            if event.status == "error":
                span.set_status(_ERROR)
        span.end()


def _start_by_api(  # noqa: PLR0917  as in the span's constructor
    tracer: Tracer, name: str, parent: Context, kind: SpanKind, attributes: KnownAttributes, start_ns: int | None
) -> Span:
    return tracer.start_span(name, parent, kind, attributes, start_time=start_ns)
