"""Decodes what providers send, more tolerantly than what callers may send.

The decoders are strict and fast, and skip fields that are not read. Two things that providers send are not
strict JSON: NaN and infinities (log probabilities), and text that was cut between two UTF-16 code
units. They are read as stand-ins of the same length; the caller gets the provider's bytes.
"""

import re
from typing import Final, TypeVar

import msgspec

from app.gateway.json_bounds import check_depth

T = TypeVar("T")

_BOM: Final = b"\xef\xbb\xbf"
# Negative, so that none of them passes for a count; blanks after a number are white space.
_STAND_INS: Final = ((b"-Infinity", b"-1       "), (b"Infinity", b"-1      "), (b"NaN", b"-1 "))
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_REPLACEMENT_CHARACTER: Final = rb"\\ufffd"


def decode_document(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a whole document; raises ValueError for what is not JSON, not UTF-8, nested too deeply, or of another type."""
    data = data.removeprefix(_BOM)
    check_depth(data)
    if not data.isascii():
        # The decoder skips over what it does not read, without a look at the encoding.
        str(data, "utf-8")
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return decoder.decode(_strict(data))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _strict(data: bytes) -> bytes:
    """Return the document with stand-ins for what strict JSON does not know; the same where there is none."""
    for word, number in _STAND_INS:
        data = data.replace(word, number)
    return _SURROGATE.sub(_REPLACEMENT_CHARACTER, data)
