"""One request on a connection and its response, as ASGI messages in both directions.

Each connection has at most one exchange at a time.
"""

import asyncio
import http
import logging
from collections.abc import Callable
from typing import Final

from app.gateway.overhead import SCOPE_KEY
from app.gateway.ports import CLIENT_KEY, IDENTIFIED_KEY
from app.server.exchange_connection import ExchangeConnection
from app.server.http_framing import COPIED_BYTES, asks_to_close, checked_fields, chunked, small_chunk
from app.server.http_head import RequestHead
from otel.instrument.asgi import DELIVERY_KEY, AsgiApp, Message, Scope

_NO_CONTENT: Final = frozenset({204, 304})
_PHRASES: Final = {status.value: status.phrase.encode() for status in http.HTTPStatus}
_FAILED: Final = b"Internal Server Error"
_PIECE_BYTES: Final = 128 * 1024
"""A larger body is written piece by piece, as the client takes it: so it is known what has left."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """One request and its response."""

    def __init__(self, connection: ExchangeConnection, head: RequestHead, logger: logging.Logger) -> None:
        self.content = bytearray()
        self.is_body_complete = False
        self.has_left = False
        """Whether the client is gone: nothing is sent any more."""
        self.keep_alive = head.keep_alive
        self.response_started = False
        self.response_complete = False
        self.is_delivering = False
        """Whether the application has sent the last of the response. It needs nothing from the client any more, which may
        have closed its side; one that has left resets the connection."""
        self._unwritten_bytes = 0
        self._buffered_bytes = 0
        self.is_http_1_0 = head.is_http_1_0
        self._connection: ExchangeConnection | None = connection
        self._is_head_request = head.method == "HEAD"
        self._expects_continue = head.expects_continue
        self._logger = logger
        self._timer = connection.start_timer()
        self._fields = head.by_name
        self._has_news = False
        self._news: asyncio.Event | None = None
        self._has_content = True
        self._is_chunked = False
        self._on_leave: Callable[[], None] | None = None
        self._missing_bytes: int | None = None
        """What the response's Content-Length promises and was not sent yet; None: there is none."""

    def wake(self) -> None:
        """Wake the application: there is content, or the client has left."""
        self._timer.resume("body")
        self._notify()

    def _notify(self) -> None:
        """Let `receive` return."""
        self._has_news = True
        if self._news is not None:
            self._news.set()

    def leave(self, *, is_broken: bool = False) -> None:
        """The client has left. A broken connection has lost its buffer: the size that was last observed counts."""
        self._expects_continue = False
        if self._connection is not None and not self.has_left:
            buffered_bytes = self._connection.transport.get_write_buffer_size()
            self._buffered_bytes = max(buffered_bytes, self._buffered_bytes) if is_broken else buffered_bytes
        self.has_left = True
        self._notify()
        if self._on_leave is not None:
            self._on_leave()

    def call_on_leave(self, act: Callable[[], None]) -> None:
        """Read on, and call `act` when the client leaves before the end of the response; at once where it has left."""
        self._on_leave = act
        if self.has_left:
            act()
        elif self._connection is not None:
            self._connection.read_as_needed()

    @property
    def undelivered_bytes(self) -> int:
        """How much of the response has not left the process: not written, or still in the connection's buffer."""
        if self._connection is not None and not self.has_left:
            self._buffered_bytes = self._connection.transport.get_write_buffer_size()
        return self._unwritten_bytes + self._buffered_bytes

    async def run(self, app: AsgiApp, scope: Scope) -> None:
        """Serve the request, and end the connection where the application fails to complete the response."""
        connection = self._connection
        if connection is None:
            return
        scope[DELIVERY_KEY] = self
        scope[SCOPE_KEY] = self._timer
        scope[IDENTIFIED_KEY] = self._identified
        scope[CLIENT_KEY] = self
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._fail(connection)
            raise
        except Exception:
            self._logger.exception("Exception in ASGI application")
            self._fail(connection)
        else:
            if not self.response_complete and not self.has_left:
                self._logger.error("ASGI callable returned without completing the response.")
                self._fail(connection)
        finally:
            self._connection = self._on_leave = None
            self.content = bytearray()

    def _identified(self, key_id: str) -> None:
        """The caller is known: connections wait for their turns by key."""
        if self._connection is not None:
            self._connection.identified(key_id, None if self._fields is None else self._fields.get(b"authorization"))

    async def receive(self) -> Message:
        """Return what arrived of the body since the last call; wait for it."""
        # No reference to the connection while it waits: the traceback of a cancelled wait would keep the connection for a while.
        if self._requests_content():
            if not self._has_news:
                self._news = self._news or asyncio.Event()
                await self._news.wait()
            self._has_news = False
            if self._news is not None:
                self._news.clear()
        if self._connection is None or self.has_left or self.response_complete:
            return {"type": "http.disconnect"}
        content, self.content = bytes(self.content), bytearray()
        return {"type": "http.request", "body": content, "more_body": not self.is_body_complete}

    def _requests_content(self) -> bool:
        """Let the client send; return whether there is anything to wait for."""
        connection = self._connection
        if connection is None or self.has_left or self.response_complete:
            return False
        if self._expects_continue and not connection.transport.is_closing():
            self._expects_continue = False
            connection.transport.write(CONTINUE)
        connection.read_as_needed()
        return True

    async def send(self, message: Message) -> None:
        """Write a part of the response; it is dropped where the client has left."""
        connection = self._connection
        if connection is None:
            return
        if self._is_chunked and self._send_small_piece(connection, message):
            if not connection.is_writable:
                await self._wait_for_reader(connection)
            return
        self._unwritten_bytes += len(message.get("body", b""))
        if not connection.is_writable:
            await self._wait_for_reader(connection)
        if self.has_left:
            return
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"expected http.response.start, not {message['type']}")
            self.response_started = True
            self._expects_continue = False
            connection.transport.write(self._head(message, connection.server_state.default_headers))
        elif not self.response_complete:
            if message["type"] != "http.response.body":
                raise RuntimeError(f"expected http.response.body, not {message['type']}")
            await self._send_body(connection, message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} after the end of the response")

    def _send_small_piece(self, connection: ExchangeConnection, message: Message) -> bool:
        """Whether a message was what nearly every piece of a stream is; it is written then, as `_send_body` would do it."""
        if not message.get("more_body", False) or message["type"] != "http.response.body":
            return False
        body: bytes = message.get("body", b"")
        if not 0 < len(body) <= COPIED_BYTES or not connection.is_writable or self.has_left or self.response_complete:
            return False
        connection.transport.write(small_chunk(body))
        self._buffered_bytes = connection.transport.get_write_buffer_size()
        return True

    async def _send_body(self, connection: ExchangeConnection, body: bytes, *, is_last: bool) -> None:
        """Write a part of the body; of the last part wait until all of it has left the process, which a small one does at once."""
        self.is_delivering = is_last
        if len(body) > _PIECE_BYTES:
            whole = memoryview(body)
            end = (len(body) - 1) // _PIECE_BYTES * _PIECE_BYTES
            for start in range(0, end, _PIECE_BYTES):
                self._write_body(connection, whole[start : start + _PIECE_BYTES], is_last=False)
                if not connection.is_writable:
                    await self._wait_for_reader(connection)
                if self.has_left:
                    return
            self._write_body(connection, whole[end:], is_last=is_last)
        else:
            self._write_body(connection, body, is_last=is_last)
        if is_last:
            if not self._buffered_bytes or await self._is_emptied(connection):
                self._buffered_bytes = 0
                self._complete(connection)
        elif not connection.is_writable:
            # What comes next is not read while this much is unread.
            await self._wait_for_reader(connection)

    async def _wait_for_reader(self, connection: ExchangeConnection) -> None:
        """Wait until the client has taken enough; that time is the client's."""
        self._timer.wait("reader")
        try:
            await connection.writable()
        finally:
            self._timer.resume("reader")

    async def _is_emptied(self, connection: ExchangeConnection) -> bool:
        """Wait until all has left the process; what the event loop writes at once is no wait for the client."""
        self._timer.wait_when_flushed("reader")
        try:
            return await connection.emptied()
        finally:
            self._timer.resume("reader")

    def _head(self, message: Message, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the response's head, and remember how its body is framed."""
        status: int = message["status"]
        fields = checked_fields([*default_headers, *message.get("headers", ())])
        sends_close = False
        for name, value in fields:
            if name == b"content-length":
                self._missing_bytes = int(value)
            elif name == b"connection":
                sends_close = asks_to_close(fields)
        if sends_close:
            self.keep_alive = False
        lines = [b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, b"")), *map(b": ".join, fields)]
        has_content = not self._is_head_request and status not in _NO_CONTENT
        if not has_content:
            self._missing_bytes = None
        elif self._missing_bytes is None:
            if self.is_http_1_0:
                # HTTP/1.0 knows no chunks: the end of the connection ends the response (RFC 9112, section 6.3).
                self.keep_alive = False
            else:
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked")
        if not self.keep_alive and not sends_close:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        self._has_content = has_content
        return b"\r\n".join(lines)

    def _write_body(self, connection: ExchangeConnection, body: bytes | memoryview, *, is_last: bool) -> None:
        """Write a piece of the body in the response's framing."""
        if not self._has_content:
            pass
        elif self._is_chunked:
            for part in chunked(body, is_last=is_last):
                connection.transport.write(part)
        else:
            if self._missing_bytes is not None:
                self._missing_bytes -= len(body)
                if self._missing_bytes < 0:
                    raise RuntimeError("The response is longer than its Content-Length.")
                if is_last and self._missing_bytes:
                    raise RuntimeError("The response is shorter than its Content-Length.")
            if body:
                connection.transport.write(body)
        self._unwritten_bytes -= len(body)
        if is_last:
            # It leaves now: the next pass of the event loop has nothing left to do for this response.
            connection.transport.flush()
        self._buffered_bytes = connection.transport.get_write_buffer_size()

    def _complete(self, connection: ExchangeConnection) -> None:
        """The response is complete."""
        self.response_complete = True
        self._timer.stop()
        self._notify()
        connection.response_ended()

    def _fail(self, connection: ExchangeConnection) -> None:
        """Send 500 where no response has begun; else the end of the connection shows that it is broken."""
        if self.response_complete or self.has_left:
            return
        if self.response_started:
            connection.transport.close()
            return
        self.response_started = True
        self.keep_alive = False
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_FAILED))]
        start = {"type": "http.response.start", "status": 500, "headers": headers}
        connection.transport.write(self._head(start, connection.server_state.default_headers))
        self._write_body(connection, _FAILED, is_last=True)
        self._complete(connection)
