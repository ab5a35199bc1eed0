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
from otel.traces.known_attributes import KnownCache
from otel.traces.trace_state import without_free_text

_ERROR: Final = Status(StatusCode.ERROR)
_NO_SECRETS: Final = KnownSecrets()
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
        headers = without_free_text(event.headers)
        parent = self._propagator.extract(headers, context=Context()) if headers else Context()
        method = self._bounds.method(event.method)
        path = self._bounds.path(event.path)
        version = event.protocol_version

        def make() -> Attributes:
            attributes = {"http.request.method": method, "url.scheme": conventions.scheme(event.scheme)}
            if path != semconv.UNMATCHED:
                attributes["http.route"] = path
                if _PARAMETER.isdisjoint(path):
                    # The value of a parameter is the client's text.
                    attributes["url.path"] = path
            if version in conventions.PROTOCOL_VERSIONS:
                attributes["network.protocol.version"] = version
            return attributes

        attributes = self._known.get(("request", method, path, event.scheme, version), make)
        span = self._start(f"{method} {path}", parent, SpanKind.SERVER, attributes)
        return traced_context(span, parent)

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

            def make() -> Attributes:
                attributes: dict[str, str | int] = {"http.response.status_code": event.status_code}
                if is_cancelled:
                    attributes[self._keys.cancelled] = True
                if error_type is not None:
                    attributes["error.type"] = error_type
                return attributes

            _add(span, self._known.get(("end", event.status_code, is_cancelled, error_type), make))
            _add(span, {"http.response.body.size": event.response_bytes})
            if error_type is not None:
                span.set_status(_ERROR)
        span.end()

    def caller_identified(self, span: Span, event: CallerIdentified) -> None:
        """Name the caller by public id and plan."""
        if span.is_recording():
            attributes = self._known.get(
                ("caller", event.key_id, event.plan),
                lambda: {"gatewayz.api_key.id": event.key_id, "gatewayz.plan": event.plan},
            )
            _add_again(span, attributes)

    def call_finished(self, span: Span, event: CallFinished) -> None:
        """Set the outcome of the call on the server span, so that a trace search finds it there."""
        if not span.is_recording():
            return
        model = self._bounds.model(event.model)
        provider = None if event.provider is None else self._bounds.provider(event.provider)

        def make() -> Attributes:
            attributes: dict[str, str | int | float] = {
                "gatewayz.model": model,
                "gatewayz.call.status": event.status,
                "gatewayz.call.attempts": event.attempts,
                "gatewayz.cached": event.cached,
                "gatewayz.stream": event.stream,
            }
            if provider is not None:
                attributes["gatewayz.provider"] = provider
            if event.cancel_phase is not None:
                attributes[self._keys.cancel_phase] = event.cancel_phase
            return attributes

        key = ("call", model, provider, event.status, event.attempts, event.cached, event.stream, event.cancel_phase)
        _add_again(span, self._known.get(key, make))
        _add_again(span, {self._keys.cost_usd: event.usage.cost_nanousd / NANO})

    @staticmethod
    def overhead_measured(span: Span, event: OverheadMeasured) -> None:
        """Set on the server span the time of the call that the gateway itself spent."""
        if span.is_recording():
            _add_again(span, {"gatewayz.overhead_seconds": event.seconds})

    def anomaly_began(self, fields: Mapping[str, str | int | float]) -> Context:
        """Record a short span with the anomaly as its event; returns its context."""
        span = self._tracer.start_span("anomaly evaluation", Context())
        span.add_event("gatewayz.anomaly", {f"gatewayz.anomaly.{key}": value for key, value in fields.items()})
        span.end()
        return traced_context(span, Context())

    def start_attempt(self, event: AttemptStarted, parent: Context) -> tuple[Context, dict[str, str]]:
        """Open a client span; returns its context and the trace headers for the provider."""
        provider = self._bounds.provider(event.provider)
        model = self._bounds.model(event.model)

        def make() -> Attributes:
            attributes: dict[str, str | int | bool] = {
                "gen_ai.operation.name": event.operation,
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": model,
                "gen_ai.request.stream": event.stream,
                self._keys.upstream_model: event.upstream_model,
                self._keys.attempt_number: event.number,
                "peer.service": provider,
            }
            if event.server_address:
                attributes |= {"server.address": event.server_address, "server.port": event.server_port}
            return attributes

        target = (provider, model, event.upstream_model, event.server_address, event.server_port)
        attributes = self._known.get(("start", event.operation, event.stream, event.number, *target), make)
        span = self._start(f"{event.operation} {model}", parent, SpanKind.CLIENT, attributes, event.started_unix_ns)
        context = traced_context(span, parent)
        headers: dict[str, str] = {}
        if self._is_plain and not context.span_context.trace_state:
            headers["traceparent"] = _traceparent(context.span_context)
        else:
            self._propagator.inject(headers, context)
        return context, headers

    def end_attempt(self, span: Span, event: AttemptFinished) -> None:
        """End the client span; for a stream, call this at its end."""
        if span.is_recording():
            for attributes in self._attempts.of(event):
                _add(span, attributes)
            if event.status == "error":
                span.set_status(_ERROR)
        span.end()


def _add_again(span: Span, attributes: Attributes) -> None:
    """Add attributes that an earlier event of the same kind may have added: the last one counts."""
    if type(span) is FastSpan and span.has_any(attributes):
        span.set_attributes(attributes)
    else:
        _add(span, attributes)


def _add(span: Span, attributes: Attributes) -> None:
    """Add attributes, all of supported types, whose keys are new, to a recording span."""
    if type(span) is FastSpan:
        span.add_supported(attributes)
    else:
        span.set_attributes(attributes)


def _traceparent(span: SpanContext) -> str:
    """Return the header of W3C Trace Context, level 2."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
