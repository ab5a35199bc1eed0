"""Ends connections whose client has acknowledged no byte of a response for `send_stall_seconds`.

Runs on the event loop and looks at every connection that has something to send, a few times per
`send_stall_seconds`. Any acknowledged byte is progress. `TCP_USER_TIMEOUT`
does not work: the kernel counts the time during which a client's window is too small for the next
segment, although the client reads.

TCP reports reading in steps: a receiver announces room once a segment or a sixteenth of its buffer
is free.
"""

import array
import asyncio
import fcntl
import logging
import socket
import struct
import termios
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, Protocol

_LOOKS_PER_STALL: Final = 8
_MAX_PERIOD_SECONDS: Final = 1.0
_LOOKED_AT_AT_ONCE: Final = 64
_TCP_INFO_BYTES: Final = 128
_BYTES_ACKED: Final = struct.Struct("=Q")
_BYTES_ACKED_OFFSET: Final = 120  # struct tcp_info of linux/tcp.h, since Linux 4.2

_logger = logging.getLogger("gatewayz.connections")


class SendingConnection(Protocol):
    """What the watch needs of a connection."""

    @property
    def transport(self) -> asyncio.Transport:
        """Its end on this side."""

    def abort(self) -> None:
        """End it now."""


class _Observed(NamedTuple):
    """How many bytes the client had taken, and when that number was first observed."""

    taken: int
    since: float


class SendWatch:
    """For one event loop; `connections` returns those that are open."""

    def __init__(
        self,
        connections: Callable[[], Collection[SendingConnection]],
        stall_seconds: float,
        clock: Callable[[], float],
        taken: Callable[[asyncio.Transport], int | None] | None = None,
    ) -> None:
        self._connections = connections
        self._stall_seconds = stall_seconds
        self._clock = clock
        self._taken = taken or bytes_taken
        self._observed: dict[SendingConnection, _Observed] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at the connections from now on. Inside the event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="send watch")

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        period_seconds = min(self._stall_seconds / _LOOKS_PER_STALL, _MAX_PERIOD_SECONDS)
        while True:
            await asyncio.sleep(period_seconds)
            for _ in self.look():
                # Thousands of connections take ten milliseconds.
                await asyncio.sleep(0)

    def look(self) -> Iterator[None]:
        """Look once, and end the connections that have stalled; yields after each few of them."""
        now = self._clock()
        observed: dict[SendingConnection, _Observed] = {}
        stalled = 0
        for number, connection in enumerate(tuple(self._connections()), 1):
            if number % _LOOKED_AT_AT_ONCE == 0:
                yield
                now = self._clock()
            taken = self._taken(connection.transport)
            if taken is None:
                continue
            before = self._observed.get(connection)
            if before is None or before.taken != taken:
                observed[connection] = _Observed(taken, now)
            elif now - before.since < self._stall_seconds:
                observed[connection] = before
            else:
                stalled += 1
                connection.abort()
        self._observed = observed
        if stalled:
            _logger.warning(
                "%d connections ended: their clients took nothing of a response for %g s", stalled, self._stall_seconds
            )


def bytes_taken(transport: asyncio.Transport) -> int | None:
    """Return a number that changes whenever the client acknowledges bytes; None while there is nothing for it to take."""
    buffered = transport.get_write_buffer_size()
    connected = transport.get_extra_info("socket")
    if connected is None:
        return -buffered if buffered else None
    try:
        if not buffered and not _unacknowledged_bytes(connected.fileno()):
            return None
        return _acknowledged_bytes(connected, buffered)
    except (OSError, ValueError):  # it is closing, or has no descriptor any more: it ended while others were looked at
        return None


def _unacknowledged_bytes(descriptor: int) -> int:
    """Return how many bytes the kernel has sent or keeps, and the client has not acknowledged."""
    number = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.TIOCOUTQ, number)
    return number[0]


def _acknowledged_bytes(connected: socket.socket, buffered: int) -> int:
    """Return how many bytes the client has acknowledged; without TCP_INFO, the bytes that left the buffer are used instead."""
    if not hasattr(socket, "TCP_INFO"):
        return -buffered
    info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    if len(info) < _TCP_INFO_BYTES:
        return -buffered
    acknowledged: int = _BYTES_ACKED.unpack_from(info, _BYTES_ACKED_OFFSET)[0]
    return acknowledged
