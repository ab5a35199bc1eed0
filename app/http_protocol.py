"""HTTP PROTOCOL: uvicorn's httptools protocol with bounds on the head of a request and on a body that nobody reads.

Comes in: bytes of a connection. Goes out: requests whose request line and headers fit, or 431 and a closed connection. httptools has no bound of
its own: it would collect one endless header until memory is full.
"""

import asyncio
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.gateway.wire_error import WireError, WireErrorBody

DISCARD_SECONDS = 5.0
_FIELD_OVERHEAD_BYTES = 4  # ": " and the line end
_TOO_LARGE = msgspec.json.encode(
    WireErrorBody(WireError("The request's head is too large.", "invalid_request_error", None, "headers_too_large"))
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. `max_header_bytes` bounds the URL and the headers of a request together."""

    max_header_bytes: int = 64 * 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = False
        self._is_in_body = False
        self._is_refused = False
        self._discard_end: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is still open after too many bytes is refused before it is complete."""
        if self._is_refused:
            # Taken and thrown away until the client has read its answer.
            return
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_header_bytes:
                self._refuse()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """A head is complete; one that came in a single read is measured here."""
        self._is_in_head = False
        size = len(self.url) + sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in self.headers)
        if size > self.max_header_bytes:
            self._refuse()
            # Stops the parser: without a request there is nobody to take a body.
            raise ValueError
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A body is complete."""
        self._is_in_body = False
        if self._discard_end is not None:
            self._discard_end.cancel()
            self._discard_end = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is complete; one that came before the end of the body (413) leaves the rest to be discarded, for a while.

        Closing at once would reset the connection, and a client that is still sending would never read its answer.
        """
        super().on_response_complete()
        if self._is_in_body and not self.transport.is_closing():
            self._discard_end = self.loop.call_later(DISCARD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        if self._discard_end is not None:
            self._discard_end.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; after a refusal that has been said already."""
        if not self._is_refused:
            super().send_400_response(msg)

    def _refuse(self) -> None:
        """Answer 431 and close."""
        self._is_refused = True
        if self.transport.is_closing():
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(_TOO_LARGE), _TOO_LARGE)
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._discard_end = self.loop.call_later(DISCARD_SECONDS, self.transport.close)


def bounded_protocol(max_header_bytes: int) -> type[BoundedHttpProtocol]:
    """Return the protocol class with this bound: uvicorn makes one instance per connection and passes it no options."""
    return type("BoundedHttpProtocol", (BoundedHttpProtocol,), {"max_header_bytes": max_header_bytes})
