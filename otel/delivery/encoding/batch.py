"""Encodes batches of spans or log records as an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`.

Both have the same shape and the same field numbers: resource, then scope, then items. The SDK's
encoder encodes what is rare: the head, which stays the same, and items with unsupported values.

Format: `opentelemetry/proto/{trace,logs}/v1/*.proto`. The tests compare with the SDK's encoder.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.delivery.encoding.protobuf import UnsupportedValueError, delimited, text_field, varint

_RESOURCE_ITEMS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_ITEMS: Final = b"\x12"
_SCOPE: Final = b"\x0a"
_ITEM: Final = b"\x12"
_MAX_HEADS: Final = 256
_SCHEMA_URL: Final = b"\x1a"


class Item(Protocol):
    """What spans and log records have in common."""

    @property
    def resource(self) -> Resource:
        """Who made it."""

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None:
        """By which instrumentation."""


ItemT = TypeVar("ItemT", bound=Item)


class Parts(NamedTuple):
    """The three levels of the SDK's request for one item, as protobuf messages."""

    of_resource: Any
    of_scope: Any
    item: Any


class _Head(NamedTuple):
    """The bytes before and after the items of one resource and scope."""

    resource: Resource
    scope: InstrumentationScope | None
    before_scope: bytes
    before_items: bytes
    after_items: bytes
    after_scope: bytes


class _Group(NamedTuple):
    """The items of one resource and scope."""

    head: _Head
    parts: list[bytes]


EncodedItem: TypeAlias = tuple[_Head, bytes]
"""The head of an item's resource and scope, and its message. No item is a plain tuple itself."""


class BatchEncoder(Generic[ItemT]):
    """Encodes batches, and caches the heads of resources and scopes. Safe from any thread.

    `encode_item` returns an item's message or raises `UnsupportedValueError`; `encode_by_sdk` is the SDK's encoder for any batch, and `parts_of`
    takes apart what that returns for one item.
    """

    def __init__(
        self,
        encode_item: Callable[[ItemT], bytes],
        encode_by_sdk: Callable[[Sequence[ItemT]], Any],
        parts_of: Callable[[Any], Parts],
    ) -> None:
        self._encode_item = encode_item
        self._encode_by_sdk = encode_by_sdk
        self._parts_of = parts_of
        self._heads: dict[tuple[int, int], _Head] = {}

    def offer_early(self, offer: Callable[[EncodedItem | ItemT], None]) -> Callable[[ItemT], None]:
        """Return what offers an item encoded, or as it is where the SDK has to encode it. It raises only what `offer` raises.

        In one function, because it runs for each item. Items of one `origin` have the same resource and scope.
        """
        encode_item = self._encode_item
        latest: tuple[object, _Head | None] = (None, None)

        def offer_item(item: ItemT) -> None:
            nonlocal latest
            try:
                origin, head = latest
                if item.origin is not origin:  # type: ignore[attr-defined]  # where it has none it is offered as it is
                    origin, head = latest = item.origin, self.head_of(item)  # type: ignore[attr-defined]  # likewise
                encoded: EncodedItem | ItemT = (head, encode_item(item))  # type: ignore[assignment]  # there is a head now
            except Exception:  # noqa: BLE001  `encode` raises it again, and its caller counts it
                encoded = item
            offer(encoded)

        return offer_item

    def encode(self, items: Sequence[EncodedItem | ItemT]) -> bytes:
        """Return the request's bytes; raises what the SDK's encoder raises for an item that cannot be encoded."""
        by_resource: dict[int, dict[int, _Group]] = {}
        latest: _Head | None = None
        parts: list[bytes] = []
        for each in items:
            head, body = each if type(each) is tuple else (self.head_of(each), self._encode_one(each))  # type: ignore[arg-type]  # narrowed by its type
            if head is not latest:
                latest = head
                by_scope = by_resource.setdefault(id(head.resource), {})
                group = by_scope.get(id(head.scope))
                if group is None:
                    group = by_scope[id(head.scope)] = _Group(head, [])
                parts = group.parts
            parts += (_ITEM, varint(len(body)), body)
        return b"".join(_of_resource(list(groups.values())) for groups in by_resource.values())

    def _encode_one(self, item: ItemT) -> bytes:
        try:
            return self._encode_item(item)
        except (UnsupportedValueError, UnicodeEncodeError, struct.error, TypeError, AttributeError, OverflowError):
            body: bytes = self._parts_of(self._encode_by_sdk([item])).item.SerializeToString()
            return body

    def head_of(self, item: ItemT) -> _Head:
        """Return the head of the item's resource and scope, which it keeps alive, so that their `id`s stay theirs."""
        key = id(item.resource), id(item.instrumentation_scope)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            head = self._heads[key] = self._make_head(item)
        return head

    def _make_head(self, item: ItemT) -> _Head:
        of_resource, of_scope, _ = self._parts_of(self._encode_by_sdk([item]))
        return _Head(
            item.resource,
            item.instrumentation_scope,
            before_scope=_submessage(_RESOURCE, of_resource, "resource"),
            before_items=_submessage(_SCOPE, of_scope, "scope"),
            after_items=text_field(_SCHEMA_URL, of_scope.schema_url),
            after_scope=text_field(_SCHEMA_URL, of_resource.schema_url),
        )


def _of_resource(groups: Sequence[_Group]) -> bytes:
    """Return the items of one resource as a field of the request."""
    scopes = [
        delimited(_SCOPE_ITEMS, b"".join((head.before_items, *parts, head.after_items))) for head, parts in groups
    ]
    head = groups[0].head
    return delimited(_RESOURCE_ITEMS, b"".join((head.before_scope, *scopes, head.after_scope)))


def _submessage(tag: bytes, message: Any, field: str) -> bytes:
    return delimited(tag, getattr(message, field).SerializeToString()) if message.HasField(field) else b""
