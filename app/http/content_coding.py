"""Decodes a compressed request body in bounded pieces.

An unknown coding is 415, data that does not match the header is 400, more than the bound is 413.
Between two pieces other requests run, so that no input blocks the event loop.
"""

import asyncio
import zlib
from collections.abc import Callable
from typing import Final

from app.errors import BodyTooLargeError, InvalidRequestError, UnsupportedCodingError
from app.gateway.capacity.offload import join
from otel.instrument.asgi import Scope

ACCEPTED: Final = b"gzip, deflate"
"""For the header `Accept-Encoding` of a 415."""

_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_MAX_CODINGS: Final = 2
_MAX_NAME_CHARACTERS: Final = 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_PIECE_BYTES: Final = 256 * 1024
# Of one compressed body; each costs a decompressor, and an empty one takes 20 bytes.
_MAX_MEMBERS: Final = 1_000


def content_codings(scope: Scope) -> tuple[str, ...]:
    """Return the codings of the body in the order in which they were applied; raises `UnsupportedCodingError`."""
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"content-encoding"]
    if not values:
        return ()
    names = [name.strip().lower() for name in b",".join(values).decode("latin-1").split(",")]
    codings = tuple(name for name in names if name not in {"", "identity"})
    for coding in codings:
        if coding not in _CODINGS:
            raise UnsupportedCodingError(f"The request body has the content coding {_shown(coding)}, {_ADVICE}")
    if len(codings) > _MAX_CODINGS:
        raise UnsupportedCodingError(f"The request body has {len(codings)} content codings, {_ADVICE}")
    return codings


async def decode_body(body: bytes, codings: tuple[str, ...], *, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the decoded body; `hold` gets the memory that it takes, and raises where there is no room."""
    for coding in reversed(codings):
        body = await _inflate(body, coding, max_bytes=max_bytes, hold=hold)
    return body


async def _inflate(body: bytes, coding: str, *, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Undo one coding."""
    window_bits = _GZIP
    if coding == "deflate":
        # RFC 9110 means the zlib format; some clients send the bare stream.
        window_bits = _ZLIB if _has_zlib_header(body) else _RAW_DEFLATE
    parts: list[bytes] = []
    size = position = 0
    try:
        for _ in range(_MAX_MEMBERS):
            decompressor = zlib.decompressobj(window_bits)
            tail = b""
            while not decompressor.eof:
                piece = tail
                if not piece:
                    piece = body[position : position + _PIECE_BYTES]
                    position += len(piece)
                part = decompressor.decompress(piece, _PIECE_BYTES)
                tail = decompressor.unconsumed_tail
                if not part and not piece:
                    raise InvalidRequestError(f"The request body ends before its content coding {coding!r} does.")
                size += len(part)
                if size > max_bytes:
                    raise BodyTooLargeError(f"The decoded request body is over the limit of {max_bytes} bytes.")
                hold(size)
                parts.append(part)
                if len(piece) == _PIECE_BYTES or len(part) == _PIECE_BYTES:
                    await asyncio.sleep(0)
            position -= len(decompressor.unused_data)
            if position == len(body):
                return await join(parts)
    except zlib.error:
        pass
    raise InvalidRequestError(f"The request body is not in its content coding {coding!r}.")


def _has_zlib_header(body: bytes) -> bool:
    """Whether the first two bytes are those of the zlib format (RFC 1950, 2.2)."""
    return len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


def _shown(coding: str) -> str:
    """Return a coding's name as it may be repeated to the client."""
    is_name = coding.replace("-", "").isalnum() and coding.isascii() and len(coding) <= _MAX_NAME_CHARACTERS
    return repr(coding) if is_name else "of an unknown name"


_ADVICE: Final = "which the gateway does not decode: send it without one, or as gzip or deflate."
