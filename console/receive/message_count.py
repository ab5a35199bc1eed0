"""Counts the messages of a protobuf body before it is parsed: one of two bytes becomes an object of a hundred.

Only the levels down to spans, log records and points are walked, so it costs a microsecond for
each of these; what is in them: `nested_count.py`. Format: the encoding of Protocol Buffers.
"""

from typing import Final

from console.store.records import Signal
from console.store.work import MalformedError, TooLargeError

_VARINT: Final = 0
_FIXED64: Final = 1
DELIMITED: Final = 2
_FIXED32: Final = 5
MORE: Final = 0x80
_MAX_SHIFT: Final = 63

_PATHS: Final[dict[Signal, tuple[frozenset[int], ...]]] = {
    "traces": (frozenset({1}), frozenset({2}), frozenset({2})),
    "logs": (frozenset({1}), frozenset({2}), frozenset({2})),
    # The data of a metric: gauge, sum, histogram, exponential histogram, summary; in each, the points.
    "metrics": (frozenset({1}), frozenset({2}), frozenset({2}), frozenset({5, 7, 9, 10, 11}), frozenset({1})),
}
"""The fields of the messages at each level: resource, scope, then spans, records or metrics."""


def check_message_count(signal: Signal, body: bytes, most: int) -> int:
    """Return how many messages there are, down to spans, records and points.

    Raises `TooLargeError` for more than `most`, `MalformedError` where the body is no message.
    """
    path = _PATHS[signal]
    left = most
    # Of the message that is walked at each level, the end.
    ends = [len(body)]
    position = 0
    while ends:
        if position >= ends[-1]:
            ends.pop()
            continue
        key, position = varint(body, position)
        if key & 7 != DELIMITED:
            position = after_scalar(body, position, key & 7)
            continue
        length, position = varint(body, position)
        if position + length > ends[-1]:
            raise MalformedError("a field of the body is longer than what it is in")
        if key >> 3 in path[len(ends) - 1]:
            left -= 1
            if left < 0:
                raise TooLargeError(f"the request has more than {most} messages; send smaller batches")
            if len(ends) < len(path):
                ends.append(position + length)
                continue
        position += length
    return most - left


def after_scalar(body: bytes, position: int, wire_type: int) -> int:
    """Return where a number ends."""
    if wire_type == _VARINT:
        return varint(body, position)[1]
    if wire_type == _FIXED64:
        return position + 8
    if wire_type == _FIXED32:
        return position + 4
    raise MalformedError("the body has a field of an unknown kind")


def varint(body: bytes, position: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    try:
        byte = body[position]
        if byte < MORE:
            return byte, position + 1
        number = shift = 0
        while True:
            byte = body[position]
            number |= (byte & 0x7F) << shift
            position += 1
            if byte < MORE:
                return number, position
            shift += 7
            if shift > _MAX_SHIFT:
                raise MalformedError("the body has a number of more than 64 bits")
    except IndexError:
        raise MalformedError("the body ends early") from None
