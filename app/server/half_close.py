"""Finds out whether a client that closed its sending side still waits for its response.

A client that waits and one that has left look the same: both sent FIN. After a while the server
sends an interim response (RFC 9110, section 15.2). A client that waits skips it; the kernel of one
that has left replies with RST. One that leaves later, and one that speaks HTTP/1.0 and gets no interim response, is found
by TCP's keep-alive probes: its kernel forgets a connection that its process has closed (after a minute, in Linux), and replies
with RST from then on.
"""

import asyncio
import socket
from typing import Final

from app.server.http_exchange import CONTINUE, Exchange
from app.server.timers import Timers

HALF_CLOSE: Final = "half close"

_FIRST_CHECK_SECONDS: Final = 0.15
"""An earlier response is sent without an interim one. For a client that has left, a provider works this long in vain."""

_AFTER_CONTINUE_SECONDS: Final = 0.05
_CHECK_SECONDS: Final = 0.25
_PROBE_SECONDS: Final = 15
_MOST_PROBES: Final = 4
"""A client whose network no longer responds has left too."""


def watch_half_close(timers: Timers, transport: asyncio.Transport, exchange: Exchange) -> None:
    """Watch a client until the timer `HALF_CLOSE` is stopped, and end the connection of one that has left."""
    if transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _PROBE_SECONDS),
        ("TCP_KEEPINTVL", _PROBE_SECONDS),
        ("TCP_KEEPCNT", _MOST_PROBES),
    ):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    timers.set(HALF_CLOSE, _FIRST_CHECK_SECONDS, _Watch(timers, transport, exchange).look)


class _Watch:
    """An object rather than a function within one, which would refer to itself and wait for the garbage collector."""

    def __init__(self, timers: Timers, transport: asyncio.Transport, exchange: Exchange) -> None:
        self._timers = timers
        self._transport = transport
        self._exchange = exchange
        self._has_probed = False

    def look(self) -> None:
        """Check whether the client's kernel has sent a reset; after the first check, send it an interim response."""
        if self._transport.is_closing():
            return
        connection = self._transport.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
            return
        # HTTP/1.0 knows no interim responses: there the keep-alive probes are left.
        seconds = _CHECK_SECONDS
        if not (self._has_probed or self._exchange.is_http_1_0 or self._exchange.response_started):
            self._has_probed = True
            self._transport.write(CONTINUE)
            seconds = _AFTER_CONTINUE_SECONDS
        self._timers.set(HALF_CLOSE, seconds, self.look)
