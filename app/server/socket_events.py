"""Reports which client connections can be read or written, a few in each pass of the event loop.

The event loop's own transports report all of them in one pass: thousands of clients that send, or that leave, at the same moment
would keep timers, streams and health checks waiting meanwhile. Here the sockets are watched by a selector of their own, which
is one descriptor to the event loop, and the next few are reported in its next pass.
"""

import asyncio
import selectors
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sized
from typing import Final, Protocol

from app.gateway.capacity.loop_sharing import LoopSharing

_REPORTED_SECONDS: Final = 0.002
"""Of reads, and of writes, in each pass of the event loop, after the first few: each takes some twentieth of a millisecond."""

_REPORTED_SECONDS_SHARED: Final = 0.0002
_FEW: Final = 2
_ENDED_AT_ONCE_SHARED: Final = 2
"""Of a connection that has ended, most of the work comes in the next passes: its request is ended, counted and logged."""

_REPORTED_PER_SELECTED: Final = 16
"""A selector names those that can still be written each time: of thousands, that takes longer than a pass, so some are served first."""


class WatchedTransport(Protocol):
    """What is told of its socket."""

    def socket_is_ready(self, events: int) -> None:
        """The socket can be read (`selectors.EVENT_READ`) or written (`EVENT_WRITE`), or has failed, which reading or writing shows."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing is read or written any more."""

    def flush(self) -> None:
        """Give the kernel what was written."""

    def fail(self, error: Exception) -> None:
        """Report an exception that is no error of the network, and end the connection."""


class SocketEvents:
    """For one event loop, and used on it. `close` is called when no connection is left.

    `clock` returns seconds, best of the loop's own processor time.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sharing: LoopSharing, clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._loop = loop
        self._sharing = sharing
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._readable: deque[tuple[WatchedTransport, int]] = deque()
        self._writable: OrderedDict[WatchedTransport, int] = OrderedDict()
        """Those that can only be written. A request does not wait for thousands of slow readers."""
        self._before_selecting = 0
        """How many more are reported before the next ones are asked for, while some are left."""
        self._to_flush: list[WatchedTransport] = []
        # Each selector of Linux, macOS and the BSDs has a descriptor, which can be read while it has something to report.
        self._descriptor = self._selector.fileno()
        loop.add_reader(self._descriptor, self._report_some)

    def change(self, connection: socket.socket, transport: WatchedTransport, before: int, now: int) -> None:
        """Report other events of a socket than before; 0 is none."""
        if not before:
            self._selector.register(connection, now, transport)
        elif now:
            self._selector.modify(connection, now, transport)
        else:
            self._selector.unregister(connection)

    @property
    def watched(self) -> int:
        """How many sockets are watched."""
        return len(self._selector.get_map())

    def flush_soon(self, transport: WatchedTransport) -> None:
        """Flush a transport in the next pass: what is written in between leaves with it."""
        if not self._to_flush:
            self._loop.call_soon(self._flush)
        self._to_flush.append(transport)

    def close(self) -> None:
        """Report nothing more."""
        self._loop.remove_reader(self._descriptor)
        self._selector.close()
        self._readable.clear()
        self._writable.clear()

    def _report_some(self) -> None:
        readable, writable = self._readable, self._writable
        if not readable and (not writable or self._before_selecting <= 0):
            # All of them, for a selector may name the same ones first each time.
            selected = self._selector.select(0)
            self._before_selecting = len(selected) // _REPORTED_PER_SELECTED
            for key, events in selected:
                if events & selectors.EVENT_READ:
                    readable.append((key.data, events))
                else:
                    writable.setdefault(key.data, events)
        if readable:
            self._report(readable, readable.popleft)
        if writable:
            self._report(writable, lambda: writable.popitem(last=False))

    def _report(self, ready: Sized, take: Callable[[], tuple[WatchedTransport, int]]) -> None:
        is_shared = self._sharing.is_shared
        seconds = _REPORTED_SECONDS_SHARED if is_shared else _REPORTED_SECONDS
        began = self._clock() if len(ready) > _FEW else 0.0
        ended = 0
        while ready:
            for _ in range(min(len(ready), _FEW)):
                transport, events = take()
                self._before_selecting -= 1
                had_ended = transport.has_ended
                transport.socket_is_ready(events)
                ended += transport.has_ended is not had_ended
            if ready and (self._clock() - began >= seconds or (is_shared and ended >= _ENDED_AT_ONCE_SHARED)):
                break

    def _flush(self) -> None:
        to_flush, self._to_flush = self._to_flush, []
        for transport in to_flush:
            try:
                transport.flush()
            except Exception as error:  # noqa: BLE001  the others have to be flushed as well
                transport.fail(error)


class ClientEvents:
    """What is reported of all client connections of one event loop.

    Connections whose last request was a probe of liveness have a selector of their own: such a client asks again soon, and must
    not wait until thousands of others were read or written.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sharing: LoopSharing) -> None:
        self.sharing = sharing
        self.usual = SocketEvents(loop, sharing)
        self.probes = SocketEvents(loop, sharing)

    def close(self) -> None:
        """Report nothing more; no connection is left."""
        self.usual.close()
        self.probes.close()
