"""Decodes what providers send, more tolerantly than what callers may send.

The decoders are strict and fast, and skip fields that are not read. Two things that providers send are not
strict JSON: NaN and infinities (log probabilities), and text that was cut between two UTF-16 code
units. They are read as stand-ins of the same length; the caller gets the provider's bytes.
"""

import re
from typing import Final, TypeVar

import msgspec

from app.gateway.json_bounds import WINDOW_BYTES, check_depth, check_utf8

T = TypeVar("T")

_BOM: Final = b"\xef\xbb\xbf"
# Negative, so that none of them passes for a count; blanks after a number are white space.
_STAND_INS: Final = ((b"-Infinity", b"-1       "), (b"Infinity", b"-1      "), (b"NaN", b"-1 "))
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_LONGEST_WORD: Final = 9
# The end of a part that may be the beginning of such a word or escape.
_PARTIAL: Final = re.compile(
    rb"(?:-|-?I(?:n(?:f(?:i(?:n(?:it?)?)?)?)?)?|(?<!Na)Na?|\\(?:u(?:[dD][0-9a-fA-F]{0,2})?)?)\Z"
)
_REPLACEMENT_CHARACTER: Final = rb"\\ufffd"


def decode_document(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a whole document; raises ValueError for what is not JSON, not UTF-8, nested too deeply, or of another type."""
    data = data.removeprefix(_BOM)
    check_depth(data)
    if not data.isascii():
        # The decoder skips over what it does not read, without a look at the encoding.
        check_utf8(data)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decoder.decode(_strict(data))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _strict(data: bytes) -> bytes | bytearray:
    """Return the document with stand-ins for what strict JSON does not know; the same where there is none."""
    if len(data) <= WINDOW_BYTES:
        return _with_stand_ins(data)
    # In parts: a list of what stands between millions of words would take more memory than the document.
    strict = bytearray(data)
    start = 0
    while start < len(data):
        window = data[start : start + WINDOW_BYTES]
        if start + WINDOW_BYTES < len(data) and (partial := _PARTIAL.search(window, len(window) - _LONGEST_WORD)):
            window = window[: partial.start()]
        strict[start : start + len(window)] = _with_stand_ins(window)
        start += len(window)
    return strict


def _with_stand_ins(data: bytes) -> bytes:
    for word, number in _STAND_INS:
        data = data.replace(word, number)
    return _SURROGATE.sub(_REPLACEMENT_CHARACTER, data)
