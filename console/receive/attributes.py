"""OTLP's attribute values as they are stored.

Source: `opentelemetry/proto/common/v1/common.proto`. Of a key that occurs twice the last value
counts, which the specification leaves open.
"""

from collections.abc import Iterable
from typing import Any, Final

from console.store.values import EMPTY, Value, encode, encode_sorted, tagged_bytes, tagged_float

_SCALARS: Final = frozenset({"string_value", "int_value", "bool_value"})


def attributes_of(pairs: Iterable[Any]) -> dict[str, Value]:
    """Return the values of `KeyValue` messages by key."""
    found: dict[str, Value] = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        # Most are texts, and a call each would cost as much as the rest.
        found[pair.key] = value.string_value if kind == "string_value" else _value(value, kind)
    return found


def value_of(message: Any) -> Value:
    """Return the value of an `AnyValue` message; None where it has none."""
    return _value(message, message.WhichOneof("value"))


def encoded(pairs: Any) -> str:
    """Return attributes as JSON."""
    return encode(attributes_of(pairs)) if pairs else EMPTY


def encoded_sorted(pairs: Any) -> str:
    """Return attributes as JSON with the keys in their order."""
    return encode_sorted(attributes_of(pairs)) if pairs else EMPTY


def _value(message: Any, kind: str | None) -> Value:
    if kind is not None and kind in _SCALARS:
        scalar: Value = getattr(message, kind)
        return scalar
    if kind == "double_value":
        return tagged_float(message.double_value)
    if kind == "array_value":
        return [value_of(each) for each in message.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in message.kvlist_value.values}
    if kind == "bytes_value":
        return tagged_bytes(message.bytes_value)
    return None
