"""Accepts client connections within their bound and within the limit of file descriptors.

asyncio's own listener drops connections silently when no descriptor is left. This one closes the
connection that has been idle longest, counts, logs, and tries again after a pause.

The kernel's queue has one order, and what comes while it is full is lost for a second. It is emptied
quickly, for a health check may stand at its end; the connections are made a few at a time, in the
order of `WaitingConnections`.
"""

import asyncio
import errno
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from app.server.client_transport import ClientTransport
from app.server.connections import Admission, Connections
from app.server.lanes import LIVE_AT_ONCE
from app.server.socket_events import ClientEvents
from app.server.waiting_connections import Accepted, WaitingConnections

_ACCEPTED_AT_ONCE: Final = 64
"""In each pass, or an eighth of a longer queue: it must not overflow, and others wait meanwhile."""

_ACCEPTED_WHERE_UNKNOWN: Final = 512
_PASSES: Final = 8
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_UNACKED: Final = slice(24, 28)
"""Of Linux' `struct tcp_info`: eight bytes, four numbers of 32 bits, then `tcpi_unacked`, which is the length of a listener's queue."""

_MADE_AT_ONCE: Final = 8
"""In each pass of the event loop: accepting costs a tenth of making the connection."""

_FEW: Final = 16
"""While fewer wait there is no flood."""

_MADE_BESIDE_OTHERS: Final = 2
"""Those who stand in a long queue of the kernel wait for each one that is made, and so do the requests of a client with few beside one
with many; connections that were accepted have an order."""

_CLOSED_AT_ONCE: Final = 16
"""In each pass of the event loop: the kernel takes longer to close a connection than to accept one."""

_MOST_TO_CLOSE: Final = 1_024
_PAUSE_SECONDS: Final = 0.05
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class AcceptedProtocol(asyncio.BufferedProtocol):
    """The protocol of a connection that was accepted; `is_extra` is set before it is made."""

    is_extra = False


class Acceptor:
    """The listener of one server; `make_protocol` makes the protocol of a connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: socket.socket,
        events: ClientEvents,
        make_protocol: Callable[[], AcceptedProtocol],
        connections: Connections,
    ) -> None:
        self._loop = loop
        self._listener = listener
        self._events = events
        self._make_protocol = make_protocol
        self._connections = connections
        self._waiting = WaitingConnections()
        self._is_making = False
        self._to_close: deque[socket.socket] = deque()
        self._most_to_close = min(_MOST_TO_CLOSE, connections.spare_descriptors)
        self._is_queue_long = False
        self._pause: asyncio.TimerHandle | None = None
        self._start()

    def close(self) -> None:
        """Accept nothing more; the socket stays its owner's."""
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()
        while (accepted := self._waiting.take()) is not None:
            self._give_up(accepted.connection)
        self._close_all()

    def _start(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept_some)

    def _accept_some(self) -> None:
        length = self._queue_length()
        at_once = _ACCEPTED_WHERE_UNKNOWN if length is None else max(_ACCEPTED_AT_ONCE, length // _PASSES)
        self._is_queue_long = length is not None and length > at_once
        for _ in range(at_once):
            room = self._room() if self._connections.is_full else "slot"
            if room is None:
                break
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionAbortedError:
                continue
            except OSError as error:
                has_closed = self._close_all()
                if error.errno in _EXHAUSTED and not has_closed:
                    self._connections.out_of_descriptors()
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._start)
                break
            connection.setblocking(False)
            admission = self._connections.admit() if room == "slot" else self._take_over()
            if admission is None:
                connection.close()
            elif not self._waiting.put(Accepted(connection, address[0], admission == "extra")):
                self._connections.leave(None)
        if not self._is_making:
            self._make_some()
        else:
            self._make_live()

    def _queue_length(self) -> int | None:
        """Return how many connections stand in the kernel's queue; None is unknown."""
        if _TCP_INFO is None or sys.platform != "linux":
            return None
        try:
            info = self._listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _UNACKED.stop)
        except OSError:
            # It is no TCP socket.
            return None
        return int.from_bytes(info[_UNACKED], sys.byteorder)

    def _room(self) -> Literal["slot", "waiting"] | None:
        """Return where there is room although all slots are taken: an idle connection, an extra one, or one that waits and loses little."""
        pending = len(self._waiting)
        if pending < _FEW:
            return "slot" if pending == 0 or self._connections.has_idle else None
        if self._waiting.can_give_way:
            return "waiting"
        # Those just accepted are idle once they are made: until then a few others would pay for all of them.
        is_closing = self._connections.open >= self._connections.max_open + _FEW
        return "slot" if self._connections.are_many_idle and not is_closing else None

    def _take_over(self) -> Admission:
        """Close a connection that waits and loses little; return what it was admitted as."""
        replaced = self._waiting.take_to_give_way()
        self._connections.closed["idlest"] += 1
        if len(self._to_close) >= self._most_to_close:
            replaced.connection.close()
        else:
            if not self._to_close:
                self._loop.call_soon(self._close_some)
            self._to_close.append(replaced.connection)
        return "extra" if replaced.is_extra else "usual"

    def _make_some(self) -> None:
        for _ in range(self._waiting.look()):
            self._connections.leave(None)
        try:
            self._make_live()
            is_beside_others = self._is_queue_long or self._events.sharing.is_shared
            for _ in range(_MADE_BESIDE_OTHERS if is_beside_others else _MADE_AT_ONCE):
                accepted = self._waiting.take()
                if accepted is None:
                    break
                self._make(accepted)
        finally:
            self._is_making = bool(self._waiting)
            if self._is_making:
                self._loop.call_soon(self._make_some)

    def _make_live(self) -> None:
        for _ in range(LIVE_AT_ONCE):
            accepted = self._waiting.take_live()
            if accepted is None:
                break
            self._make(accepted)

    def _make(self, accepted: Accepted) -> None:
        protocol = self._make_protocol()
        protocol.is_extra = accepted.is_extra
        # What it has sent is read now: it would be reported after much else.
        ClientTransport(self._loop, self._events, accepted.connection, protocol).read()

    def _close_all(self) -> bool:
        """Close all connections that gave way; return whether there was one."""
        has_closed = bool(self._to_close)
        while self._to_close:
            self._to_close.popleft().close()
        return has_closed

    def _close_some(self) -> None:
        """Close connections that gave way, unless many stand in the kernel's queue."""
        if not self._is_queue_long:
            for _ in range(min(_CLOSED_AT_ONCE, len(self._to_close))):
                self._to_close.popleft().close()
        if self._to_close:
            self._loop.call_soon(self._close_some)

    def _give_up(self, connection: socket.socket) -> None:
        self._connections.leave(None)
        connection.close()
