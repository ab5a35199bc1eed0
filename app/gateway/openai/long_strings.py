"""The length of a long JSON string, from its bytes: decoding it would take up to five times its memory.

Input: valid JSON. Output: how many bytes of ASCII and how many other bytes of UTF-8 its text has.
Half of a UTF-16 pair counts as one half of the pair's four bytes.
"""

import re
from typing import Final

import msgspec

from app.gateway.json_bounds import WINDOW_BYTES, windows

_QUOTE: Final = ord('"')
_ASCII: Final = re.compile(rb"\\u00[0-7][0-9a-fA-F]")
_TWO_BYTES: Final = re.compile(rb"\\u0(?:0[89a-fA-F]|[1-7][0-9a-fA-F])[0-9a-fA-F]")
_HALF_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_OTHERS: Final = bytes(range(0x80, 0x100))
_UNICODE_BYTES: Final = 6
_SHORT_BYTES: Final = 2


def is_long_string(json: msgspec.Raw) -> bool:
    """Whether valid JSON is a string that is better not decoded."""
    view = memoryview(json)
    return view.nbytes > WINDOW_BYTES and view[0] == _QUOTE


def text_bytes(string: msgspec.Raw) -> tuple[int, int]:
    """Return the bytes of ASCII and the other bytes of the text of a string, as UTF-8 has them."""
    ascii_bytes = other_bytes = 0
    for window in windows(memoryview(string)[1:-1]):
        plain_ascii = len(window) if window.isascii() else len(window.translate(None, _OTHERS))
        other_bytes += len(window) - plain_ascii
        ascii_bytes += plain_ascii
        if b"\\" not in window:
            continue
        rest = window.replace(b"\\\\", b"")
        ascii_bytes -= (len(window) - len(rest)) // _SHORT_BYTES
        escapes, unicode = rest.count(b"\\"), rest.count(b"\\u")
        ascii_bytes -= (escapes - unicode) * (_SHORT_BYTES - 1) + unicode * _UNICODE_BYTES
        if unicode:
            of_ascii, of_two, of_half = (len(kind.findall(rest)) for kind in (_ASCII, _TWO_BYTES, _HALF_PAIR))
            ascii_bytes += of_ascii
            other_bytes += 2 * (of_two + of_half) + 3 * (unicode - of_ascii - of_two - of_half)
    return ascii_bytes, other_bytes
