"""The transport of one client connection, on a socket of its own.

What is written in one pass of the event loop leaves together in the next one, or at once by `flush`.
"""

import asyncio
import selectors
import socket
from typing import Any, Final

from app.server.socket_events import ClientEvents

_READ: Final = selectors.EVENT_READ
_WRITE: Final = selectors.EVENT_WRITE
_JOINED_BYTES: Final = 64 * 1024
"""So much is copied to leave in one call of the kernel."""

_LOW_SHARE: Final = 4


class ClientTransport(asyncio.Transport):
    """Used on the event loop. `protocol` gets `connection_made` at once, and `connection_lost` in a later pass, always and once.

    The socket does not block, and is this transport's from now on. An exception of the protocol is reported to the event
    loop's handler and ends the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        events: ClientEvents,
        connection: socket.socket,
        protocol: asyncio.BufferedProtocol,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._client_events = events
        self._events = events.usual
        self._socket = connection
        self._protocol: asyncio.BufferedProtocol | None = protocol
        self._watched = 0
        self._reads = True
        self.has_ended = False
        """Whether `connection_lost` is due, or was called: nothing is read or written any more."""
        self._is_closing = False
        self._ends_output = False
        self._has_shut = False
        self._is_blocked = False
        """Whether the kernel takes no more for now."""
        self._pending: list[bytes | memoryview] = []
        self._pending_bytes = 0
        self._is_paused = False
        self._high = _JOINED_BYTES
        self._low = _JOINED_BYTES // _LOW_SHARE
        try:
            protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001  whatever a protocol raises ends its connection alone
            self.fail(error)
        self._watch()

    def goes_on_with_probes(self, is_probing: bool) -> None:
        """Its last request was a probe of liveness, or was none."""
        events = self._client_events.probes if is_probing else self._client_events.usual
        if events is not self._events:
            if self._watched:
                self._events.change(self._socket, self, self._watched, 0)
                self._watched = 0
            self._events = events
            self._watch()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the `socket`, or the address of either side; the default where the connection has ended."""
        if name == "socket":
            return self._socket
        try:
            if name == "peername":
                return self._socket.getpeername()
            if name == "sockname":
                return self._socket.getsockname()
        except OSError:
            pass
        return default

    def is_closing(self) -> bool:
        """Whether nothing more is read, and nothing more may be written."""
        return self._is_closing

    def is_reading(self) -> bool:
        """Whether the protocol wants bytes."""
        return self._reads and not self._is_closing

    def pause_reading(self) -> None:
        """Read no more. Costs nothing unless bytes arrive meanwhile."""
        self._reads = False

    def resume_reading(self) -> None:
        """Read again; the protocol does not ask for it after the client's end."""
        self._reads = True
        self._watch()

    def socket_is_ready(self, events: int) -> None:
        """Read, or write what waits; what is not wanted is no longer watched."""
        if events & _WRITE and self._is_blocked:
            self._is_blocked = False
            self.flush()
        if events & _READ and self._watched & _READ:
            if self.is_reading():
                self.read()
            else:
                self._watch()

    def read(self) -> None:
        """Read once, and give the protocol what came."""
        protocol = self._protocol
        if protocol is None or not self.is_reading():
            return
        try:
            count = self._socket.recv_into(protocol.get_buffer(-1))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        try:
            if count:
                protocol.buffer_updated(count)
            elif protocol.eof_received():
                self._reads = False
                self._watch()
            else:
                self.close()
        except Exception as error:  # noqa: BLE001  whatever a protocol raises ends its connection alone
            self.fail(error)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pause the protocol while more than `high` bytes wait to be written, until no more than `low` do; a quarter by default."""
        self._high = _JOINED_BYTES if high is None else high
        self._low = self._high // _LOW_SHARE if low is None else low
        self._pause_where_full()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return `low` and `high`."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many written bytes the kernel does not have; of a connection that has ended, those that were lost."""
        return self._pending_bytes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write bytes, which the caller does not change any more; dropped where the connection is closing."""
        if self._ends_output:
            raise RuntimeError("written after the end of the output")
        if not data or self._is_closing:
            return
        if not self._pending:
            self._events.flush_soon(self)
        self._pending.append(data)  # type: ignore[arg-type]
        self._pending_bytes += len(data)
        if self._pending_bytes > self._high and not self._is_paused:
            self.flush()
            self._pause_where_full()

    def flush(self) -> None:
        """Give the kernel what was written, as far as it takes it."""
        pending = self._pending
        while pending and not self._is_blocked and not self.has_ended:
            if len(pending) > 1 and self._pending_bytes <= _JOINED_BYTES:
                pending[:] = [b"".join(pending)]
            data = pending[0]
            try:
                sent = self._socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._end(error)
                return
            self._pending_bytes -= sent
            if sent == len(data):
                del pending[0]
            else:
                pending[0] = memoryview(data)[sent:]
                self._is_blocked = True
        if self.has_ended:
            return
        if self._is_blocked is not bool(self._watched & _WRITE):
            self._watch()
        if not pending and (self._is_closing or self._ends_output):
            self._output_is_empty()
        if self._is_paused and self._pending_bytes <= self._low and self._protocol is not None:
            self._is_paused = False
            self._protocol.resume_writing()

    def can_write_eof(self) -> bool:
        """TCP can end one direction."""
        return True

    def write_eof(self) -> None:
        """End the output after what was written."""
        if not self._ends_output and not self._is_closing:
            self._ends_output = True
            self.flush()

    def close(self) -> None:
        """End the connection after what was written."""
        if not self._is_closing:
            self._is_closing = True
            self.flush()

    def abort(self) -> None:
        """End the connection now."""
        self._end(None)

    def _watch(self) -> None:
        """Watch what is wanted now; nothing after the end."""
        wanted = 0
        if not self.has_ended:
            wanted = (_READ if self.is_reading() else 0) | (_WRITE if self._is_blocked else 0)
        if wanted != self._watched:
            before, self._watched = self._watched, 0
            try:
                self._events.change(self._socket, self, before, wanted)
            except OSError as error:
                # The kernel watches no more sockets, or has no memory: it has forgotten this one.
                self._end(error)
            else:
                self._watched = wanted

    def _pause_where_full(self) -> None:
        if self._pending_bytes > self._high and not self._is_paused and self._protocol is not None:
            self._is_paused = True
            self._protocol.pause_writing()

    def _output_is_empty(self) -> None:
        if self._is_closing:
            self._end(None)
        elif not self._has_shut:
            self._has_shut = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                # The client has reset it.
                self._end(error)

    def _end(self, error: Exception | None) -> None:
        """Let `connection_lost` be called in the next pass: its callers are in the middle of something."""
        if not self.has_ended:
            self.has_ended = self._is_closing = True
            self._loop.call_soon(self._lose, error)
            self._watch()
            self._pending.clear()

    def fail(self, error: Exception) -> None:
        """Report an exception that is no error of the network to the event loop's handler, and end the connection."""
        self._loop.call_exception_handler({"message": "a connection failed", "exception": error})
        self._end(error)

    def _lose(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        try:
            if protocol is not None:
                protocol.connection_lost(error)
        finally:
            self._socket.close()
