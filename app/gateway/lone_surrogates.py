r"""LONE SURROGATES: makes JSON whose strings hold half of a UTF-16 pair (`\ud83d` alone) readable for the strict decoder, and back.

RFC 8259, 8.2 calls such text well formed; a client that cuts text between code units sends it. In: JSON bytes. Out: the same bytes with each
lone escape replaced by a mark of the same length, and the means to put the escapes back.
"""

import re
from typing import Final

# One escape of a string at a time, so that an escaped backslash is never taken for the beginning of the next one.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|[^u]|u)", re.DOTALL
)
_MARKS: Final = tuple(b"\x7f" + bytes([letter]) for letter in b"0123456789")


def mask(text: bytes) -> tuple[bytes, bytes] | None:
    """Return the text with lone surrogates masked, and the mark that stands for their backslash and `u`; None without any."""
    mark = next((mark for mark in _MARKS if mark not in text), None)
    if mark is None:
        return None

    def replace(found: re.Match[bytes]) -> bytes:
        lone: bytes | None = found[1]
        return found[0] if lone is None else mark + lone[1:]

    masked = _ESCAPE.sub(replace, text)
    return None if masked == text else (masked, mark)


def unmask(text: bytes, mark: bytes) -> bytes:
    """Put the escapes back."""
    return text.replace(mark, b"\\u")
