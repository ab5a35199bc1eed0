"""LEAN LOGGER: the logs API's logger for lines that are one text, as all of the gateway's are.

Comes in: a record's parts. Goes out: a record with the ids of its span, ready to be encoded.
Everything else, such as records with attributes, goes the SDK's way.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import TraceFlags, get_current_span

from otel.traces.context import TracedContext


class FastLogRecord(msgspec.Struct, frozen=True, gc=False):
    """A record of one text, shaped like the SDK's `ReadableLogRecord`; times in nanoseconds since 1970."""

    resource: Resource
    instrumentation_scope: InstrumentationScope
    timestamp: int
    observed_timestamp: int
    trace_id: int
    span_id: int
    trace_flags: TraceFlags
    severity_number: SeverityNumber | None
    severity_text: str | None
    body: str

    @property
    def log_record(self) -> "FastLogRecord":
        """The record proper."""
        return self

    @property
    def attributes(self) -> None:
        """None: such a record has no attributes."""

    @property
    def event_name(self) -> None:
        """None: it is no event."""

    @property
    def dropped_attributes(self) -> int:
        """0: none were set."""
        return 0


class FastLogger(Logger):
    """Makes records; `offer` takes each, in the thread that emitted it; `sdk` takes what is not one text. Safe from any thread."""

    def __init__(
        self,
        sdk: Logger,
        resource: Resource,
        scope: InstrumentationScope,
        offer: Callable[[FastLogRecord], None],
    ) -> None:
        super().__init__(scope.name, scope.version, scope.schema_url)
        self._sdk = sdk
        self._resource = resource
        self._scope = scope
        self._offer = offer

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
                of_span = context.span_context
            else:
                of_span = get_current_span(context or None).get_span_context()
            self._offer(
                FastLogRecord(
                    self._resource,
                    self._scope,
                    timestamp,
                    observed_timestamp,
                    of_span.trace_id,
                    of_span.span_id,
                    of_span.trace_flags,
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
        """Whether a record with these would go anywhere."""
        return self._sdk.enabled(context=context, severity_number=severity_number, event_name=event_name)
