"""A span of the trace API that stores supported attributes without the SDK's checks.

At its end it becomes the SDK's `ReadableSpan`. The SDK's own span checks and copies each attribute
twice, in Python, under two locks, which is most of the cost of a span. Here a supported value goes
into a dict. Unsupported values, and attributes beyond a limit, go through the SDK's containers, so
that its limits and its cleaning apply.
"""

import logging
from collections.abc import Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otel.traces.exception_event import exception_attributes, text_of
from otel.traces.held_trace import HeldTrace
from otel.traces.known_attributes import KnownAttributes, VaryingKeys
from otel.traces.span_parts import UNSET, Layer, SpanOrigin, are_supported

_MAX_READ: Final = 16_384
_LOGGER: Final = logging.getLogger("otel.traces.spans")


class FastSpan(Span):
    """One recording span.

    For one thread at a time, like the request or attempt that it belongs to. `held` is the trace of
    a span that is not sampled. `layers` are its first attributes, which never change. `room` is how
    many more it takes before the limits apply. `id_bytes` are its trace id and span id as they are sent, made once.
    Times are Unix nanoseconds; what the SDK's `ReadableSpan` has, too, has its names.
    """

    def __init__(  # noqa: PLR0917  keyword arguments cost a tenth of making a span
        self,
        origin: SpanOrigin,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        layers: list[Layer],
        room: int,
        start_ns: int | None,
        held: HeldTrace | None,
        of_trace: bytes | None = None,
    ) -> None:
        self.origin = origin
        self.held = held
        self.name = name
        self.context = context
        self.id_bytes = of_trace or context[0].to_bytes(16), context[1].to_bytes(8)
        self.parent = parent
        self.kind = kind
        self.layers = layers
        self._room = room
        self.merged: MutableMapping[str, Any] | None = None
        self.events: BoundedList[Event] | None = None
        self.links: BoundedList[Link] | None = None
        self.status = UNSET
        self.end_time: int | None = None
        self.start_time = origin.unix_ns() if start_ns is None else start_ns

    def end(self, end_time: int | None = None) -> None:
        """End the span and pass it to `on_end`; a second call changes nothing."""
        if self.end_time is not None:
            self._has_ended("end")
            return
        origin = self.origin
        self.end_time = origin.unix_ns() if end_time is None else end_time
        if self.held is not None:
            self.held.ended(self)
        elif origin.take is None:
            origin.on_end(self.readable())
        else:
            origin.take(self)

    def end_with(self, known: KnownAttributes, keys: VaryingKeys, values: tuple[Any, ...], status: Status) -> None:
        """Do what `add_supported`, `set_status` and `end` do, in one call."""
        if self.end_time is not None:
            self._has_ended("end")
            return
        origin = self.origin
        self.end_time = end_ns = origin.unix_ns()
        take_known = origin.take_known
        if (
            take_known is not None
            and self._room >= len(known) + len(values)
            and status is UNSET is self.status
            and self.held is None
            and len(self.layers) == 1
            and self.events is None
            and self.links is None
            and take_known(self, known, keys, values)
        ):
            return
        self.end_time = None
        self.add_supported(known, keys, values)
        if status is not UNSET:
            self.set_status(status)
        self.end(end_ns)

    def readable(self) -> ReadableSpan:
        """Return the ended span as the SDK's."""
        origin = self.origin
        return ReadableSpan(
            self.name,
            self.context,
            self.parent,
            origin.resource,
            self._merge(),
            () if self.events is None else self.events,
            () if self.links is None else self.links,
            self.kind,
            status=self.status,
            start_time=self.start_time,
            end_time=self.end_time,
            instrumentation_scope=origin.scope,
        )

    @property
    def stored(self) -> Sequence[Layer] | None:
        """All attributes, None where limits have dropped some."""
        if self.merged is None:
            return self.layers
        return [self.merged] if type(self.merged) is dict else None

    @property
    def resource(self) -> Resource:
        """Who made it."""
        return self.origin.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """By which instrumentation."""
        return self.origin.scope

    def export(self) -> None:
        """Pass on a held span that ended, as a sampled one."""
        old = self.context
        flags = TraceFlags(old.trace_flags | TraceFlags.SAMPLED)
        self.context = SpanContext(old.trace_id, old.span_id, old.is_remote, flags, old.trace_state)
        if self.origin.take is None:
            self.origin.on_end(self.readable())
        else:
            self.origin.take(self)

    @property
    def is_local_root(self) -> bool:
        """Whether its parent is not of this process."""
        return self.parent is None or self.parent.is_remote

    @property
    def status_code(self) -> StatusCode:
        """The status so far."""
        return self.status.status_code

    @property
    def duration_ns(self) -> int:
        """From its start to its end, 0 before."""
        return 0 if self.end_time is None else self.end_time - self.start_time

    def get_span_context(self) -> SpanContext:
        """Return the span's context."""
        return self.context

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes."""
        if self._has_ended("set_attributes"):
            return
        stored, limits = self._merge(), self.origin.limits
        if (
            type(stored) is dict
            and limits.max_span_attribute_length is None
            and (limits.max_span_attributes is None or len(stored) + len(attributes) <= limits.max_span_attributes)
            and are_supported(attributes)
        ):
            stored.update(attributes)
            return
        if type(stored) is dict:
            stored = self.merged = BoundedAttributes(
                limits.max_span_attributes, stored, immutable=False, max_value_len=limits.max_span_attribute_length
            )
        stored.update(attributes)

    def add_supported(self, known: KnownAttributes, keys: VaryingKeys, values: tuple[Any, ...]) -> None:
        """Add attributes to a span that has not ended.

        The SDK would store them unchanged, and no earlier call had one of these keys.
        """
        room = self._room - len(known) - len(values)
        if room < 0:
            self.set_attributes({**known, **keys.mapping(values)})
        else:
            self.layers += (known, (keys, values))
            self._room = room

    def _merge(self) -> MutableMapping[str, Any]:
        """Return all attributes in one mapping, which takes those that come later."""
        if self.merged is None:
            self.merged = {}
            self._room = -1
            for layer in self.layers:
                self.merged.update(layer[0].mapping(layer[1]) if isinstance(layer, tuple) else layer)
        return self.merged

    def set_attribute(self, key: str, value: Any) -> None:
        """Add one attribute."""
        self.set_attributes({key: value})

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Add an event."""
        if self._has_ended("add_event"):
            return
        limits = self.origin.limits
        cleaned = {key: self._clean(value) for key, value in attributes.items()} if attributes else None
        bounded = BoundedAttributes(limits.max_event_attributes, cleaned, max_value_len=limits.max_attribute_length)
        if self.events is None:
            self.events = BoundedList(limits.max_events)
        self.events.append(Event(name, bounded, self.origin.unix_ns() if timestamp is None else timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a link; an empty one is ignored."""
        if self._has_ended("add_link") or not (context.is_valid or attributes or context.trace_state):
            return
        limits = self.origin.limits
        bounded = BoundedAttributes(limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length)
        if self.links is None:
            self.links = BoundedList(limits.max_links)
        self.links.append(Link(context, bounded))

    def update_name(self, name: str) -> None:
        """Change the name."""
        if not self._has_ended("update_name"):
            self.name = name

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return self.end_time is None

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status. OK is final, and UNSET changes nothing."""
        if self._has_ended("set_status"):
            return
        wanted = status if isinstance(status, Status) else Status(status, description)
        if wanted.description is not None:
            wanted = Status(wanted.status_code, self._clean(wanted.description))
        if self.status.status_code is not StatusCode.OK and wanted.status_code is not StatusCode.UNSET:
            self.status = wanted

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception event, by the semantic conventions for exceptions on spans."""
        self.add_event(
            "exception", {**exception_attributes(exception, escaped=escaped), **(attributes or {})}, timestamp
        )

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """End the span; record an exception that leaves the block."""
        if exc_val is not None and self.is_recording():
            self.record_exception(exc_val, escaped=True)
            self.set_status(Status(StatusCode.ERROR, f"{type(exc_val).__name__}: {text_of(exc_val)}"))
        super().__exit__(exc_type, exc_val, exc_tb)

    def _clean(self, value: Any) -> Any:
        """Return a value without secrets. Text is cut before redaction, so no secret loses its beginning."""
        return self.origin.redact(value[:_MAX_READ]) if isinstance(value, str) else value

    def _has_ended(self, method: str) -> bool:
        if self.end_time is None:
            return False
        _LOGGER.warning("%s was called on an ended span", method)
        return True
