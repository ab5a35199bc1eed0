"""Opens and ends the server span of a request and one client span per upstream attempt.

Names and attributes are bounded: route templates instead of raw paths, and no prompt, completion,
key or exception text.
"""

from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer
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
from otel.traces.attempt_attributes import AttemptAttributes, Attributes, OwnKeys
from otel.traces.context import TracedContext, traced_context
from otel.traces.fast_span import FastSpan
from otel.traces.fast_tracer import FastTracer
from otel.traces.known_attributes import KnownAttributes, KnownCache
from otel.traces.span_parts import NO_STATE
from otel.traces.trace_state import without_free_text

_ERROR: Final = Status(StatusCode.ERROR)
_NO_SECRETS: Final = KnownSecrets()
_FLAGS: Final = tuple(f"{flags:02x}" for flags in range(256))
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
        self._is_plain = type(self._propagator) is TraceContextTextMapPropagator
        self._keys = OwnKeys.below(namespace)
        self._known = KnownCache()
        self._attempts = AttemptAttributes(self._keys, self._known, secrets.redact)

    def start_request(self, event: RequestReceived) -> TracedContext:
        """Open the server span.

        It is a child of the caller's span where the trace context is valid.
        """
        parent = Context()
        if event.headers:
            parent = self._propagator.extract(without_free_text(event.headers), context=parent)
        key = ("request", event.method, event.path, event.scheme, event.protocol_version)
        attributes = self._known.find(key) or self._request_attributes(key, event)
        route = attributes.get("http.route", semconv.UNMATCHED)
        span = self._start(f"{attributes[_METHOD]} {route}", parent, SpanKind.SERVER, attributes)
        return traced_context(span, parent)

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
        # A method or path outside its set is the client's text, of which there is no end.
        is_bounded = method == event.method and path == event.path
        return self._known.keep(key, attributes) if is_bounded else KnownAttributes(attributes)

    def _start(
        self, name: str, parent: Context, kind: SpanKind, attributes: Attributes, started_ns: int | None = None
    ) -> Span:
        """Start a span whose attributes are all of supported types."""
        tracer = self._tracer
        if type(tracer) is FastTracer:
            return tracer.start(name, parent, kind, attributes, start_ns=started_ns, are_supported=True)
        return tracer.start_span(name, parent, kind, attributes, start_time=started_ns)

    @staticmethod
    def request_failed(span: Span, context: Context) -> None:
        """Let exemplars point to a failed, unsampled request, if its trace will be exported because it failed."""
        if type(span) is FastSpan and span.held is not None and type(context) is TracedContext:
            context.is_sampled = span.held.exports_failures

    def end_request(self, span: Span, event: RequestFinished, error_type: str | None) -> None:
        """End the server span with the response's attributes.

        An `error_type` marks it as failed.
        """
        if span.is_recording():
            is_cancelled = event.outcome == "cancelled"
            key = ("end", event.status_code, is_cancelled, error_type)
            attributes = self._known.find(key)
            if attributes is None:
                made: dict[str, str | int] = {"http.response.status_code": event.status_code}
                if is_cancelled:
                    made[self._keys.cancelled] = True
                if error_type is not None:
                    made["error.type"] = error_type
                attributes = self._known.keep(key, made)
            _add(span, attributes)
            _put(span, "http.response.body.size", event.response_bytes)
            if error_type is not None:
                span.set_status(_ERROR)
        span.end()

    def caller_identified(self, span: Span, event: CallerIdentified, *, is_first: bool = False) -> None:
        """Name the caller by public id and plan. `is_first`: no earlier event has done so on this span."""
        if span.is_recording():
            key = ("caller", event.key_id, event.plan)
            attributes = self._known.find(key) or self._known.keep(
                key, {"gatewayz.api_key.id": event.key_id, "gatewayz.plan": event.plan}
            )
            _add(span, attributes, are_new=is_first)

    def call_finished(self, span: Span, event: CallFinished, *, is_first: bool = False) -> None:
        """Set the outcome of the call on the server span, so that a trace search finds it there."""
        if not span.is_recording():
            return
        model = self._bounds.model(event.model)
        provider = None if event.provider is None else self._bounds.provider(event.provider)
        key = ("call", model, provider, event.status, event.attempts, event.cached, event.stream, event.cancel_phase)
        attributes = self._known.find(key)
        if attributes is None:
            made: dict[str, str | int | float] = {
                "gatewayz.model": model,
                "gatewayz.call.status": event.status,
                "gatewayz.call.attempts": event.attempts,
                "gatewayz.cached": event.cached,
                "gatewayz.stream": event.stream,
            }
            if provider is not None:
                made["gatewayz.provider"] = provider
            if event.cancel_phase is not None:
                made[self._keys.cancel_phase] = event.cancel_phase
            attributes = self._known.keep(key, made)
        _add(span, attributes, are_new=is_first)
        _put(span, self._keys.cost_usd, event.usage.cost_nanousd / NANO)

    @staticmethod
    def overhead_measured(span: Span, event: OverheadMeasured) -> None:
        """Set on the server span the time of the call that the gateway itself spent."""
        if span.is_recording():
            _put(span, "gatewayz.overhead_seconds", event.seconds)

    def anomaly_began(self, fields: Mapping[str, str | int | float]) -> Context:
        """Record a short span with the anomaly as its event; returns its context."""
        span = self._tracer.start_span("anomaly evaluation", Context())
        span.add_event("gatewayz.anomaly", {f"gatewayz.anomaly.{key}": value for key, value in fields.items()})
        span.end()
        return traced_context(span, Context())

    def start_attempt(self, event: AttemptStarted, parent: Context) -> tuple[TracedContext, dict[str, str]]:
        """Open a client span; returns its context and the trace headers for the provider."""
        provider = self._bounds.provider(event.provider)
        model = self._bounds.model(event.model)
        target = (provider, model, event.upstream_model, event.server_address, event.server_port)
        key = ("start", event.operation, event.stream, event.number, *target)
        attributes = self._known.find(key)
        if attributes is None:
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
            attributes = self._known.keep(key, made)
        span = self._start(f"{event.operation} {model}", parent, SpanKind.CLIENT, attributes, event.started_unix_ns)
        context = traced_context(span, parent)
        headers: dict[str, str] = {}
        state = context.span_context[4]
        if self._is_plain and (state is NO_STATE or not state):
            headers["traceparent"] = _traceparent(context.span_context)
        else:
            self._propagator.inject(headers, context)
        return context, headers

    def end_attempt(self, span: Span, event: AttemptFinished) -> None:
        """End the client span; for a stream, call this at its end."""
        if span.is_recording():
            known, varying = self._attempts.of(event)
            _add(span, known)
            _add(span, varying)
            if event.status == "error":
                span.set_status(_ERROR)
        span.end()


def _add(span: Span, attributes: Attributes, *, are_new: bool = True) -> None:
    """Add attributes, all of supported types, to a recording span; where their keys are not new the last value counts."""
    if are_new and type(span) is FastSpan:
        span.add_supported(attributes)
    else:
        span.set_attributes(attributes)


def _put(span: Span, key: str, value: float) -> None:
    """Set one attribute, which only one kind of event sets, of a recording span; the last value counts."""
    if type(span) is FastSpan:
        span.put(key, value)
    else:
        span.set_attribute(key, value)


def _traceparent(span: SpanContext) -> str:
    """Return the header of W3C Trace Context, level 2."""
    trace_id, span_id, _, flags, _, _ = span  # its properties cost more than all of this
    return f"00-{trace_id.to_bytes(16, 'big').hex()}-{span_id.to_bytes(8, 'big').hex()}-{_FLAGS[flags]}"
