"""Finds out whether a client that closed its sending side still waits for its response.

A client that waits and one that has left look the same: both sent FIN. After a while the server
sends an interim response (RFC 9110, section 15.2). A client that waits skips it; the kernel of one
that has left replies with RST.
"""

import asyncio
import socket
from typing import Final

from app.server.http_exchange import CONTINUE, Exchange
from app.server.timers import Timers

HALF_CLOSE: Final = "half close"

_ASK_SECONDS: Final = 0.15
"""A response that is there earlier goes out alone. A provider works for one that has left as long as this takes."""

_FIRST_LOOK_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 0.25


def watch_half_close(timers: Timers, transport: asyncio.Transport, exchange: Exchange) -> None:
    """Watch a client until the timer `HALF_CLOSE` is stopped, and end the connection of one that has left."""
    timers.set(HALF_CLOSE, _ASK_SECONDS, _Watch(timers, transport, exchange).look)


class _Watch:
    """An object rather than a function within one, which would refer to itself and wait for the garbage collector."""

    def __init__(self, timers: Timers, transport: asyncio.Transport, exchange: Exchange) -> None:
        self._timers = timers
        self._transport = transport
        self._exchange = exchange
        self._has_asked = False

    def look(self) -> None:
        """Check whether the client's kernel has sent a reset; after the first check, send it an interim response."""
        if self._transport.is_closing():
            return
        connection = self._transport.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
            return
        # HTTP/1.0 knows no interim responses: there only a reset that the client's kernel sends by itself counts.
        seconds = _LOOK_SECONDS
        if not (self._has_asked or self._exchange.is_http_1_0 or self._exchange.response_started):
            self._has_asked = True
            self._transport.write(CONTINUE)
            seconds = _FIRST_LOOK_SECONDS
        self._timers.set(HALF_CLOSE, seconds, self.look)
