"""Parses the head of an HTTP/1 request with httptools, and bounds and checks it.

Each head has a parser of its own, which sees no byte after the head: what httptools does with an
`Upgrade` offer, a `CONNECT` or a body has no effect. `app/server/http_framing.py` alone finds the
end of the message, from Content-Length and Transfer-Encoding.
"""

import re
import urllib.parse
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

import httptools

Framing: TypeAlias = Literal["chunked"] | int
"""How the body ends: in chunks, or after so many bytes."""

MAX_TARGET_BYTES: Final = 8_192
"""RFC 9112, section 3, recommends 8,000 at least. A router's cache of 1,024 paths is bounded by it."""

MAX_FIELDS: Final = 256
FIELD_BYTES: Final = 200
"""A parsed field costs so much however short it is: bytes alone do not bound memory."""

_HEAD_END: Final = b"\r\n\r\n"
_LINE_ENDS: Final = b"\r\n"
_BLANKS: Final = b" \t"
_HOST: Final = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[\w.:~!$&'()*+,;=%-]+\])(?::[0-9]*)?")
"""RFC 9110, section 7.2, and RFC 3986, section 3.2.2: no user, and nothing behind the port."""
_MAX_LENGTH_DIGITS: Final = 18
_RARE_DECIDING_FIELDS: Final = frozenset({b"transfer-encoding", b"expect"})


class RequestRefusedError(Exception):
    """The bytes are not a request that can be served; the connection ends with this status."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class RequestHead:
    """What the connection needs of a complete head. Field names are in lower case.

    `by_name` has the values by name; None where a name is there twice.
    """

    __slots__ = (
        "by_name",
        "expects_continue",
        "framing",
        "headers",
        "is_http_1_0",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
    )

    def __init__(self, method: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.method = method
        self.headers = headers
        by_name = dict(headers)
        self.by_name = by_name if len(by_name) == len(headers) else None
        self.framing: Framing = 0
        self.is_http_1_0 = False
        self.keep_alive = True
        self.expects_continue = False
        self.raw_path = b""
        self.path = ""
        self.query = b""


class HeadParser:
    """Takes the bytes of one head as they come."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._tail = b""
        self._has_begun = False
        self._is_complete = False
        self._is_broken = False
        self._keep_alive = False
        self._has_too_many_fields = False
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser: Any = None

    @property
    def held_bytes(self) -> int:
        """What the bytes taken so far and the fields in them take."""
        return self._size_bytes + FIELD_BYTES * len(self._headers)

    def feed(self, data: bytes, start: int) -> tuple[int, RequestHead | None]:
        """Take bytes from `start` on, at most to the head's end; return where that is, and the head when it is complete.

        Raises `RequestRefusedError`; the parser is of no use afterwards.
        """
        first = start
        if not self._has_begun:
            # Empty lines before a request line are skipped (RFC 9112, section 2.2) and count like the rest.
            while start < len(data) and data[start] in _LINE_ENDS:
                start += 1
            if start == len(data):
                self._count(start - first)
                return start, None
            self._has_begun = True
            self._parser = httptools.HttpRequestParser(self)
        end = self._end(data, start)
        piece = data[start : end or len(data)]
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # An offer that the server does not accept (RFC 9110, section 7.8), or CONNECT.
            pass
        except httptools.HttpParserError as error:
            self._release()
            if self._has_too_many_fields:
                raise RequestRefusedError(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    "headers_too_large",
                    f"The request's head has more than {MAX_FIELDS} fields.",
                ) from None
            raise _no_http() from error
        self._count((end or len(data)) - first)
        if end is None:
            self._tail = (self._tail + piece)[-3:]
            return len(data), None
        return end, self._head()

    def _end(self, data: bytes, start: int) -> int | None:
        """Return the position behind the empty line that ends the head."""
        if self._tail:
            # The end may be split over two pieces.
            across = (self._tail + data[start : start + 3]).find(_HEAD_END)
            if across >= 0:
                return start + across + len(_HEAD_END) - len(self._tail)
        found = data.find(_HEAD_END, start)
        return None if found < 0 else found + len(_HEAD_END)

    def _count(self, size: int) -> None:
        self._size_bytes += size
        if self._size_bytes > self._max_bytes:
            self._release()
            raise RequestRefusedError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "The request's head is too large."
            )

    def _head(self) -> RequestHead:
        """Check the complete head."""
        parser = self._parser
        self._release()
        if not self._is_complete or self._is_broken:
            # The parser does not agree where the head ends.
            raise _no_http()
        version = parser.get_http_version()
        method = parser.get_method().decode("ascii")
        head = RequestHead(method, self._headers)
        head.is_http_1_0 = version == "1.0"
        head.keep_alive = not head.is_http_1_0 and self._keep_alive
        if version not in {"1.0", "1.1"}:
            raise RequestRefusedError(
                HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "http_version_not_supported", "The gateway speaks HTTP/1.1."
            )
        if method == "CONNECT":
            raise RequestRefusedError(
                HTTPStatus.NOT_IMPLEMENTED, "not_implemented", "The gateway is not a proxy for CONNECT."
            )
        head.framing = _framing(head)
        _set_target(head, self._target)
        return head

    def _release(self) -> None:
        """Release the parser, which refers to this object."""
        self._parser = None

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field. Blanks around a value are not part of it (RFC 9112, section 5.1)."""
        headers = self._headers
        if len(headers) >= MAX_FIELDS:
            self._has_too_many_fields = True
            raise ValueError
        headers.append((name.lower(), value.strip(_BLANKS)))

    def on_headers_complete(self) -> None:
        """Record that the parser sees the end of a head."""
        self._is_broken = self._is_complete
        self._is_complete = True
        # The parser forgets it with the end of the message.
        self._keep_alive = self._parser.should_keep_alive()

    def on_body(self, _body: bytes) -> None:
        """Record that the parser sees the end of the head before its empty line."""
        self._is_broken = True


def _framing(head: RequestHead) -> Framing:
    """Return how the body ends (RFC 9112, section 6.3) and check the fields that decide about the message."""
    by_name = head.by_name
    if by_name is not None and b"host" in by_name and _RARE_DECIDING_FIELDS.isdisjoint(by_name):
        # Nearly every request: no field has to be looked for among all.
        _check_host(by_name[b"host"])
        length = by_name.get(b"content-length")
        return 0 if length is None else _length(length)
    expectations = _values(head, b"expect")
    if expectations and not head.is_http_1_0:
        head.expects_continue = [each.lower() for each in expectations] == [b"100-continue"]
    hosts = _values(head, b"host")
    if len(hosts) > 1 or not (hosts or head.is_http_1_0):
        raise _bad("A request has exactly one Host header.")
    if hosts:
        _check_host(hosts[0])
    codings, lengths = _values(head, b"transfer-encoding"), _values(head, b"content-length")
    if codings:
        return _chunked(head, codings, lengths)
    if len(lengths) > 1:
        raise _no_length()
    return _length(lengths[0]) if lengths else 0


def _values(head: RequestHead, name: bytes) -> list[bytes]:
    """Return each value of a field."""
    return [value for key, value in head.headers if key == name]


def _check_host(value: bytes) -> None:
    """Refuse what names no host, so that each route does."""
    if _HOST.fullmatch(value) is None:
        raise _bad("The Host header is not a host and a port.")


def _length(value: bytes) -> int:
    """Return the value of a Content-Length."""
    if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS:
        raise _no_length()
    return int(value)


def _chunked(head: RequestHead, codings: list[bytes], lengths: list[bytes]) -> Framing:
    """Check a Transfer-Encoding."""
    if lengths or head.is_http_1_0:
        raise _bad("Transfer-Encoding goes neither with Content-Length nor with HTTP/1.0.")
    if len(codings) > 1 or codings[0].lower() != b"chunked":
        raise RequestRefusedError(
            HTTPStatus.NOT_IMPLEMENTED, "not_implemented", "The only Transfer-Encoding that is read is 'chunked'."
        )
    return "chunked"


def _set_target(head: RequestHead, target: bytes) -> None:
    """Split the request target; it is in ASCII, all else is percent-encoded."""
    if len(target) > MAX_TARGET_BYTES:
        raise RequestRefusedError(
            HTTPStatus.REQUEST_URI_TOO_LONG, "uri_too_long", f"The request's URL is over {MAX_TARGET_BYTES} bytes."
        )
    try:
        url = httptools.parse_url(target)
        head.raw_path = url.path or (b"/" if url.host else b"")
        path = head.raw_path.decode("ascii")
    except (httptools.HttpParserError, UnicodeDecodeError):
        raise _bad("The request's URL is none.") from None
    if not path:
        raise _bad("The request's URL has no path.")
    if b"#" in target:
        raise _bad("The request's URL has a fragment, which no request has.")
    head.path = urllib.parse.unquote(path) if "%" in path else path
    head.query = url.query or b""


def _no_length() -> RequestRefusedError:
    return _bad("The Content-Length header is not a length.")


def _no_http() -> RequestRefusedError:
    return _bad("Invalid HTTP request received.")


def _bad(message: str) -> RequestRefusedError:
    return RequestRefusedError(HTTPStatus.BAD_REQUEST, "invalid_http", message)
