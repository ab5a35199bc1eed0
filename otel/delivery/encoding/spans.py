"""Encodes a finished span as an OTLP `Span`: the same bytes as the SDK's encoder, in less time.

Spans with events or links go to the SDK's encoder.

Format: `opentelemetry/proto/trace/v1/trace.proto`.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import call
from struct import Struct
from typing import Any, Final, TypeAlias

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

from otel.delivery.encoding.batch import BatchEncoder, EncodedItem, Parts
from otel.delivery.encoding.protobuf import (
    AttributeEncoder,
    UnsupportedValueError,
    delimited,
    text_field,
    varint,
)
from otel.traces.fast_span import FastSpan
from otel.traces.known_attributes import KnownAttributes, VaryingKeys
from otel.traces.span_parts import NO_STATE, UNSET, Layer, SpanOrigin, TakeKnown

_TRACE_ID: Final = b"\x0a\x10"
_SPAN_ID: Final = b"\x12\x08"
_TRACE_STATE: Final = b"\x1a"
_PARENT_SPAN_ID: Final = b"\x22\x08"
_NAME: Final = b"\x2a"
_KIND: Final[Mapping[SpanKind, bytes]] = {kind: bytes((0x30, kind.value + 1)) for kind in SpanKind}
_START_TIME: Final = b"\x39"
_END_TIME: Final = b"\x41"
_pack_times: Final = Struct("<sQsQ").pack
_pack_ids: Final = Struct("<2s16s2s8s").pack
_pack_ids_with_parent: Final = Struct("<2s16s2s8s2s8s").pack
_ATTRIBUTES: Final = b"\x4a"
_DROPPED_ATTRIBUTES: Final = b"\x50"
_STATUS: Final = b"\x7a"
_STATUS_MESSAGE: Final = b"\x12"
_STATUS_CODE: Final[Mapping[StatusCode, bytes]] = {
    StatusCode.UNSET: b"",
    StatusCode.OK: b"\x18\x01",
    StatusCode.ERROR: b"\x18\x02",
}
_STATUS_ONLY: Final[Mapping[StatusCode, bytes]] = {
    code: delimited(_STATUS, content) for code, content in _STATUS_CODE.items()
}
_UNSET_STATUS: Final = _STATUS_ONLY[StatusCode.UNSET]
_NO_NAME: Final = (None, b"")
_MAX_NAMES: Final = 1_000
_MAX_CACHED_CHARS: Final = 256
"""Bounds for names that an application chooses: rare ones must not fill the memory."""

_LOCAL_PARENT: Final = b"\x85\x01\x00\x01\x00\x00"
_REMOTE_PARENT: Final = b"\x85\x01\x00\x03\x00\x00"
"""The span's `flags`: that the parent's remoteness is known, and what it is."""

_USUAL_END: Final = _UNSET_STATUS + _LOCAL_PARENT
_END_BELOW_REMOTE: Final = _UNSET_STATUS + _REMOTE_PARENT
_MAX_SHAPES: Final = 100
_Shape: TypeAlias = tuple[
    KnownAttributes, SpanOrigin, Any, str, SpanKind, Callable[..., bytes], Callable[..., bytes], bytes, bytes
]
"""What such spans share: the attributes that they start with, whose identity is theirs as long as this refers to them;
origin and head; name and kind; what packs all up to the values, without and with a parent; the bytes of name and kind, and
those of all known attributes."""


class SpanEncoder:
    """Encodes single spans. Safe from any thread."""

    def __init__(self) -> None:
        self._attributes = AttributeEncoder(_ATTRIBUTES)
        self._names: dict[str, tuple[SpanKind, bytes]] = {}

    def encode(self, span: ReadableSpan | FastSpan) -> bytes:
        """Return the span's message; raises `UnsupportedValueError`, or the error of a field of the wrong type."""
        if type(span) is not FastSpan:
            return self._encode_readable(span)  # type: ignore[arg-type]  # narrowed by its type
        layers = span.layers if span.merged is None else span.stored
        if layers is None or span.events is not None or span.links is not None:
            raise UnsupportedValueError
        parts = self._head(span.name, span.context, span.parent, span.kind, span.start_time, span.end_time)
        for layer in layers:
            if type(layer) is KnownAttributes:
                parts.append(layer.encoded or self._encode_known(layer))
            elif type(layer) is tuple:
                keys, values = layer
                kinds = tuple(map(type, values))
                parts += map(call, keys.encoders.get(kinds) or self._encoders(keys, kinds), values)
            else:
                parts.append(self._attributes.encode(layer))  # type: ignore[arg-type]  # narrowed by its type
        # Looking an enumeration's member up costs as much as encoding an attribute.
        parts.append(_UNSET_STATUS if span.status is UNSET else _status(span.status))
        parts.append(_LOCAL_PARENT if span.parent is None or not span.parent[2] else _REMOTE_PARENT)
        return b"".join(parts)

    def offer_known(self, head_of: Callable[[FastSpan], Any], offer: Callable[[tuple[Any, bytes]], None]) -> TakeKnown:
        """Return what offers a span that starts with known attributes and ends with these, encoded.

        It returns False, and offers nothing, for any other span. In one function, because it runs for each.
        """
        make_shape, make_encoders = self._shape, self._encoders

        def offer_known(span: FastSpan, end: KnownAttributes, keys: VaryingKeys, values: tuple[Any, ...]) -> bool:
            try:
                start = span.layers[0]
                shape: _Shape | None = end.shapes.get(id(start)) or make_shape(start, end, span, head_of)
                if shape is None:
                    return False
                _, origin, head, name, kind, pack_root, pack_child, named, attributes = shape
                start_ns, end_ns, parent, context = span.start_time, span.end_time, span.parent, span.context
                if not (
                    origin is span.origin
                    and name is span.name
                    and kind is span.kind
                    and context[4] is NO_STATE
                    and start_ns
                    and end_ns
                ):
                    return False
                of_trace, of_span = span.id_bytes
                kinds = tuple(map(type, values))
                encoded = map(call, keys.encoders.get(kinds) or make_encoders(keys, kinds), values)
                if parent is None:
                    fixed = pack_root(
                        _TRACE_ID, of_trace, _SPAN_ID, of_span, named, start_ns, _END_TIME, end_ns, attributes
                    )
                    body = b"".join((fixed, *encoded, _USUAL_END))
                else:
                    of_parent = parent[1].to_bytes(8)
                    fixed = pack_child(
                        _TRACE_ID, of_trace, _SPAN_ID, of_span, _PARENT_SPAN_ID, of_parent,
                        named, start_ns, _END_TIME, end_ns, attributes,
                    )  # fmt: skip
                    body = b"".join((fixed, *encoded, _END_BELOW_REMOTE if parent[2] else _USUAL_END))
            except Exception:  # noqa: BLE001  what it raises again as any other span is counted
                return False
            offer((head, body))
            return True

        return offer_known

    def _shape(
        self, start: Layer, end: KnownAttributes, span: FastSpan, head_of: Callable[[FastSpan], Any]
    ) -> "_Shape | None":
        """Return what spans with these attributes share, from now on from those that they end with."""
        if type(start) is not KnownAttributes:
            return None
        named = text_field(_NAME, span.name) + _KIND[span.kind] + _START_TIME
        attributes = (start.encoded or self._encode_known(start)) + (end.encoded or self._encode_known(end))
        rest = f"{len(named)}sQsQ{len(attributes)}s"
        pack_root, pack_child = Struct(f"<2s16s2s8s{rest}").pack, Struct(f"<2s16s2s8s2s8s{rest}").pack
        made = (start, span.origin, head_of(span), span.name, span.kind, pack_root, pack_child, named, attributes)
        if len(end.shapes) >= _MAX_SHAPES:
            end.shapes.clear()
        end.shapes[id(start)] = made
        return made

    def _encode_readable(self, span: ReadableSpan) -> bytes:
        context, parent, dropped = span.context, span.parent, span.dropped_attributes
        if context is None or span.events or span.links:
            raise UnsupportedValueError
        parts = self._head(span.name, context, parent, span.kind, span.start_time, span.end_time)
        parts.append(self._attributes.encode(_as_dict(span.attributes)))
        if dropped:
            parts += (_DROPPED_ATTRIBUTES, varint(dropped))
        parts.append(_status(span.status))
        parts.append(_LOCAL_PARENT if parent is None or not parent.is_remote else _REMOTE_PARENT)
        return b"".join(parts)

    def _head(  # noqa: PLR0917  keyword arguments cost as much as a field
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        start_ns: int | None,
        end_ns: int | None,
    ) -> list[bytes]:
        """Return what comes before the attributes."""
        if not start_ns or not end_ns:
            raise UnsupportedValueError
        trace_id, span_id, _, _, state, _ = context  # its properties cost more than all of this
        known_kind, named = self._names.get(name, _NO_NAME)
        if known_kind is not kind:
            named = self._name(name, kind)
        times = _pack_times(_START_TIME, start_ns, _END_TIME, end_ns)
        of_trace, of_span = trace_id.to_bytes(16), span_id.to_bytes(8)
        if state is NO_STATE or not state:
            if parent is None:
                return [_pack_ids(_TRACE_ID, of_trace, _SPAN_ID, of_span), named, times]
            ids = _pack_ids_with_parent(_TRACE_ID, of_trace, _SPAN_ID, of_span, _PARENT_SPAN_ID, parent[1].to_bytes(8))
            return [ids, named, times]
        members = ",".join(f"{key}={value}" for key, value in state.items())
        of_parent = b"" if parent is None else _PARENT_SPAN_ID + parent[1].to_bytes(8)
        ids = _pack_ids(_TRACE_ID, of_trace, _SPAN_ID, of_span)
        return [ids, delimited(_TRACE_STATE, members.encode()), of_parent, named, times]

    def _name(self, name: str, kind: SpanKind) -> bytes:
        """Return the fields of name and kind, from now on from the cache."""
        named = text_field(_NAME, name) + _KIND[kind]
        if len(self._names) < _MAX_NAMES and len(name) <= _MAX_CACHED_CHARS:
            self._names[name] = kind, named
        return named

    def _encode_known(self, known: KnownAttributes) -> bytes:
        known.encoded = self._attributes.encode(known)
        return known.encoded

    def _encoders(self, keys: VaryingKeys, kinds: tuple[type, ...]) -> tuple[Callable[[Any], bytes], ...]:
        """Return what encodes values of these types, from now on from the keys."""
        made = tuple(map(self._attributes.value_encoder, keys.keys, kinds))
        keys.encoders[kinds] = made
        return made


class SpanBatchEncoder(BatchEncoder[ReadableSpan | FastSpan]):
    """Encodes batches of spans."""

    def __init__(self) -> None:
        self._spans = SpanEncoder()
        super().__init__(self._spans.encode, _encode_by_sdk, _parts_of)

    def offer_known_early(self, offer: Callable[[EncodedItem], None]) -> TakeKnown:
        """Return what offers spans with known attributes, encoded."""
        return self._spans.offer_known(self.head_of, offer)


def make_span_batch_encoder() -> SpanBatchEncoder:
    """Return an encoder of batches of spans."""
    return SpanBatchEncoder()


def _encode_by_sdk(spans: Sequence[ReadableSpan | FastSpan]) -> Any:
    return encode_spans([each.readable() if isinstance(each, FastSpan) else each for each in spans])


def _status(status: Status) -> bytes:
    if status.description is None:
        return _STATUS_ONLY[status.status_code]
    return delimited(_STATUS, text_field(_STATUS_MESSAGE, status.description) + _STATUS_CODE[status.status_code])


def _as_dict(attributes: Any) -> Mapping[str, Any]:
    """Return a dict: the SDK's own mapping is written in Python, and a loop over it costs more than a copy."""
    copied: Mapping[str, Any] = attributes.copy() if hasattr(attributes, "copy") else attributes or {}
    return copied


def _parts_of(request: Any) -> Parts:
    of_resource = request.resource_spans[0]
    of_scope = of_resource.scope_spans[0]
    return Parts(of_resource, of_scope, of_scope.spans[0])
