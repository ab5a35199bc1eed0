"""The length of a long JSON string, window by window: decoding all of it would take up to five times its memory.

Input: valid JSON. Output: how many bytes of ASCII and how many other bytes of UTF-8 its text has.
Half of a UTF-16 pair counts as one half of the pair's four bytes.
"""

import json
from typing import Final

import msgspec

from app.gateway.json_bounds import WINDOW_BYTES, windows

_QUOTE: Final = ord('"')
_OTHERS: Final = bytes(range(0x80, 0x100))


def is_long_string(json: msgspec.Raw) -> bool:
    """Whether valid JSON is a string that is better not decoded."""
    view = memoryview(json)
    return view.nbytes > WINDOW_BYTES and view[0] == _QUOTE


def text_bytes(string: msgspec.Raw) -> tuple[int, int]:
    """Return the bytes of ASCII and the other bytes of the text of a string, as UTF-8 has them."""
    ascii_bytes = other_bytes = 0
    for window in windows(memoryview(string)[1:-1]):
        plain = window if window.isascii() else window.translate(None, _OTHERS)
        other_bytes += len(window) - len(plain)
        if b"\\" not in plain:
            ascii_bytes += len(plain)
            continue
        # Reading the escapes takes two milliseconds at most. Looking for each kind of them takes ten.
        text = json.loads(f'"{plain.decode("ascii")}"')
        of_ascii = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
        ascii_bytes += of_ascii
        if of_ascii < len(text):
            encoded, whole = len(text.encode("utf-8", "surrogatepass")), len(text.encode("utf-8", "ignore"))
            # The rest are halves of pairs, of three bytes each.
            other_bytes += whole - of_ascii + (encoded - whole) // 3 * 2
    return ascii_bytes, other_bytes
