"""Accepts client connections within their bound and within the limit of file descriptors.

asyncio's own listener drops connections silently when no descriptor is left. This one closes the
connection that has been idle longest, counts, logs, and tries again after a pause.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

from app.server.connections import Connections

_BURST: Final = 16
"""Accepted at once, before others get their turn on the loop."""

_PAUSE_SECONDS: Final = 0.05
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class AcceptedProtocol(asyncio.BaseProtocol):
    """The protocol of a connection that was accepted; `is_extra` is set before it is made."""

    is_extra = False


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

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        for _ in range(_BURST):
            if self._connections.is_full and self._tasks:
                # Which connections are idle is known when those just accepted are made; this is called again.
                return
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._connections.out_of_descriptors()
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._start)
                return
            connection.setblocking(False)
            admission = self._connections.admit()
            if admission is not None:
                task = self._loop.create_task(self._connect(connection, is_extra=admission == "extra"))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                connection.close()

    async def _connect(self, connection: socket.socket, *, is_extra: bool) -> None:
        if self._is_closed:
            self._connections.leave(None)
            connection.close()
            return

        def make_protocol() -> AcceptedProtocol:
            protocol = self._make_protocol()
            protocol.is_extra = is_extra
            return protocol

        try:
            await self._loop.connect_accepted_socket(make_protocol, connection)
        except OSError:
            # It was reset before its turn came.
            self._connections.leave(None)
            connection.close()
