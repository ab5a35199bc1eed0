"""Accepts client connections within their bound and within the limit of file descriptors.

asyncio's own listener drops connections silently when no descriptor is left. This one closes the
connection that has been idle longest, counts, logs, and tries again after a pause.

The kernel's queue has one order. It is emptied quickly, for a health check may stand at its end;
the connections are made a few at a time, in the order of `Lanes`.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final, NamedTuple

from app.server.connections import Connections
from app.server.lanes import MOST_START_BYTES, Lane, Lanes, Place, watching_lane

_ACCEPTED_AT_ONCE: Final = 128
_MADE_AT_ONCE: Final = 16
"""In each pass of the event loop: accepting costs a fifth of making the connection."""

_PAUSE_SECONDS: Final = 0.05
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class AcceptedProtocol(asyncio.BaseProtocol):
    """The protocol of a connection that was accepted; `is_extra` is set before it is made."""

    is_extra = False


class _Accepted(NamedTuple):
    """A connection that waits to be made."""

    connection: socket.socket
    is_extra: bool


class Acceptor:
    """The listener of one server; `make_protocol` makes the protocol of a connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        make_protocol: Callable[[], AcceptedProtocol],
        connections: Connections,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._make_protocol = make_protocol
        self._connections = connections
        self._waiting: Lanes[_Accepted] = Lanes()
        self._is_making = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._start()

    def close(self) -> None:
        """Accept nothing more; the socket stays its owner's."""
        self._is_closed = True
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()
        while self._waiting:
            self._give_up(self._waiting.take().connection)

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if self._connections.is_full and not self._may_replace():
                break
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._connections.out_of_descriptors()
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._start)
                break
            connection.setblocking(False)
            admission = self._connections.admit()
            if admission is None:
                connection.close()
            else:
                place = Place(self._lane_of(connection), address[0])
                self._waiting.put(_Accepted(connection, admission == "extra"), place)
        if not self._is_making:
            self._make_some()

    def _may_replace(self) -> bool:
        """Whether a connection may be accepted for which another has to go: those just accepted have to be made before they are idle."""
        pending = len(self._waiting) + len(self._tasks)
        return pending == 0 or (pending < _MADE_AT_ONCE and self._connections.has_idle)

    def _lane_of(self, connection: socket.socket) -> Lane:
        """Return the lane of a connection, by what its client has sent already where others wait."""
        if len(self._waiting) < _MADE_AT_ONCE:
            return "new"
        try:
            start = connection.recv(MOST_START_BYTES, socket.MSG_PEEK)
        except OSError:
            return "new"
        return watching_lane(start.startswith) or "new"

    def _make_some(self) -> None:
        for _ in range(min(_MADE_AT_ONCE, len(self._waiting))):
            accepted = self._waiting.take()
            task = self._loop.create_task(self._connect(accepted.connection, is_extra=accepted.is_extra))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._is_making = bool(self._waiting)
        if self._is_making:
            self._loop.call_soon(self._make_some)

    def _give_up(self, connection: socket.socket) -> None:
        self._connections.leave(None)
        connection.close()

    async def _connect(self, connection: socket.socket, *, is_extra: bool) -> None:
        if self._is_closed:
            self._give_up(connection)
            return

        def make_protocol() -> AcceptedProtocol:
            protocol = self._make_protocol()
            protocol.is_extra = is_extra
            return protocol

        try:
            await self._loop.connect_accepted_socket(make_protocol, connection)
        except OSError:
            # The client reset it before it was accepted.
            self._give_up(connection)
