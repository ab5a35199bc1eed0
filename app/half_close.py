"""A client that has ended its side of the connection: whether it still waits for its response, or has left.

Both look the same at first: the client's kernel has sent FIN. What a client that has left gets is answered with RST, so after a
while it is sent an interim response (RFC 9110, section 15.2), which one that waits skips.
"""

import asyncio
import socket
from typing import Final

from app.http_exchange import CONTINUE, Exchange
from app.timers import Timers

HALF_CLOSE: Final = "half close"

_ASK_SECONDS: Final = 0.5
"""A response that is there earlier goes out alone."""

_LOOK_SECONDS: Final = 0.25


def watch_half_close(timers: Timers, transport: asyncio.Transport, exchange: Exchange) -> None:
    """Watch a client until the timer `HALF_CLOSE` is stopped, and end the connection of one that has left."""
    has_asked = False

    def look() -> None:
        nonlocal has_asked
        if transport.is_closing():
            return
        connection = transport.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            transport.abort()
            return
        # HTTP/1.0 knows no interim responses: there only what the client's kernel says by itself counts.
        if not (has_asked or exchange.is_http_1_0 or exchange.response_started):
            has_asked = True
            transport.write(CONTINUE)
        timers.set(HALF_CLOSE, _LOOK_SECONDS, look)

    timers.set(HALF_CLOSE, _ASK_SECONDS, look)
