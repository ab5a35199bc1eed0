"""How deep JSON may be nested, in both directions, and how much of it may be decoded on the event loop.

Input: bytes that may or may not be JSON. Output: a decision, without decoding anything. The bounds
are the gateway's own: what the interpreter's recursion limit allows differs between Python
versions.
"""

import codecs
from array import array
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

MAX_DEPTH: Final = 200
"""Levels of arrays and objects within each other. Requests and responses of real clients have fewer than 20."""

INLINE_BYTES: Final = 256 * 1024
"""JSON up to this size is read within two milliseconds, unless it has many arrays, objects or halves of UTF-16 pairs."""

WINDOW_BYTES: Final = 256 * 1024
"""Long texts are checked in parts of this size: what is made of a whole one may take ten times its memory."""

_LONGEST_ESCAPE_BYTES: Final = len(r"\ud83d")
_LONG_TEXT_BYTES: Final = 512 * 1024
_SHORT_TEXT_BYTES: Final = 16 * 1024
_MOST_OBJECTS: Final = 2_000
"""Two milliseconds where each is a message; 256 KB may hold fifty times as many."""

_MOST_SURROGATES: Final = 2_000
"""Escapes of halves of UTF-16 pairs: where one of them is alone, each is looked at."""

_MAX_VALUES: Final = 20_000
_MAX_ESCAPES: Final = 20_000

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[{]}")


class NestedTooDeeplyError(ValueError):
    """The JSON has more than `MAX_DEPTH` levels."""


def check_depth(text: bytes) -> None:
    """Raise `NestedTooDeeplyError` where arrays and objects of valid JSON are nested more than `MAX_DEPTH` levels deep."""
    # Each level takes two bytes.
    if len(text) <= 2 * MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    depth, is_in_string = 0, False
    for window in windows(text):
        # Without escaped quotes, every second piece between quotes is outside of strings.
        pieces = window.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(pieces[is_in_string::2])
        is_in_string ^= len(pieces) % 2 == 0
        steps = array("b", outside.translate(_STEPS, _NO_BRACKETS))
        if max(accumulate(steps, initial=depth)) > MAX_DEPTH:
            raise NestedTooDeeplyError(f"more than {MAX_DEPTH} levels")
        depth += sum(steps)


def windows(text: bytes | memoryview) -> Iterator[bytes]:
    """Yield the text in parts that no escape crosses."""
    start = 0
    while start < len(text):
        window = bytes(text[start : start + WINDOW_BYTES])
        if start + WINDOW_BYTES < len(text):
            window = window[: _end_of_escapes(window)]
        start += len(window)
        yield window


def _end_of_escapes(window: bytes) -> int:
    """Return where a window has to end for its last escape to be in it as a whole, or not at all."""
    last = window.rfind(b"\\", len(window) - _LONGEST_ESCAPE_BYTES)
    if last < 0 or (last + 1 - len(window[: last + 1].rstrip(b"\\"))) % 2 == 0:
        # None, or an escaped backslash.
        return len(window)
    size = 2 if window[last + 1 : last + 2] not in {b"", b"u"} else _LONGEST_ESCAPE_BYTES
    return last if last + size > len(window) else len(window)


def check_utf8(text: bytes) -> None:
    """Raise UnicodeDecodeError where the text is not UTF-8; its `start` is the place in the whole text."""
    if len(text) <= WINDOW_BYTES:
        text.decode()
        return
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(text), WINDOW_BYTES):
        held_back = len(decoder.getstate()[0])
        window = text[start : start + WINDOW_BYTES]
        try:
            decoder.decode(window, final=start + WINDOW_BYTES >= len(text))
        except UnicodeDecodeError as error:
            at = start - held_back
            raise UnicodeDecodeError("utf-8", text, at + error.start, at + error.end, error.reason) from None


def is_light(text: bytes) -> bool:
    """Whether reading `text` takes two milliseconds at most: it is short, or it is a few long strings.

    To decide takes one millisecond at most. What strings hold is counted too: such a text is only read elsewhere.
    """
    if len(text) <= _SHORT_TEXT_BYTES:
        return True
    if len(text) > _LONG_TEXT_BYTES:
        return False
    objects, escapes = text.count(b"[") + text.count(b"{"), text.count(b"\\")
    if objects > _MOST_OBJECTS:
        return False
    if escapes > _MOST_SURROGATES and text.count(rb"\ud") + text.count(rb"\uD") > _MOST_SURROGATES:
        return False
    if len(text) <= INLINE_BYTES:
        return True
    return escapes <= _MAX_ESCAPES and text.isascii() and text.count(b",") + objects <= _MAX_VALUES
