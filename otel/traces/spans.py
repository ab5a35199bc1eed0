"""Opens and ends the server span of a request and one client span per upstream attempt.

Names and attributes are bounded: route templates instead of raw paths, and no prompt, completion,
key or exception text.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.catalogue import conventions, semconv
from otel.events import (
    AttemptFinished,
    AttemptStarted,
    CallerIdentified,
    CallFinished,
    RequestFinished,
    RequestReceived,
)
from otel.labels import LabelBounds
from otel.redaction import KnownSecrets
from otel.traces.context import TracedContext, traced_context
from otel.traces.trace_state import without_free_text
from otel.usage import NANO, Usage

_ERROR: Final = Status(StatusCode.ERROR)
_NO_SECRETS: Final = KnownSecrets()
_PARAMETER: Final = frozenset("{<:*")
"""What a parameter of a route template has in any framework."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+#=|~-]{0,127}")


class OwnKeys(NamedTuple):
    """Attribute keys outside the semantic conventions, which every application's spans may have."""

    attempt_number: str
    attempt_status: str
    cancelled: str
    cancel_phase: str
    cost_usd: str
    cost_source: str
    reported_cost_usd: str
    exposure_usd: str
    audio_input: str
    audio_output: str
    fault: str
    upstream_model: str
    usage_estimated: str

    @classmethod
    def below(cls, namespace: str) -> "OwnKeys":
        """Return the keys of a namespace."""
        return cls(
            attempt_number=f"{namespace}.attempt.number",
            attempt_status=f"{namespace}.attempt.status",
            cancelled=f"{namespace}.cancelled",
            cancel_phase=f"{namespace}.cancel_phase",
            cost_usd=f"{namespace}.cost_usd",
            cost_source=f"{namespace}.cost_source",
            reported_cost_usd=f"{namespace}.reported_cost_usd",
            exposure_usd=f"{namespace}.exposure_usd",
            audio_input=f"{namespace}.usage.audio.input_tokens",
            audio_output=f"{namespace}.usage.audio.output_tokens",
            fault=f"{namespace}.fault",
            upstream_model=f"{namespace}.upstream_model",
            usage_estimated=f"{namespace}.usage.estimated",
        )


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
        self._redact = secrets.redact
        self._keys = OwnKeys.below(namespace)

    def start_request(self, event: RequestReceived) -> TracedContext:
        """Open the server span.

        It is a child of the caller's span where the trace context is valid.
        """
        headers = without_free_text(event.headers)
        parent = self._propagator.extract(headers, context=Context()) if headers else Context()
        method = self._bounds.method(event.method)
        path = self._bounds.path(event.path)
        attributes = {"http.request.method": method, "url.scheme": conventions.scheme(event.scheme)}
        if path != semconv.UNMATCHED:
            attributes["http.route"] = path
            if _PARAMETER.isdisjoint(path):
                # What fills a parameter in is the client's text.
                attributes["url.path"] = path
        if event.protocol_version in conventions.PROTOCOL_VERSIONS:
            attributes["network.protocol.version"] = event.protocol_version
        span = self._tracer.start_span(f"{method} {path}", parent, SpanKind.SERVER, attributes)
        return traced_context(span, parent)

    def end_request(self, span: Span, event: RequestFinished, error_type: str | None) -> None:
        """End the server span with the response's attributes.

        An `error_type` marks it as failed.
        """
        if span.is_recording():
            attributes: dict[str, str | int] = {
                "http.response.status_code": event.status_code,
                "http.response.body.size": event.response_bytes,
            }
            if event.outcome == "cancelled":
                attributes[self._keys.cancelled] = True
            if error_type is not None:
                attributes["error.type"] = error_type
                span.set_status(_ERROR)
            span.set_attributes(attributes)
        span.end()

    @staticmethod
    def caller_identified(span: Span, event: CallerIdentified) -> None:
        """Name the caller by public id and plan."""
        span.set_attributes({"gatewayz.api_key.id": event.key_id, "gatewayz.plan": event.plan})

    def call_finished(self, span: Span, event: CallFinished) -> None:
        """Set the outcome of the call on the server span, so that a trace search finds it there."""
        if not span.is_recording():
            return
        attributes: dict[str, str | int | float] = {
            "gatewayz.model": self._bounds.model(event.model),
            "gatewayz.call.status": event.status,
            "gatewayz.call.attempts": event.attempts,
            "gatewayz.cached": event.cached,
            "gatewayz.stream": event.stream,
            self._keys.cost_usd: event.usage.cost_nanousd / NANO,
        }
        if event.provider is not None:
            attributes["gatewayz.provider"] = self._bounds.provider(event.provider)
        if event.cancel_phase is not None:
            attributes[self._keys.cancel_phase] = event.cancel_phase
        span.set_attributes(attributes)

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
        span = self._tracer.start_span(
            f"{event.operation} {model}", parent, SpanKind.CLIENT, attributes, start_time=event.started_unix_ns
        )
        context = traced_context(span, parent)
        headers: dict[str, str] = {}
        self._propagator.inject(headers, context)
        return context, headers

    def end_attempt(self, span: Span, event: AttemptFinished) -> None:
        """End the client span; for a stream, call this at its end."""
        if span.is_recording():
            span.set_attributes(self._attempt_attributes(event))
            if event.status == "error":
                span.set_status(_ERROR)
        span.end()

    def _attempt_attributes(self, event: AttemptFinished) -> Mapping[str, str | int | float | bool | tuple[str, ...]]:
        """Return the attributes of an ended attempt, by the GenAI semantic conventions."""
        attributes: dict[str, str | int | float | bool | tuple[str, ...]] = {self._keys.attempt_status: event.status}
        optional = {
            "error.type": event.error_kind,
            self._keys.fault: event.fault,
            self._keys.cancel_phase: event.cancel_phase,
            "http.response.status_code": event.http_status,
            "gen_ai.response.id": self._identifier(event.response_id),
            "gen_ai.response.model": self._identifier(event.response_model),
            "gen_ai.response.time_to_first_chunk": event.first_token_seconds,
        }
        attributes.update({key: value for key, value in optional.items() if value is not None})
        finish_reason = self._identifier(event.finish_reason)
        if finish_reason is not None:
            attributes["gen_ai.response.finish_reasons"] = (finish_reason,)
        usage = event.usage
        if usage.input_tokens or usage.output_tokens:
            attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
            attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
            attributes[self._keys.usage_estimated] = usage.estimated
            attributes[self._keys.cost_usd] = usage.cost_nanousd / NANO
            self._add_details(attributes, usage)
        return attributes

    def _add_details(self, attributes: dict[str, str | int | float | bool | tuple[str, ...]], usage: Usage) -> None:
        """Add what most attempts do not have."""
        details = (
            ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
            ("gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens),
            ("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens),
            (self._keys.audio_input, usage.input_audio_tokens),
            (self._keys.audio_output, usage.output_audio_tokens),
        )
        attributes |= {key: tokens for key, tokens in details if tokens}
        if usage.cost_source is not None:
            attributes[self._keys.cost_source] = usage.cost_source
        if usage.reported_nanousd is not None:
            attributes[self._keys.reported_cost_usd] = usage.reported_nanousd / NANO
        if usage.exposure_nanousd:
            attributes[self._keys.exposure_usd] = usage.exposure_nanousd / NANO

    def _identifier(self, text: str | None) -> str | None:
        """Return a provider's text if it has the shape of an identifier, without secrets.

        Prose could quote a prompt.
        """
        return self._redact(text) if text is not None and _IDENTIFIER.fullmatch(text) else None
