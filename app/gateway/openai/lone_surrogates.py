r"""Makes JSON whose strings hold half of a UTF-16 pair (`\ud83d` alone) readable for the strict decoder, and back.

RFC 8259, 8.2 calls such text well formed; a client that cuts text between code units sends it.
Input: JSON bytes. Output: the same bytes with each lone escape replaced by a mark of the same
length, and the means to put the escapes back.
"""

import re
from typing import Final

# For text without escaped backslashes, so that every backslash begins an escape.
_LONE: Final = re.compile(
    rb"\\u(?:([dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)([dD][c-fC-F][0-9a-fA-F]{2}))"
)
_MARKS: Final = tuple(b"\x7f" + bytes([letter]) for letter in b"0123456789")


def mask(text: bytes) -> tuple[bytes, bytes] | None:
    """Return the text with lone surrogates masked, and the mark that stands for their backslash and `u`; None without any."""
    free = [mark for mark in _MARKS if mark not in text]
    if len(free) < 2:  # noqa: PLR2004  one for surrogates, one for escaped backslashes
        return None
    mark, backslashes = free[:2]
    single = text.replace(b"\\\\", backslashes)
    # In place: a list of what stands between millions of escapes would take ten times the memory of the text.
    masked = bytearray(single)
    count = 0
    for found in _LONE.finditer(single):
        masked[found.start() : found.start() + 2] = mark
        count += 1
    del single
    if not count:
        return None
    return bytes(masked.replace(backslashes, b"\\\\") if backslashes in masked else masked), mark


def unmask(text: bytes, mark: bytes) -> bytes:
    """Put the escapes back."""
    return text.replace(mark, b"\\u")
