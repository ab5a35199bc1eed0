"""How deep JSON may be nested, in both directions, and how much of it may be decoded on the event loop.

Input: bytes that may or may not be JSON. Output: a decision, without decoding anything. The bounds
are the gateway's own: what the interpreter's recursion limit allows differs between Python
versions.
"""

from array import array
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 200
"""Levels of arrays and objects within each other. Requests and responses of real clients have fewer than 20."""

INLINE_BYTES: Final = 256 * 1024
"""Any JSON up to this size is decoded within some 20 ms, whatever is in it."""

_LONG_TEXT_BYTES: Final = 4 * 1024 * 1024
_MAX_VALUES: Final = 20_000

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[{]}")


class NestedTooDeeplyError(ValueError):
    """The JSON has more than `MAX_DEPTH` levels."""


def check_depth(text: bytes) -> None:
    """Raise `NestedTooDeeplyError` where arrays and objects of valid JSON are nested more than `MAX_DEPTH` levels deep."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    if b"\\" in text:
        # Without escaped quotes, every second piece between quotes is outside of strings.
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(text.split(b'"')[::2])
    steps = array("b", outside.translate(_STEPS, _NO_BRACKETS))
    if max(accumulate(steps), default=0) > MAX_DEPTH:
        raise NestedTooDeeplyError(f"more than {MAX_DEPTH} levels")


def is_light(text: bytes) -> bool:
    """Whether decoding `text` is certain not to block the event loop: it is short, or it is a few long strings."""
    if len(text) <= INLINE_BYTES:
        return True
    if len(text) > _LONG_TEXT_BYTES or not text.isascii():
        return False
    # Brackets and commas inside of strings are counted too: such a text is only decoded elsewhere.
    return text.count(b",") + text.count(b"[") + text.count(b"{") <= _MAX_VALUES
