"""Encodes batches of spans or log records as an `ExportTraceServiceRequest` or `ExportLogsServiceRequest`.

Both have the same shape and the same field numbers: resource, then scope, then items. The SDK's
encoder encodes what is rare: the head, which stays the same, and items with unsupported values.

Format: `opentelemetry/proto/{trace,logs}/v1/*.proto`. The tests compare with the SDK's encoder.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.delivery.encoding.protobuf import UnsupportedValueError, delimited, text_field

_RESOURCE_ITEMS: Final = b"\x0a"
_RESOURCE: Final = b"\x0a"
_SCOPE_ITEMS: Final = b"\x12"
_SCOPE: Final = b"\x0a"
_ITEM: Final = b"\x12"
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


class BatchEncoder(Generic[ItemT]):
    """Encodes batches, and caches the head of the last resource and scope. Safe from any thread.

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
        self._head: _Head | None = None

    def encode(self, items: Sequence[ItemT]) -> bytes:
        """Return the request's bytes; raises what the SDK's encoder raises for an item that cannot be encoded."""
        if not items:
            return b""
        resource, scope = items[0].resource, items[0].instrumentation_scope
        if any(each.resource is not resource or each.instrumentation_scope is not scope for each in items):
            body: bytes = self._encode_by_sdk(items).SerializeToString()
            return body
        head = self._head
        if head is None or head.resource is not resource or head.scope is not scope:
            head = self._head = self._make_head(items[0])
        content = b"".join([delimited(_ITEM, self._encode_one(each)) for each in items])
        of_scope = delimited(_SCOPE_ITEMS, head.before_items + content + head.after_items)
        return delimited(_RESOURCE_ITEMS, head.before_scope + of_scope + head.after_scope)

    def _encode_one(self, item: ItemT) -> bytes:
        try:
            return self._encode_item(item)
        except (UnsupportedValueError, UnicodeEncodeError, struct.error, TypeError, AttributeError, OverflowError):
            body: bytes = self._parts_of(self._encode_by_sdk([item])).item.SerializeToString()
            return body

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


def _submessage(tag: bytes, message: Any, field: str) -> bytes:
    return delimited(tag, getattr(message, field).SerializeToString()) if message.HasField(field) else b""
