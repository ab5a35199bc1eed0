"""A logger of the logs API for records whose body is one text, as all log lines are.

Such a record gets the ids of its span and goes straight to the delivery. Every other record, for
example one with attributes, goes through the SDK's logger.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span

from otel.traces.context import TracedContext

LogOrigin: TypeAlias = tuple[Resource, InstrumentationScope]
OfferLine: TypeAlias = Callable[[LogOrigin, int, SeverityNumber, str, str, int, tuple[bytes, bytes]], bool]
"""Takes a line: origin, Unix nanoseconds, severity, its text, body, trace flags, ids; returns whether it did."""


class FastLogRecord(msgspec.Struct, frozen=True, gc=False):
    """A record with a text body, shaped like the SDK's `ReadableLogRecord`.

    Times are Unix nanoseconds.
    """

    origin: LogOrigin
    timestamp: int
    observed_timestamp: int
    trace_id: int
    span_id: int
    trace_flags: TraceFlags
    severity_number: SeverityNumber | None
    severity_text: str | None
    body: str

    @property
    def resource(self) -> Resource:
        """Who made it."""
        return self.origin[0]

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """By which instrumentation."""
        return self.origin[1]

    @property
    def log_record(self) -> "FastLogRecord":
        """The record itself."""
        return self

    @property
    def attributes(self) -> None:
        """Always None."""

    @property
    def event_name(self) -> None:
        """Always None."""

    @property
    def dropped_attributes(self) -> int:
        """Always 0."""
        return 0


class FastLogger(Logger):
    """Makes records. `offer` takes each in the emitting thread; `sdk` takes all others.

    `offer_line` takes a line of a span without a record, or returns False.

    Safe from any thread.
    """

    def __init__(
        self,
        sdk: Logger,
        resource: Resource,
        scope: InstrumentationScope,
        offer: Callable[[FastLogRecord], None],
        offer_line: OfferLine | None = None,
    ) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self._sdk = sdk
        self._origin = resource, scope
        self._offer = offer
        self._offer_line = offer_line

    def emit(
        self,
        record: LogRecord | None = None,
        *,
        timestamp: int | None = None,
        observed_timestamp: int | None = None,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        severity_text: str | None = None,
        body: Any = None,
        attributes: Mapping[str, Any] | None = None,
        event_name: str | None = None,
        exception: BaseException | None = None,
    ) -> None:
        """Emit one record."""
        if record is not None:
            self._sdk.emit(record)
        elif not (timestamp and observed_timestamp and type(body) is str) or attributes or event_name or exception:
            self._sdk.emit(
                timestamp=timestamp,
                observed_timestamp=observed_timestamp,
                context=context,
                severity_number=severity_number,
                severity_text=severity_text,
                body=body,
                attributes=attributes,
                event_name=event_name,
                exception=exception,
            )
        else:
            if type(context) is TracedContext:
                span = context.span_context
            else:
                span = get_current_span(context or None).get_span_context()
            self._offer(
                FastLogRecord(
                    self._origin,
                    timestamp,
                    observed_timestamp,
                    span.trace_id,
                    span.span_id,
                    span.trace_flags,
                    severity_number,
                    severity_text,
                    body,
                )
            )

    def emit_line(  # noqa: PLR0917  keyword arguments cost as much as a field
        self,
        unix_ns: int,
        severity_number: SeverityNumber,
        severity_text: str,
        body: str,
        span: SpanContext,
        id_bytes: tuple[bytes, bytes] | None = None,
    ) -> None:
        """Emit the record of a log line, made at this time in this span; `id_bytes` are its ids where they are known as bytes."""
        trace_id, span_id, _, flags, _, _ = span  # its properties cost more than all of this
        offer_line = self._offer_line
        if (
            id_bytes is not None
            and offer_line is not None
            and offer_line(self._origin, unix_ns, severity_number, severity_text, body, flags, id_bytes)
        ):
            return
        self._offer(
            FastLogRecord(
                self._origin,
                unix_ns,
                unix_ns,
                trace_id,
                span_id,
                flags,
                severity_number,
                severity_text,
                body,
            )
        )

    def enabled(
        self,
        *,
        context: Context | None = None,
        severity_number: SeverityNumber | None = None,
        event_name: str | None = None,
    ) -> bool:
        """Whether such a record would be exported."""
        return self._sdk.enabled(context=context, severity_number=severity_number, event_name=event_name)
