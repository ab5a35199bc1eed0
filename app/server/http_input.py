"""Buffers what a connection has received: bytes of a head, of a body, and those that wait behind them.

Bytes are parsed only when the connection takes the next head or content.
"""

from collections.abc import Callable

from app.server.http_framing import Body, body_of
from app.server.http_head import HeadParser, RequestHead


class RequestInput:
    """The bytes of one connection; `max_header_bytes` bounds what is not content, in each phase of a message.

    `hold` gets the change of the bytes that wait here and of the head of the request that is served, and how many these are; it
    returns whether all connections together may hold so many.
    """

    __slots__ = (
        "_at", "_body", "_data", "_head", "_hold", "_max_header_bytes", "_reported_bytes", "_served_bytes",
        "is_in_body", "is_in_head", "waiting_bytes",
    )  # fmt: skip

    def __init__(self, max_header_bytes: int, hold: Callable[[int, int], bool]) -> None:
        self._max_header_bytes = max_header_bytes
        self._hold = hold
        self._data = b""
        self._at = 0
        self._head: HeadParser | None = None
        self._body: Body | None = None
        self._reported_bytes = 0
        self._served_bytes = 0
        # Attributes, because they are read two dozen times for each request: a property costs many times as much.
        self.is_in_head = False
        """Whether a head has begun and is not complete."""
        self.is_in_body = False
        """Whether a body has begun and is not complete."""
        self.waiting_bytes = 0
        """Bytes that wait for their turn."""

    def starts_with(self, starts: tuple[bytes, ...]) -> bool:
        """Return whether the next message begins with one of these; false while another is incomplete."""
        return self._head is None and self._body is None and self._data.startswith(starts, self._at)

    def message_start(self, most_bytes: int) -> bytes:
        """Return the first bytes of the next message; none while another is incomplete."""
        return self._data[self._at : self._at + most_bytes] if self._head is None and self._body is None else b""

    def add(self, data: bytes) -> None:
        """Take what came."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0
        self.waiting_bytes = len(self._data)

    def take_head(self) -> RequestHead | None:
        """Return the next head once it is complete, after which its body begins; raises `RequestRefusedError`."""
        parser = self._head = self._head or HeadParser(self._max_header_bytes)
        self.is_in_head = True
        self._at, head = parser.feed(self._data, self._at)
        self.waiting_bytes = len(self._data) - self._at
        if head is not None:
            self._head, self.is_in_head = None, False
            self._served_bytes = parser.held_bytes
            if head.framing != 0:
                self._body, self.is_in_body = body_of(head.framing, self._max_header_bytes), True
        return head

    def take_body(self, content: bytearray | None) -> None:
        """Append the received part of the body to `content`, or drop it; raises `RequestRefusedError`."""
        body = self._body
        if body is not None:
            self._at = body.take(self._data, self._at, content)
            self.waiting_bytes = len(self._data) - self._at
            if body.is_complete:
                self._body, self.is_in_body = None, False

    def release_taken(self) -> bool:
        """Release the bytes that were taken; false when all connections together hold too many."""
        if self._at:
            self._data = self._data[self._at :]
            self._at = 0
        held_bytes = len(self._data) + self._served_bytes
        if self._head is not None:
            held_bytes += self._head.held_bytes
        change, self._reported_bytes = held_bytes - self._reported_bytes, held_bytes
        return not change or self._hold(change, held_bytes)

    def end_request(self) -> None:
        """The request that was served is over: its head is forgotten."""
        self._served_bytes = 0
        self.release_taken()

    def end(self) -> None:
        """The connection has ended: nothing is held any more."""
        self.drop()
        # It leads back to the connection.
        self._hold = _nothing_is_held

    def drop(self) -> None:
        """Forget everything."""
        self._served_bytes = 0
        self._data = b""
        self._at = self.waiting_bytes = 0
        self._head, self.is_in_head = None, False
        self._body, self.is_in_body = None, False
        self.release_taken()


def _nothing_is_held(_change_bytes: int, _held_bytes: int) -> bool:
    return True
