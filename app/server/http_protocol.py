"""One client connection: parses requests one at a time and sends their responses in order.

A request that cannot be served gets 400, 408, 414, 431, 501 or 505, and the connection ends. While a
request is in flight the bytes behind it are not parsed, so pipelining costs nothing in advance.
"""

import asyncio
import functools
import logging
import time
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from app.config.schema import ServerConfig
from app.gateway.capacity.loop_sharing import LoopSharing
from app.gateway.lazy_timers import LazyTimers
from app.gateway.ports import Clock
from app.server.acceptor import AcceptedProtocol
from app.server.asgi_scope import asgi_scope
from app.server.client_transport import ClientTransport
from app.server.connections import Connections
from app.server.end_flow import EndFlow
from app.server.half_close import HALF_CLOSE, watch_half_close
from app.server.http_exchange import Exchange
from app.server.http_head import RequestHead, RequestRefusedError
from app.server.http_input import RequestInput
from app.server.http_refusal import late_head, no_connection, refusal
from app.server.known_callers import KnownCallers
from app.server.lanes import is_live, is_watching
from app.server.read_flow import READ_BYTES
from app.server.timers import Timers
from app.server.turns import Turns
from app.server.write_flow import HIGH_WATER_BYTES, WriteFlow

_logger = logging.getLogger("uvicorn.error")


class HttpConnection(EndFlow, WriteFlow, AcceptedProtocol):
    """One connection. Timers are set only where a client makes the server wait: a request that comes in one piece costs none."""

    server_config: ServerConfig = ServerConfig()
    lazy_timers: LazyTimers

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = config.loaded_app
        self._loop = _loop or asyncio.get_running_loop()
        self.server_state = server_state
        self._app_state = app_state
        self._keep_alive_seconds = config.timeout_keep_alive
        self._addresses: dict[str, Any] = {}
        self._input = RequestInput(self.server_config.max_header_bytes, functools.partial(self.connections.hold, self))
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_at_end = False
        self._timers = Timers(self.lazy_timers)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection without a request is as idle as one between two requests."""
        self.transport = transport = cast("ClientTransport", transport)
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self.server_state.connections.add(self)  # type: ignore[arg-type]  # its own protocols are meant
        client = get_remote_addr(transport)
        self._addresses = {"server": get_local_addr(transport), "client": client}
        self._client = "" if client is None else client[0]
        self.connections.is_unused(self)
        self._becomes_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended: release everything that belongs to it."""
        self.server_state.connections.discard(self)
        self.connections.leave(self)
        self._timers.stop_all()
        exchange, self._exchange, self._task = self._exchange, None, None
        if exchange is not None and not exchange.response_complete:
            exchange.leave(is_broken=exc is not None)
        self._writing_ended()
        self._input.end()

    def eof_received(self) -> bool:
        """The client sends nothing more. A request that it has sent in full is still served (RFC 9112, section 9.6)."""
        while self._waits_for_turn and self._input.is_in_body:
            # The bytes that wait for their turn may be the end of the body.
            self._take_turn()
        self._is_at_end = True
        exchange = self._exchange
        if exchange is None:
            return bool(self._input.waiting_bytes) and not self._is_refused
        if exchange.is_delivering:
            return True
        if self._is_refused or self._input.is_in_body or exchange.response_started:
            # Within a request, or when a response has begun, the client has nearly always left.
            return False
        watch_half_close(self._timers, self.transport, exchange)
        return True

    def shutdown(self) -> None:
        """End the connection with the response that is due, or now where there is none."""
        if self._exchange is None or self._exchange.response_complete:
            self.transport.close()
        else:
            self._exchange.keep_alive = False

    def abort(self) -> None:
        """End the connection now; what its client has not taken is lost."""
        if self._exchange is not None and not self._exchange.response_complete:
            self._exchange.leave()
        self.transport.abort()

    @property
    def undelivered_bytes(self) -> int:
        """The bytes of a complete response that have not left the process; 0 while a response is incomplete."""
        exchange = self._exchange
        if exchange is None:
            return self.transport.get_write_buffer_size()
        return exchange.undelivered_bytes if exchange.is_delivering else 0

    def response_ended(self) -> None:
        """The response is complete; one that came before the end of the body (413) leaves the rest to be discarded, for a while.

        Closing at once would reset the connection, and a client that is still sending would never read its response.
        """
        self.server_state.total_requests += 1
        self._was_served = True
        if HALF_CLOSE in self._timers:
            self._timers.stop(HALF_CLOSE)
        exchange = self._exchange
        if exchange is None or self.transport.is_closing():
            return
        self.connections.is_idle(self)
        if self._final_bytes is not None:
            self._end_output(self._final_bytes)
        elif not self._input.is_in_body:
            self._end_exchange(exchange)
        elif exchange.keep_alive:
            self.read_as_needed()
            self._discard_for_a_while()
        else:
            self._end_output(b"")

    def _go_on(self, *, was_waiting: bool = False) -> None:
        """Parse what was received, up to the end of one request: one request is served at a time."""
        source = self._input
        if not self._is_ended():
            try:
                self._take(source)
            except RequestRefusedError as error:
                if was_waiting and self._task is not None:
                    # The whole request was received before it was parsed: it is refused before it begins.
                    self._task.cancel()
                self._refuse(error)
        if self._is_ended():
            source.drop()
        elif not source.release_taken():
            self.transport.abort()
        elif self._is_at_end and (source.is_in_head or (source.is_in_body and not source.waiting_bytes)):
            # The rest of the request will never arrive.
            self.transport.close()
        else:
            if source.is_in_head and "head" not in self._timers:
                seconds = self.server_config.receive_head_seconds
                self._timers.set("head", seconds, lambda: self._refuse(late_head(seconds)))
            self.read_as_needed()

    def _take(self, source: RequestInput) -> None:
        """Take heads and bodies; raises `RequestRefusedError`."""
        while source.waiting_bytes and not self._is_ended():
            if source.is_in_body:
                if not self._take_body():
                    self._take_later()
                    return
            elif self._exchange is not None:
                return
            elif (head := source.take_head()) is not None:
                self._begin(head)

    def _begin(self, head: RequestHead) -> None:
        """Serve a request from its head on."""
        if "head" in self._timers:
            self._timers.stop("head")
        if self.is_extra and not self._is_for_watching(head):
            self.connections.closed["refused"] += 1
            self._input.drop()
            self._end_output(refusal(no_connection()))
            return
        self.connections.is_served(self)
        self.transport.goes_on_with_probes(is_live(head.path))
        self._count_request(head)
        exchange = self._exchange = Exchange(self, head, _logger)
        if not self._input.is_in_body:
            exchange.is_body_complete = True
            exchange.wake()
        scope = asgi_scope(head, self._addresses, self._app_state)
        if self._is_at_end:
            watch_half_close(self._timers, self.transport, exchange)
        task = self._task = self._loop.create_task(exchange.run(self._app, scope))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def _count_request(self, head: RequestHead) -> None:
        """Count it for the client that began it: the key of the connection's last request, or that of these credentials."""
        client: str | None = None
        if not is_watching(head.path):
            client = self.key_id
            if client is None:
                credentials = next((value for name, value in head.headers if name == b"authorization"), None)
                client = None if credentials is None else self.known_callers.key_id_of_credentials(credentials)
            if client is None:
                client = self._client
        self._counted_as = client
        self.sharing.count_step(client)

    def _is_for_watching(self, head: RequestHead) -> bool:
        """Whether a request is served on this connection, which was accepted beyond the bound."""
        if self.connections.is_exceeded:
            head.keep_alive = False
            return is_watching(head.path)
        self.connections.is_served(self)
        self.is_extra = False
        return True

    def _take_body(self) -> bool:
        """Take bytes of a body; after the response they are only counted. False where there is more than is taken at once."""
        exchange = self._exchange
        is_wanted = exchange is not None and not exchange.response_complete
        self._input.take_body(exchange.content if exchange is not None and is_wanted else None)
        is_complete = not self._input.is_in_body
        if is_complete and "discard" in self._timers:
            self._timers.stop("discard")
        if exchange is not None:
            if is_wanted:
                exchange.is_body_complete = is_complete
                exchange.wake()
            elif is_complete:
                self._end_exchange(exchange)
        return is_complete or not self._input.waiting_bytes

    def _end_exchange(self, exchange: Exchange) -> None:
        """Request and response are complete: continue with what the client has sent meanwhile."""
        self._exchange = self._task = None
        self._input.end_request()
        waits = bool(self._input.waiting_bytes)
        if self._is_at_end and not waits:
            self.transport.close()
        elif not exchange.keep_alive:
            if waits or not self._reads:
                self._end_output(b"")
            else:
                self.transport.close()
        else:
            if not waits:
                self._becomes_idle()
            # Reading had stopped if much of the body arrived before the application read it; a refusal reads none of it.
            self.read_as_needed()
            if waits:
                self._take_in_turn(partial(self._go_on, was_waiting=True))


def bounded_protocol(
    server: ServerConfig, connections: Connections, clock: Clock, sharing: LoopSharing
) -> type[HttpConnection]:
    """Return the connection class of one server: uvicorn makes one instance per connection and passes it no options."""
    return type("HttpConnection", (HttpConnection,), {
        "server_config": server,
        "connections": connections,
        "clock": clock,
        "lazy_timers": LazyTimers(),
        "known_callers": KnownCallers(),
        "sharing": sharing,
        "turns": Turns(time.thread_time, sharing),
        "read_buffer": memoryview(bytearray(READ_BYTES)),
    })  # fmt: skip
