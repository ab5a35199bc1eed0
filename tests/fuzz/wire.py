"""A strict reader of HTTP/1.1 responses: whatever is not exactly as RFC 9112 wants it is an error.

It is written for this purpose and shares no code with the gateway's server, so that a defect there
cannot hide here.
"""

import asyncio
import re
from typing import Final

import msgspec

from tests.fuzz.inputs import Headers

MAX_RESPONSE_BYTES: Final = 16 * 1024 * 1024

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\x20-\x7e]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_CHUNK: Final = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")
_NO_BODY: Final = frozenset({204, 304})


class BadResponseError(Exception):
    """The bytes are not an HTTP response, or end in the middle of one."""


class Response(msgspec.Struct, frozen=True):
    """One final response. Header names are in lower case."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the header's value; None where it is missing."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def closes(self) -> bool:
        """Whether the server closes the connection after it."""
        return (self.header(b"connection") or b"").lower() == b"close"


async def read_head(reader: asyncio.StreamReader) -> Response | None:
    """Return the head of the next final response, its body empty; None where the connection ends before its first byte."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return None
            raise BadResponseError(f"the connection ends inside a head: {error.partial[:200]!r}") from None
        except asyncio.LimitOverrunError:
            raise BadResponseError("the head has no end") from None
        response = _parse_head(head)
        if response.status >= 200:
            return response


async def read_response(reader: asyncio.StreamReader, method: str | None) -> Response | None:
    """Return the next final response; None where the connection ends before its first byte."""
    head = await read_head(reader)
    return None if head is None else await read_body(reader, head, method)


async def read_body(reader: asyncio.StreamReader, head: Response, method: str | None) -> Response:
    """Return the response with its body."""
    lengths = [value for name, value in head.headers if name == b"content-length"]
    codings = [value for name, value in head.headers if name == b"transfer-encoding"]
    if method == "HEAD" or head.status in _NO_BODY:
        return head
    if len(lengths) + len(codings) != 1:
        raise BadResponseError(f"the body's framing is not clear: {head.headers!r}")
    try:
        if codings:
            body = await _read_chunks(reader)
        else:
            body = await reader.readexactly(int(lengths[0]))
    except asyncio.IncompleteReadError as error:
        raise BadResponseError(f"the body of a {head.status} ends early: {error.partial[-200:]!r}") from None
    return Response(head.status, head.headers, body)


def _parse_head(head: bytes) -> Response:
    lines = head[:-4].split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(lines[0])
    if status_line is None:
        raise BadResponseError(f"not a status line: {lines[0][:200]!r}")
    headers: Headers = []
    for line in lines[1:]:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadResponseError(f"not a header: {line[:200]!r}")
        headers.append((field[1].lower(), field[2]))
    for name, value in headers:
        if name == b"content-length" and _LENGTH.fullmatch(value) is None:
            raise BadResponseError(f"not a length: {value!r}")
        if name == b"transfer-encoding" and value != b"chunked":
            raise BadResponseError(f"not a transfer coding of the gateway: {value!r}")
    return Response(int(status_line[1]), headers, b"")


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        size_line = await reader.readuntil(b"\r\n")
        size = _CHUNK.fullmatch(size_line)
        if size is None:
            raise BadResponseError(f"not the size of a chunk: {size_line[:200]!r}")
        part = await reader.readexactly(int(size[1], 16) + 2)
        if part[-2:] != b"\r\n":
            raise BadResponseError(f"not the end of a chunk: {part[-200:]!r}")
        if part == b"\r\n":
            return b"".join(parts)
        parts.append(part[:-2])
