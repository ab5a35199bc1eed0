"""Counts what is in the spans, log records and points of a protobuf body: attributes, elements of lists, events, exemplars.

An empty element of two bytes becomes objects of a hundred, too. The walk costs half a microsecond
for each, so bodies that are too small to have too many are not walked.
"""

from typing import Any, Final, TypeAlias

from console.receive.message_count import DELIMITED, MORE, after_scalar, varint
from console.store.work import MalformedError, TooLargeError

_MAX_DEPTH: Final = 128
"""The parser takes 100."""

_MIN_MESSAGE_BYTES: Final = 2

_Nested: TypeAlias = dict[int, tuple[int, "_Nested"]]
"""By the key of each field with messages: 1 where it has any number of them, else 0; then their own fields."""


def nested_fields(descriptor: Any) -> _Nested:
    """Return the fields of a message that are messages themselves."""
    return _nested(descriptor, {})


def _nested(descriptor: Any, known: dict[str, _Nested]) -> _Nested:
    found = known.get(descriptor.full_name)
    if found is None:
        found = known[descriptor.full_name] = {}  # an AnyValue is in itself
        for field in descriptor.fields:
            if field.message_type is not None:
                key = field.number << 3 | DELIMITED
                found[key] = int(field.default_value == []), _nested(field.message_type, known)
    return found


def check_nested_count(nested: _Nested, body: bytes, items: int, most: int) -> None:
    """Raise `TooLargeError` for more than `most` messages besides `items`, `MalformedError` where the body is none.

    Of a field with one message that one is not counted: sent again, it is added to the same.
    """
    if len(body) <= (items + most) * _MIN_MESSAGE_BYTES:
        return
    try:
        is_within = _is_within(nested, body, items + most)
    except IndexError:
        raise MalformedError("the body ends early") from None
    if not is_within:
        raise TooLargeError(f"the request has more than {most} attributes and other values; send smaller batches")


def _is_within(nested: _Nested, body: bytes, left: int) -> bool:  # noqa: C901  a call each would cost as much as the rest
    outer: list[tuple[int, _Nested]] = []
    end, fields, position = len(body), nested, 0
    while True:
        if position >= end:
            if not outer:
                return True
            end, fields = outer.pop()
            continue
        # Nearly all numbers are of one byte.
        key = body[position]
        position += 1
        if key >= MORE:
            key, position = varint(body, position - 1)
        if key & 7 != DELIMITED:
            position = after_scalar(body, position, key & 7)
            continue
        length = body[position]
        position += 1
        if length >= MORE:
            length, position = varint(body, position - 1)
        after = position + length
        if after > end:
            raise MalformedError("a field of the body is longer than what it is in")
        found = fields.get(key)
        if found is None:
            position = after
            continue
        left -= found[0]
        if left < 0:
            return False
        if length:
            if len(outer) == _MAX_DEPTH:
                raise MalformedError("the messages of the body are too deep in each other")
            outer.append((end, fields))
            end, fields = after, found[1]
