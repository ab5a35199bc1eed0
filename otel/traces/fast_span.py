"""A span of the trace API that stores supported attributes without the SDK's checks.

At its end it becomes the SDK's `ReadableSpan`. The SDK's own span checks and copies each attribute
twice, in Python, under two locks, which is most of the cost of a span. Here a supported value goes
into a dict. Unsupported values, and attributes beyond a limit, go through the SDK's containers, so
that its limits and its cleaning apply.
"""

import logging
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel.redaction import redact
from otel.traces.held_trace import HeldTrace

_SCALARS: Final = frozenset({str, bool, int, float})
_UNSET: Final = Status()
_MAX_READ: Final = 16_384
_LOGGER: Final = logging.getLogger("otel.traces.spans")


class SpanOrigin(NamedTuple):
    """What all spans of a tracer share.

    `on_end` takes each finished span, in the thread that ended it. `redact` cleans free text:
    events, exceptions and status descriptions.
    """

    resource: Resource
    scope: InstrumentationScope
    limits: SpanLimits
    unix_ns: Callable[[], int]
    on_end: Callable[[ReadableSpan], None]
    redact: Callable[[str], str] = redact


def are_supported(attributes: Mapping[str, Any]) -> bool:
    """Whether the SDK would store these attributes unchanged."""
    for key, value in attributes.items():
        kind = type(value)
        if kind not in _SCALARS and not (kind is tuple and all(type(each) is str for each in value)):
            return False
        if not key or type(key) is not str:
            return False
    return True


class FastSpan(Span):
    """One recording span.

    For one thread at a time, like the request or attempt that it belongs to. `held` is the trace of
    a span that is not sampled.
    """

    __slots__ = (
        "_attributes",
        "_context",
        "_end_ns",
        "_events",
        "_kind",
        "_links",
        "_name",
        "_origin",
        "_parent",
        "_start_ns",
        "_status",
        "held",
    )

    def __init__(
        self,
        origin: SpanOrigin,
        name: str,
        context: SpanContext,
        *,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: Mapping[str, Any],
        start_ns: int | None = None,
        held: HeldTrace | None = None,
    ) -> None:
        self._origin = origin
        self.held = held
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes: MutableMapping[str, Any] = {}
        self._events: BoundedList[Event] | None = None
        self._links: BoundedList[Link] | None = None
        self._status = _UNSET
        self._end_ns: int | None = None
        self._start_ns = origin.unix_ns() if start_ns is None else start_ns
        if attributes:
            self.set_attributes(attributes)

    def end(self, end_time: int | None = None) -> None:
        """End the span and pass it to `on_end`; a second call changes nothing."""
        if self._has_ended("end"):
            return
        self._end_ns = self._origin.unix_ns() if end_time is None else end_time
        if self.held is None:
            self._finish()
        else:
            self.held.ended(self)

    def _finish(self) -> None:
        """Pass the ended span to `on_end`."""
        origin = self._origin
        origin.on_end(
            ReadableSpan(
                self._name,
                self._context,
                self._parent,
                origin.resource,
                self._attributes,
                () if self._events is None else self._events,
                () if self._links is None else self._links,
                self._kind,
                status=self._status,
                start_time=self._start_ns,
                end_time=self._end_ns,
                instrumentation_scope=origin.scope,
            )
        )

    def export(self) -> None:
        """Pass on a held span that ended, as a sampled one."""
        old = self._context
        flags = TraceFlags(old.trace_flags | TraceFlags.SAMPLED)
        self._context = SpanContext(old.trace_id, old.span_id, old.is_remote, flags, old.trace_state)
        self._finish()

    @property
    def is_local_root(self) -> bool:
        """Whether its parent is not of this process."""
        return self._parent is None or self._parent.is_remote

    @property
    def status_code(self) -> StatusCode:
        """The status so far."""
        return self._status.status_code

    @property
    def duration_ns(self) -> int:
        """From its start to its end, 0 before."""
        return 0 if self._end_ns is None else self._end_ns - self._start_ns

    def get_span_context(self) -> SpanContext:
        """Return the span's context."""
        return self._context

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes."""
        if self._has_ended("set_attributes"):
            return
        stored, limits = self._attributes, self._origin.limits
        if (
            type(stored) is dict
            and limits.max_span_attribute_length is None
            and (limits.max_span_attributes is None or len(stored) + len(attributes) <= limits.max_span_attributes)
            and are_supported(attributes)
        ):
            stored.update(attributes)
            return
        if type(stored) is dict:
            stored = self._attributes = BoundedAttributes(
                limits.max_span_attributes, stored, immutable=False, max_value_len=limits.max_span_attribute_length
            )
        stored.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Add one attribute."""
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event."""
        if self._has_ended("add_event"):
            return
        limits = self._origin.limits
        cleaned = {key: self._clean(value) for key, value in attributes.items()} if attributes else None
        bounded = BoundedAttributes(limits.max_event_attributes, cleaned, max_value_len=limits.max_attribute_length)
        if self._events is None:
            self._events = BoundedList(limits.max_events)
        self._events.append(Event(name, bounded, self._origin.unix_ns() if timestamp is None else timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link; an empty one is ignored."""
        if self._has_ended("add_link") or not (context.is_valid or attributes or context.trace_state):
            return
        limits = self._origin.limits
        bounded = BoundedAttributes(limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length)
        if self._links is None:
            self._links = BoundedList(limits.max_links)
        self._links.append(Link(context, bounded))

    def update_name(self, name: str) -> None:
        """Change the name."""
        if not self._has_ended("update_name"):
            self._name = name

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return self._end_ns is None

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. OK is final, and UNSET changes nothing."""
        if self._has_ended("set_status"):
            return
        wanted = status if isinstance(status, Status) else Status(status, description)
        if wanted.description is not None:
            wanted = Status(wanted.status_code, self._clean(wanted.description))
        if self._status.status_code is not StatusCode.OK and wanted.status_code is not StatusCode.UNSET:
            self._status = wanted

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception event, by the semantic conventions for exceptions on spans."""
        kind = type(exception)
        module = kind.__module__
        described = {
            "exception.type": kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}",
            "exception.message": _text_of(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**described, **(attributes or {})}, timestamp)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """End the span; record an exception that leaves the block."""
        if exc_val is not None and self.is_recording():
            self.record_exception(exc_val, escaped=True)
            self.set_status(Status(StatusCode.ERROR, f"{type(exc_val).__name__}: {_text_of(exc_val)}"))
        super().__exit__(exc_type, exc_val, exc_tb)

    def _clean(self, value: Any) -> Any:
        """Return a value without secrets.

        Text is cut before redaction, so no secret loses its recognisable beginning.
        """
        return self._origin.redact(value[:_MAX_READ]) if isinstance(value, str) else value

    def _has_ended(self, method: str) -> bool:
        if self._end_ns is None:
            return False
        _LOGGER.warning("%s was called on an ended span", method)
        return True


def _text_of(exception: BaseException) -> str:
    """Return the text of an exception, even where `str()` of it raises."""
    try:
        return str(exception)
    except Exception as error:  # noqa: BLE001  a `__str__` may raise anything
        return f"<str() raised {type(error).__name__}>"
