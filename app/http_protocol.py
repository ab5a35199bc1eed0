"""HTTP PROTOCOL: uvicorn's httptools protocol with a bound on the head of a request.

Comes in: bytes of a connection. Goes out: requests whose request line and headers fit, or 431 and a closed connection. httptools has no bound of
its own: it would collect one endless header until memory is full.
"""

from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.gateway.wire_error import WireError, WireErrorBody

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
        self._is_refused = False

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a head that is still open after too many bytes is refused before it is complete."""
        if self._is_refused:
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
        super().on_headers_complete()

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
        self.transport.close()


def bounded_protocol(max_header_bytes: int) -> type[BoundedHttpProtocol]:
    """Return the protocol class with this bound: uvicorn makes one instance per connection and passes it no options."""
    return type("BoundedHttpProtocol", (BoundedHttpProtocol,), {"max_header_bytes": max_header_bytes})
