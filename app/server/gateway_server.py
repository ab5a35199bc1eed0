"""Runs the connections of a process: begins to listen, and stops in a fixed order.

At a stop no connection is accepted any more, and responses have `grace_seconds` to be finished and
read. Then responses that clients do not read are cut, unfinished requests end with an error, and
losses are reported.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, cast

import uvicorn

from app.config.schema import ServerConfig
from app.counted import counted
from app.gateway.capacity.loop_sharing import LoopSharing
from app.gateway.in_flight import CallsInFlight
from app.server.acceptor import AcceptedProtocol, Acceptor
from app.server.connections import Connections
from app.server.http_protocol import HttpConnection
from app.server.send_watch import SendWatch
from app.server.socket_events import ClientEvents
from app.server.stop_signals import StopSignals

_POLL_SECONDS: Final = 0.02
_END_SECONDS: Final = 1.0


class GatewayServer(uvicorn.Server):
    """uvicorn's server with the gateway's order of stopping. `print_line` prints one line for the operator.

    `forced_exit_code` ends the process at a second signal.

    A response ends when its last byte has left the process, so waiting for requests waits for slow readers too.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        calls: CallsInFlight,
        connections: Connections,
        sharing: LoopSharing,
        grace_seconds: float,
        print_line: Callable[[str], None],
        forced_exit_code: int,
        send_stall_seconds: float = ServerConfig().send_stall_seconds,
    ) -> None:
        super().__init__(config)
        self._watch = SendWatch(self._open_connections, send_stall_seconds, time.monotonic)
        self._connections = connections
        self._sharing = sharing
        self._calls = calls
        self._grace_seconds = grace_seconds
        self._print_line = print_line
        self._signals = StopSignals(self._stop, print_line, forced_exit_code)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal. Unlike uvicorn's, it does not raise the signal again at the end."""
        with self._signals.handled():
            yield

    def _stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen with `Acceptor`: unlike uvicorn's listener it is bounded and survives a lack of descriptors."""
        loop = asyncio.get_running_loop()

        def make_protocol() -> AcceptedProtocol:
            made = self.config.http_protocol_class(config=self.config, server_state=self.server_state, app_state={})  # type: ignore[call-arg]
            return cast("AcceptedProtocol", made)

        self._events = ClientEvents(loop, self._sharing)
        self._acceptors = [
            Acceptor(loop, each, self._events, make_protocol, self._connections) for each in sockets or []
        ]
        self._watch.start()
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving; when it returns no request is being served, and clients have received what they read within the grace."""
        for acceptor in self._acceptors:
            acceptor.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._all_end(self._grace_seconds):
            await self._end_the_rest()
        self._watch.stop()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self._events.close()

    async def _end_the_rest(self) -> None:
        """End what did not finish within the grace: cut responses that clients do not read, then interrupt requests in flight."""
        grace = f"within {self._grace_seconds:g} s"
        cut = self._cut_undelivered()
        await asyncio.sleep(_POLL_SECONDS)
        if self.server_state.tasks:
            stopped = self._calls.stop()
            self._print_line(f"{counted(stopped, 'request')} did not finish {grace}: ended with an error")
            if not await self._all_end(_END_SECONDS):
                cut = cut + self._cut_undelivered(is_last_chance=True)
                for task in list(self.server_state.tasks):
                    task.cancel()
                await self._all_end(_END_SECONDS)
        if cut.responses:
            self._print_line(
                f"{cut.responses} responses were cut: their clients did not take the last {cut.bytes} bytes {grace}"
            )

    def _cut_undelivered(self, *, is_last_chance: bool = False) -> "_Cut":
        """End connections with bytes that a client has not read: of complete responses, and with `is_last_chance` of all responses."""
        cut = _Cut(0, 0)
        for connection in self._open_connections():
            size = connection.undelivered_bytes
            if not size and is_last_chance:
                size = connection.transport.get_write_buffer_size()
            if size:
                cut = cut + _Cut(1, size)
                connection.abort()
        return cut

    def _open_connections(self) -> tuple[HttpConnection, ...]:
        return tuple(cast("set[HttpConnection]", self.server_state.connections))

    async def _all_end(self, timeout_seconds: float) -> bool:
        """Wait until no request is being served and every byte has left; false when the time is over first."""
        deadline = time.monotonic() + timeout_seconds
        while self.server_state.tasks or any(each.undelivered_bytes for each in self._open_connections()):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True


class _Cut(NamedTuple):
    """How many responses were cut, and how many of their bytes were lost."""

    responses: int
    bytes: int

    def __add__(self, other: "_Cut") -> "_Cut":  # type: ignore[override]  # a sum, not a longer tuple
        return _Cut(self.responses + other.responses, self.bytes + other.bytes)
