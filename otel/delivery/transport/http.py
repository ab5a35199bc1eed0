"""Sends protobuf bytes by OTLP/HTTP over one kept-alive connection.

Outcomes follow the OTLP specification, "OTLP/HTTP Response". The standard library's client is used
because its socket can be cut from another thread. It follows no redirect and uses no proxy.
"""

import gzip
import select
import socket
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import unquote, urlsplit

from otel.config.otlp import OtlpConfig
from otel.delivery.transport.partial_success import read_partial_success
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater
from otel.delivery.transport.tls import ssl_context

_RETRYABLE: Final = frozenset({408, 429, 502, 503, 504})
"""OTLP's list, and 408, which a proxy in front of a Collector sends when it stopped reading."""

_MAX_RESPONSE_BYTES: Final = 64 * 1024
_GZIP_LEVEL: Final = 1
"""4 % of the size for a third of the time that level 6 takes."""


class HttpSender:
    """Satisfies `Sender` over HTTP/1.1. The `user_agent` names this program in the Collector's logs."""

    def __init__(self, config: OtlpConfig, *, user_agent: str, clock: Callable[[], float] = time.monotonic) -> None:
        url = urlsplit(config.endpoint)
        self._config = config
        self._clock = clock
        self._host = url.hostname or ""
        self._port = url.port
        self._target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
        self._tls = ssl_context(config)
        self._headers = {"content-type": "application/x-protobuf", "user-agent": user_agent, **dict(config.headers)}
        if config.compression == "gzip":
            self._headers["content-encoding"] = "gzip"
        if url.username is not None:
            self._headers.setdefault("authorization", _basic(url.username, url.password or ""))
        self._is_connected = False
        self._connection: HTTPConnection | None = None
        self._closed = False

    @property
    def address(self) -> str:
        """Host and port."""
        return self._config.address

    def pack(self, payload: bytes) -> bytes:
        """Compress the payload where that is configured, without holding the interpreter's lock."""
        return gzip.compress(payload, _GZIP_LEVEL, mtime=0) if self._config.compression == "gzip" else payload

    def unpack(self, body: bytes) -> bytes:
        """Undo `pack`."""
        return gzip.decompress(body) if self._config.compression == "gzip" else body

    def send(self, body: bytes, timeout_seconds: float) -> Outcome:
        """Post one body."""
        deadline = self._clock() + timeout_seconds
        reused = self._connection is not None and not _is_stale(self._connection)
        try:
            return self._exchange(body, deadline)
        except (ConnectionError, HTTPException) as error:
            self._drop_connection()
            if not reused:
                return RetryLater(reason=_reason(error), no_response=self._is_connected)
        except (OSError, ValueError) as error:
            self._drop_connection()
            return RetryLater(reason=_reason(error), no_response=self._is_connected)
        # The endpoint closed a kept-alive connection just when it was used again: that is no outage.
        try:
            return self._exchange(body, deadline)
        except (OSError, HTTPException, ValueError) as error:
            self._drop_connection()
            return RetryLater(reason=_reason(error), no_response=self._is_connected)

    def close(self) -> None:
        """Cut the connection, so that a waiting `send` fails at once."""
        self._closed = True
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with suppress(OSError):  # not connected any more
                connection.sock.shutdown(socket.SHUT_RDWR)
            self._drop_connection()

    def _exchange(self, body: bytes, deadline: float) -> Outcome:
        """Send one request and read its response; raises where there is none."""
        self._is_connected = False
        connection = self._connect(deadline)
        self._is_connected = True
        connection.request("POST", self._target, body, self._headers)
        self._limit(connection, deadline)
        response = connection.getresponse()
        body_read = self._read(response)
        if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            rejected_items, message = read_partial_success(self._config.signal, body_read)
            return Accepted(rejected_items=rejected_items, message=message)
        reason = f"HTTP {response.status} {response.reason}".rstrip()
        if response.status in _RETRYABLE:
            return RetryLater(reason=reason, retry_after_seconds=_retry_after_seconds(response.headers))
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # OTLP would have these dropped. But a proxy sends 500 while the Collector behind it starts, and what is
            # dropped then is lost; so they are tried again, a limited number of times.
            return RetryLater(reason=reason, poison=True)
        return Refused(reason=reason)

    def _connect(self, deadline: float) -> HTTPConnection:
        """Return the kept-alive connection, or a new one."""
        if self._closed:
            raise ConnectionAbortedError("closed")
        connection = self._connection
        if connection is not None and _is_stale(connection):
            self._drop_connection()
            connection = None
        if connection is None:
            timeout_seconds = max(0.001, deadline - self._clock())
            if self._tls is not None:
                connection = HTTPSConnection(self._host, self._port, timeout=timeout_seconds, context=self._tls)
            else:
                connection = HTTPConnection(self._host, self._port, timeout=timeout_seconds)
            self._connection = connection
            connection.connect()
        self._limit(connection, deadline)
        return connection

    def _limit(self, connection: HTTPConnection, deadline: float) -> None:
        """Let no read or write outlast the deadline."""
        if connection.sock is not None:
            connection.sock.settimeout(max(0.001, deadline - self._clock()))

    def _read(self, response: HTTPResponse) -> bytes:
        """Read the response's body; the status is already known, so a body that breaks off is empty."""
        try:
            body = response.read(_MAX_RESPONSE_BYTES)
        except (OSError, HTTPException):
            self._drop_connection()
            return b""
        if not response.isclosed():  # longer than any response of OTLP
            self._drop_connection()
        return body

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _basic(username: str, password: str) -> str:
    """Return the credentials of a URL as a header (RFC 7617)."""
    return f"Basic {b64encode(f'{unquote(username)}:{unquote(password)}'.encode()).decode()}"


def _is_stale(connection: HTTPConnection) -> bool:
    """Whether the endpoint closed an idle connection: only then there is something to read."""
    if connection.sock is None:
        return True
    try:
        return bool(select.select([connection.sock], [], [], 0)[0])
    except (OSError, ValueError):  # closed by this program
        return True


def _retry_after_seconds(headers: HTTPMessage) -> float | None:
    """Read `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is compared to the endpoint's own clock."""
    value = (headers.get("retry-after") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return (parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date") or "")).total_seconds()
    except (ValueError, TypeError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no response in time"
    return f"{type(error).__name__}: {error}".rstrip(": ")
