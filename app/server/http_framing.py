"""Finds the end of an HTTP/1 request's body, by Content-Length or by chunks; checks and frames what is sent.

Chunk extensions and trailer fields are checked, counted against one budget per message and dropped:
a trailer is never a header (RFC 9110, section 6.5.1).
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Literal, Protocol, TypeAlias

from app.server.http_head import Framing, RequestRefusedError

_Phase: TypeAlias = Literal["size", "data", "data end", "trailer"]

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})([\t ]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
"""White space before an extension is skipped (RFC 9112, section 7.1.1)."""

_SIZE_START: Final = re.compile(rb"[0-9A-Fa-f]{1,16}([\t ]*(;[\t\x20-\x7e\x80-\xff]*\r?)?|\r)")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n")
_CONTROLS: Final = bytes((*range(0x20), 0x7F))
_FORBIDDEN_IN_NAME: Final = _CONTROLS + b'()<>@,;:[]={} \\"'
_FORBIDDEN_IN_VALUE: Final = _CONTROLS.replace(b"\t", b"")
_CRLF: Final = b"\r\n"
_MAX_SIZE_BYTES: Final = 18
_LOOK_BYTES: Final = 64
"""A longer start of a line is checked once its end has arrived, not with every byte."""

_LINES_AT_ONCE: Final = 250
"""Less than a millisecond; a read of tiny chunks has forty times as many."""

COPIED_BYTES: Final = 4 * 1024
"""A larger piece is not copied to be framed: it would be held twice while its client does not read."""


class Body(Protocol):
    """A body that is being received."""

    @property
    def is_complete(self) -> bool:
        """Whether the message has ended."""

    def take(self, data: bytes, start: int, content: bytearray | None) -> int:
        """Append what `data` holds of the body to `content`, unless that is None; return the position behind it.

        Where `data` has many tiny chunks, some are left for the next call.

        Raises `RequestRefusedError` where the framing is broken or over its budget.
        """


class LengthBody:
    """A body of so many bytes."""

    __slots__ = ("_remaining_bytes",)

    def __init__(self, size_bytes: int) -> None:
        self._remaining_bytes = size_bytes

    @property
    def is_complete(self) -> bool:
        """Whether all bytes have arrived."""
        return self._remaining_bytes == 0

    def take(self, data: bytes, start: int, content: bytearray | None) -> int:
        """Take what belongs to the body."""
        end = min(len(data), start + self._remaining_bytes)
        if content is not None:
            content += data[start:end]
        self._remaining_bytes -= end - start
        return end


class ChunkedBody:
    """A body in chunks; `budget_bytes` bounds all that is neither content nor its framing."""

    __slots__ = ("_budget_bytes", "_line", "_phase", "_remaining_bytes", "is_complete")

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._phase: _Phase = "size"
        self._line = b""
        self._remaining_bytes = 0
        self.is_complete = False

    def take(self, data: bytes, start: int, content: bytearray | None) -> int:
        """Take what belongs to the body, or as much of it as is quick; the rest is left for the next call."""
        at = start
        lines = 0
        while at < len(data) and not self.is_complete and lines < _LINES_AT_ONCE:
            if self._phase == "data":
                end = min(len(data), at + self._remaining_bytes)
                if content is not None:
                    content += data[at:end]
                self._remaining_bytes -= end - at
                at = end
                if self._remaining_bytes:
                    break
                self._phase = "data end"
                if data.startswith(_CRLF, at):
                    # Nearly always: no need to collect a line.
                    self._phase = "size"
                    at += len(_CRLF)
                continue
            found = data.find(b"\n", at)
            if found < 0:
                self._keep(data[at:])
                return len(data)
            lines += 1
            line, self._line = self._line + data[at : found + 1], b""
            at = found + 1
            self._take_line(line)
        return at

    def _take_line(self, line: bytes) -> None:
        """Take a line that is complete."""
        if self._phase == "size":
            match = _SIZE.fullmatch(line)
            if match is None:
                raise _broken()
            if match[2] is not None:
                self._spend(len(match[2]))
            self._remaining_bytes = int(match[1], 16)
            self._phase = "data" if self._remaining_bytes else "trailer"
        elif self._phase == "data end":
            if line != _CRLF:
                raise _broken()
            self._phase = "size"
        elif line == _CRLF:
            self.is_complete = True
        else:
            self._spend(len(line))
            if _FIELD.fullmatch(line) is None:
                raise _broken()

    def _keep(self, piece: bytes) -> None:
        """Keep a line whose end is not there yet, unless it can only be wrong."""
        self._line += piece
        if self._phase == "data end" and self._line != b"\r":
            raise _broken()
        if self._phase == "size" and len(self._line) <= _LOOK_BYTES and _SIZE_START.fullmatch(self._line) is None:
            raise _broken()
        if len(self._line) > self._budget_bytes + _MAX_SIZE_BYTES:
            self._spend(len(self._line))

    def _spend(self, size: int) -> None:
        self._budget_bytes -= size
        if self._budget_bytes < 0:
            raise RequestRefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                "headers_too_large",
                "The request's chunk extensions and trailer fields are too large.",
            )


def body_of(framing: Framing, budget_bytes: int) -> Body:
    """Return the reader of a body with this framing."""
    return ChunkedBody(budget_bytes) if framing == "chunked" else LengthBody(framing)


def _broken() -> RequestRefusedError:
    return RequestRefusedError(HTTPStatus.BAD_REQUEST, "invalid_http", "Invalid HTTP request received.")


def checked_fields(fields: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
    """Return a response's fields with names in lower case, without a framing: that is the connection's own.

    Raises RuntimeError where names or values have characters that HTTP forbids.
    """
    if not fields:
        return fields
    # All at once, and by what is left without the forbidden characters: a pattern takes several times as long.
    names, values = map(b"".join, zip(*fields, strict=True))
    if names.translate(None, _FORBIDDEN_IN_NAME) != names or values.translate(None, _FORBIDDEN_IN_VALUE) != values:
        raise RuntimeError("A response header has characters that HTTP forbids.")
    if names != (lower := names.lower()):
        fields = [(name.lower(), value) for name, value in fields]
    if b"transfer-encoding" in lower:
        fields = [field for field in fields if field[0] != b"transfer-encoding"]
    return fields


def asks_to_close(fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a response's fields end the connection."""
    options = [value.lower().split(b",") for name, value in fields if name == b"connection"]
    return b"close" in [token.strip() for tokens in options for token in tokens]


def small_chunk(body: bytes | memoryview) -> bytes:
    """Return a piece, not empty and not the last, as one chunk."""
    return b"".join((b"%x\r\n" % len(body), body, b"\r\n"))


def chunked(body: bytes | memoryview, *, is_last: bool) -> tuple[bytes | memoryview, ...]:
    """Return a piece in chunked framing, ready to be written; a small one as one."""
    end = b"0\r\n\r\n" if is_last else b""
    if not body:
        return (end,) if end else ()
    if len(body) <= COPIED_BYTES:
        return (small_chunk(body) + end,)
    return (b"%x\r\n" % len(body), body, b"\r\n" + end)
