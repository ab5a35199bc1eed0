"""Decodes a compressed request body while it arrives, in bounded pieces.

An unknown coding is 415, data that does not match the header is 400, more than the bound is 413.
What was decoded is the only copy: neither the compressed bytes are held nor what comes out between
two codings. Between two pieces other requests run, so that no input blocks the event loop.
"""

import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from app.errors import BodyTooLargeError, InvalidRequestError, UnsupportedCodingError
from app.gateway.capacity.growing_bytes import PIECE_BYTES, GrowingBytes
from app.http.header_values import header_values
from otel.instrument.asgi import Scope

ACCEPTED: Final = b"gzip, deflate"
"""For the header `Accept-Encoding` of a 415."""

_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_MAX_CODINGS: Final = 2
_MAX_NAME_CHARACTERS: Final = 20
_GZIP: Final = 16 + zlib.MAX_WBITS
_ZLIB: Final = zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_HEADER_BYTES: Final = 2
# Of one compressed body; each costs a decompressor, and an empty one takes 20 bytes.
_MAX_MEMBERS: Final = 1_000


def content_codings(scope: Scope) -> tuple[str, ...]:
    """Return the codings of the body in the order in which they were applied; raises `UnsupportedCodingError`."""
    values = header_values(scope, b"content-encoding")
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


class BodyDecoder:
    """Undoes the codings of one body; `hold` gets the size of what was decoded, and raises where there is no room.

    `let_others_run` is awaited after each piece of work of some milliseconds at most.
    """

    def __init__(
        self,
        codings: tuple[str, ...],
        *,
        max_bytes: int,
        hold: Callable[[int], None],
        let_others_run: Callable[[], Awaitable[None]],
    ) -> None:
        self._max_bytes = max_bytes
        self._stages = [_Coding(coding, max_bytes) for coding in reversed(codings)]
        self._hold = hold
        self._let_others_run = let_others_run
        self._whole = GrowingBytes()
        self._worked_bytes = 0

    async def add(self, data: bytes) -> None:
        """Decode the next bytes; raises `InvalidRequestError`, `BodyTooLargeError`, and what `hold` raises."""
        await self._pass_on(data, 0)

    def end(self) -> bytes:
        """Return the decoded body; raises `InvalidRequestError` where a coding has not ended."""
        for stage in self._stages:
            stage.end()
        return self._whole.take()

    async def _pass_on(self, data: bytes, depth: int) -> None:
        """Give bytes to the coding at `depth`, and what it makes of them to the next one."""
        if depth == len(self._stages):
            if self._whole.size + len(data) > self._max_bytes:
                raise _too_large(self._max_bytes)
            self._hold(self._whole.size + len(data))
            self._whole.add(data)
            return
        for part, worked_bytes in self._stages[depth].decode(data):
            self._worked_bytes += worked_bytes
            if part:
                await self._pass_on(part, depth + 1)
            if self._worked_bytes >= PIECE_BYTES:
                self._worked_bytes = 0
                await self._let_others_run()


class _Coding:
    """One coding of a body: one member after the other, as the format allows."""

    def __init__(self, coding: str, max_bytes: int) -> None:
        self._coding = coding
        self._max_bytes = max_bytes
        self._window_bits: int | None = None if coding == "deflate" else _GZIP
        self._beginning = b""
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._size = 0

    def decode(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield what comes out of the next bytes, in pieces, each with how many bytes were worked on."""
        if self._window_bits is None:
            # RFC 9110 means the zlib format; some clients send the bare stream. The first two bytes differ.
            data, self._beginning = self._beginning + data, b""
            if len(data) < _HEADER_BYTES:
                self._beginning = data
                return
            self._window_bits = _ZLIB if _has_zlib_header(data) else _RAW_DEFLATE
        while data:
            member = self._member = self._member or self._next_member(self._window_bits)
            try:
                part = member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise self._invalid() from None
            self._size += len(part)
            if self._size > self._max_bytes:
                raise _too_large(self._max_bytes)
            worked_bytes = len(data) + len(part)
            data = member.unconsumed_tail
            if member.eof:
                data, self._member = member.unused_data, None
            yield part, worked_bytes
        # What a member holds back comes with the bytes that follow, or at its end.
        while self._member is not None and (part := self._rest_of(self._member)):
            yield part, len(part)

    def end(self) -> None:
        """Raise `InvalidRequestError` unless the last member is complete."""
        if self._beginning or self._member is not None or not self._members:
            raise InvalidRequestError(f"The request body ends before its content coding {self._coding!r} does.")

    def _rest_of(self, member: "zlib._Decompress") -> bytes:
        """Return what is decoded and was too much for one piece."""
        try:
            part = member.decompress(b"", PIECE_BYTES)
        except zlib.error:
            raise self._invalid() from None
        self._size += len(part)
        if self._size > self._max_bytes:
            raise _too_large(self._max_bytes)
        if member.eof:
            self._member = None
        return part

    def _next_member(self, window_bits: int) -> "zlib._Decompress":
        """Begin a member; raises `InvalidRequestError` after the last one that is allowed."""
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise self._invalid()
        return zlib.decompressobj(window_bits)

    def _invalid(self) -> InvalidRequestError:
        return InvalidRequestError(f"The request body is not in its content coding {self._coding!r}.")


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The decoded request body is over the limit of {max_bytes} bytes.")


def _has_zlib_header(body: bytes) -> bool:
    """Whether the first two bytes are those of the zlib format (RFC 1950, 2.2)."""
    return body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0


def _shown(coding: str) -> str:
    """Return a coding's name as it may be repeated to the client."""
    is_name = coding.replace("-", "").isalnum() and coding.isascii() and len(coding) <= _MAX_NAME_CHARACTERS
    return repr(coding) if is_name else "of an unknown name"


_ADVICE: Final = "which the gateway does not decode: send it without one, or as gzip or deflate."
