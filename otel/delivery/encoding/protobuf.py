"""Writes protobuf's wire format without building messages, for the few shapes that most of OTLP consists of.

Building protobuf objects costs several times as much as writing their bytes, and holds the
interpreter meanwhile. A value that is no scalar raises `UnsupportedValueError`: the SDK's encoder
then encodes its item.

Format: protobuf.dev/programming-guides/encoding; fields of
`opentelemetry/proto/common/v1/common.proto`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from struct import Struct
from typing import Any, Final

_INT64_MIN: Final = -(1 << 63)
_INT64_MAX: Final = (1 << 63) - 1
_UINT64: Final = (1 << 64) - 1
_ONE_BYTE: Final = 0x80
_MAX_CACHED: Final = 4_096
"""More pairs of key and value than bounded attributes have; a bound, so that unbounded ones cannot fill the memory."""

_MAX_CACHED_TEXT: Final = 64
_DOUBLE_BYTES: Final = 8
_MAX_VARINT_BYTES: Final = 9
"""Of an int64 that is not negative."""

_NoneType: Final = type(None)
_NO_FIELD: Final = {None: b""}

pack_double: Final = Struct("<d").pack
pack_fixed32: Final = Struct("<I").pack
pack_fixed64: Final = Struct("<Q").pack
_pack_double_value: Final = Struct("<cd").pack


class UnsupportedValueError(Exception):
    """The SDK's encoder has to encode this value: it supports every type and raises for what cannot be encoded."""


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number >= _ONE_BYTE:
        digits.append(number & 0x7F | _ONE_BYTE)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_SMALL: Final = tuple(map(_varint, range(4_096)))
"""The varints of most lengths and token counts, which cost more to write than to look up."""

_SMALL_COUNT: Final = len(_SMALL)


def varint(number: int) -> bytes:
    """Return a varint of `0 <= number < 2**64`."""
    return _SMALL[number] if number < _SMALL_COUNT else _varint(number)


def delimited(tag: bytes, content: bytes) -> bytes:
    """Return a field of wire type 2: its tag, its length, its content."""
    return tag + varint(len(content)) + content


def framed(tag: bytes, pieces: Sequence[bytes]) -> list[bytes]:
    """Return the pieces of a field of wire type 2, whose content is these pieces: none of them is copied."""
    return [tag + varint(sum(map(len, pieces))), *pieces]


def text_field(tag: bytes, text: str | None) -> bytes:
    """Return a field of text; an empty one is protobuf's default, which is left out."""
    return delimited(tag, text.encode()) if text else b""


def any_value(value: object) -> bytes:
    """Return the content of an `AnyValue`; raises `UnsupportedValueError` for what is no text, bool, number or list of texts."""
    kind = type(value)
    if kind is str:
        return delimited(b"\x0a", value.encode())  # type: ignore[attr-defined]
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int:
        if not _INT64_MIN <= value <= _INT64_MAX:  # type: ignore[operator]
            raise UnsupportedValueError
        return b"\x18" + varint(value & _UINT64)  # type: ignore[operator]
    if kind is float:
        return b"\x21" + pack_double(value)
    if kind is tuple or kind is list:
        return delimited(b"\x2a", b"".join(delimited(b"\x0a", any_value(each)) for each in value))  # type: ignore[attr-defined]
    raise UnsupportedValueError


class _IntFields(dict[int, bytes]):
    """The fields of one key's integers, of which small ones are kept. `heads` are what precedes a varint, by its size."""

    __slots__ = ("_heads",)

    def __init__(self, heads: Sequence[bytes]) -> None:
        super().__init__()
        self._heads = heads

    def __missing__(self, value: int) -> bytes:
        number = _varint_of(value)
        field = self._heads[len(number)] + number
        if 0 <= value < _SMALL_COUNT:
            self[value] = field
        return field


def _varint_of(value: int) -> bytes:
    """Return the varint of an int64; raises `UnsupportedValueError`."""
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise UnsupportedValueError
    return _varint(value & _UINT64)


class _TextField:
    """Encodes texts of one key. What precedes a text depends on its length alone."""

    __slots__ = ("_heads", "_name", "_tag")

    def __init__(self, tag: bytes, key: str) -> None:
        self._tag = tag
        self._name = delimited(b"\x0a", key.encode())
        self._heads: dict[int, bytes] = {}

    def encode(self, value: str) -> bytes:
        text = value.encode()
        return (self._heads.get(len(text)) or self._head(len(text))) + text

    def _head(self, text_size: int) -> bytes:
        size = varint(text_size)
        value_size = 1 + len(size) + text_size
        sizes = varint(value_size)
        whole = varint(len(self._name) + 1 + len(sizes) + value_size)
        head = b"".join((self._tag, whole, self._name, b"\x12", sizes, b"\x0a", size))
        if len(self._heads) < _MAX_CACHED:
            self._heads[text_size] = head
        return head


class AttributeEncoder:
    """Encodes attributes as repeated `KeyValue` fields with the given tag. Safe from any thread."""

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._cached: dict[tuple[str, type, Any], bytes] = {}
        self._heads: dict[tuple[str, int], bytes] = {}
        self._texts: dict[str, _TextField] = {}

    def encode(self, attributes: Mapping[str, Any], *, is_varying: bool = False) -> bytes:
        """Return all fields; raises `UnsupportedValueError`.

        `is_varying`: no text in it comes again, so that it is not worth a place in the cache.
        """
        cached, heads = self._cached, self._heads
        parts = []
        for key, value in attributes.items():
            kind = type(value)
            if kind is float:
                parts.append(
                    (heads.get((key, _DOUBLE_BYTES)) or self._head(key, _DOUBLE_BYTES))
                    + _pack_double_value(b"\x21", value)
                )
                continue
            if kind is int and value >= 0:
                number = varint(value)
                size = len(number)
                if size > _MAX_VARINT_BYTES:
                    raise UnsupportedValueError
                parts += ((heads.get((key, size)) or self._head(key, size)), b"\x18", number)
                continue
            if is_varying and kind is str:
                parts.append((self._texts.get(key) or self._text_field(key)).encode(value))
                continue
            try:
                known = cached.get((key, kind, value))  # 1, 1.0 and True are equal
            except TypeError:  # a list
                known = None
            parts.append(self._encode_pair(key, kind, value) if known is None else known)
        return b"".join(parts)

    def value_encoder(self, key: str, kind: type) -> Callable[[Any], bytes]:
        """Return what encodes the field of a key for values of this exact type, many times as fast; None is no field."""
        if kind is _NoneType:
            return _NO_FIELD.__getitem__
        if kind is float:
            head = self._head(key, _DOUBLE_BYTES) + b"\x21"
            return partial(Struct(f"<{len(head)}sd").pack, head)
        if kind is int:
            return _IntFields([self._head(key, size) + b"\x18" for size in range(_MAX_VARINT_BYTES + 2)]).__getitem__
        if kind is str:
            return self._text_field(key).encode
        return partial(self._encode_one, key)

    def _encode_one(self, key: str, value: Any) -> bytes:
        return self.encode({key: value})

    def _head(self, key: str, number_bytes: int) -> bytes:
        """Return a field up to the `AnyValue`'s own tag, for a number of so many bytes."""
        if not key:  # a default, which protobuf leaves out
            raise UnsupportedValueError
        name = delimited(b"\x0a", key.encode())
        # The value's tag and length, the number's tag, the number.
        head = self._tag + varint(len(name) + 3 + number_bytes) + name + bytes((0x12, 1 + number_bytes))
        if len(self._heads) < _MAX_CACHED:
            self._heads[key, number_bytes] = head
        return head

    def _text_field(self, key: str) -> _TextField:
        """Return the encoder of a key's texts, from now on from the cache."""
        if not key:  # a default, which protobuf leaves out
            raise UnsupportedValueError
        field = _TextField(self._tag, key)
        if len(self._texts) < _MAX_CACHED:
            self._texts[key] = field
        return field

    def _encode_pair(self, key: str, kind: type, value: Any) -> bytes:
        if not key:  # a default, which protobuf leaves out
            raise UnsupportedValueError
        pair = delimited(b"\x0a", key.encode()) + delimited(b"\x12", any_value(value))
        field = delimited(self._tag, pair)
        # (1,), (1.0,) and (True,) are equal, too: of tuples, only one text is kept.
        text = value[0] if kind is tuple and len(value) == 1 else value
        is_bounded = kind is bool or (type(text) is str and len(text) <= _MAX_CACHED_TEXT)
        if is_bounded and len(self._cached) < _MAX_CACHED:
            self._cached[key, kind, value] = field
        return field
