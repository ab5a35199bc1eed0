"""The connection pool of one provider: it hands out no connection that the provider has closed, and separates waiting from connecting.

Input: requests of the HTTP client, each with the `ConnectionWatch` of the task that sends it.
Output: connections, and on the watch how far the request got. A POST on a connection that turns out
dead must not be sent again unseen, so the pool looks before the request is written.
"""

import asyncio
import functools
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, cast

import aiohttp
from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.tracing import Trace

from app.gateway.bounded_reads import READ_BYTES, BoundedReads
from app.gateway.cancellation import Interrupt, InterruptedCallError, RunningTime
from app.gateway.overhead import OverheadTimer, WaitFor

WATCH: Final[ContextVar["ConnectionWatch | None"]] = ContextVar("gatewayz_connection_watch", default=None)


_STATUS_LINE: Final = b"HTTP/1.1 1"
_MOST_STATUS_LINES: Final = 64


class ConnectionWatch:
    """How one request gets its connection.

    `must_be_fresh`: no pooled connection will do. `was_reused`: the connection had served a request
    before. `on_connected` is called once the request can be sent. `timer` is that of the client's
    request, which waits here.
    """

    __slots__ = ("must_be_fresh", "on_connected", "timer", "was_reused")

    def __init__(self, on_connected: Callable[[], None], timer: OverheadTimer, *, must_be_fresh: bool = False) -> None:
        self.must_be_fresh = must_be_fresh
        self.timer = timer
        self.on_connected = on_connected
        self.was_reused = False


class PoolTimeoutError(aiohttp.ClientError):
    """No connection of the pool became free in time: the gateway's own bound, not the provider's fault."""


class ProviderConnection(ResponseHandler):
    """A connection that never leaves the reader of a body waiting after its end.

    aiohttp 3.14's C parser reports nothing to the reader when the framing of a chunked body breaks
    after the head; the pure Python parser does. A provider that sends interim responses (1xx)
    without end is cut off: each of them is parsed, and none is a response.
    """

    _interim_responses = 0
    _overhead: OverheadTimer | None = None
    _has_response = False
    has_served = False
    """Whether a request was sent on it."""
    _poll: "select.poll | None" = None
    _is_held = False
    """Between `try_pause` and `go_on`."""
    _rests = False
    """Whether nothing more is read in this pass of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, read_buffer: memoryview) -> None:
        super().__init__(loop)
        self._read_buffer = read_buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read in small pieces from now on."""
        super().connection_made(transport)
        is_tls = transport.get_extra_info("ssl_object") is not None
        reads = BoundedReads(self, self._read_buffer, self._rest, is_tls=is_tls)
        cast("asyncio.Transport", transport).set_protocol(reads)

    def serve(self, timer: OverheadTimer) -> None:
        """Send the next request, whose time `timer` splits."""
        self._overhead, self._has_response = timer, False

    def is_readable(self) -> bool:
        """Whether bytes or the end of the stream wait, while it is idle; the event loop may not have read them yet."""
        if self.transport is None:
            return True
        if self._poll is None:
            socket = self.transport.get_extra_info("socket")
            if socket is None:
                return True
            self._poll = select.poll()
            self._poll.register(socket.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def try_pause(self) -> bool:
        """Leave what comes with the kernel; False where that is so already, because enough is unread."""
        if self._reading_paused or self._buffer_paused:
            return False
        self._pause_transport_reading()
        self._is_held = True
        return True

    def go_on(self) -> None:
        """End what `try_pause` began, unless enough is unread by now."""
        self._is_held = False
        self._read_on()

    def _rest(self) -> None:
        """Read no more in this pass of the event loop."""
        if not self._rests:
            self._rests = True
            self._pause_transport_reading()
            self._loop.call_soon(self._end_rest)

    def _end_rest(self) -> None:
        self._rests = False
        self._read_on()

    def _read_on(self) -> None:
        if not (self._reading_paused or self._buffer_paused or self._is_held or self._rests):
            self._resume_transport_reading()

    def start_timeout(self) -> None:
        """The request is written: from now on the provider is waited for."""
        super().start_timeout()
        if self._overhead is not None and not self._has_response:
            self._overhead.wait_when_flushed("provider")

    async def _drain_helper(self) -> None:
        """Wait until the provider has taken enough of a large request."""
        if self._overhead is None or self._has_response:
            await super()._drain_helper()
            return
        self._overhead.wait("provider")
        try:
            await super()._drain_helper()
        finally:
            if not self._has_response:
                self._overhead.resume("provider")

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on, where reading was paused. aiohttp calls this with each part that is taken, and then parses nothing."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        """Take what came; before the head of the response only so many status lines."""
        if data and self._overhead is not None:
            self._has_response = True
            self._overhead.resume("provider")
        if self._payload is None or self._payload is EMPTY_PAYLOAD:
            self._interim_responses += data.count(_STATUS_LINE)
            if self._interim_responses > _MOST_STATUS_LINES:
                self.close()
                self.set_exception(aiohttp.ServerDisconnectedError("too many interim responses"))
                return
        else:
            self._interim_responses = 0
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a body that is not whole in an error."""
        if self._overhead is not None:
            self._overhead.resume("provider")
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the connection ended before the body did"))


class LiveConnector(aiohttp.TCPConnector):
    """A pool that checks an idle connection at the moment of its use: what is readable there can only be its end.

    `pool_wait_seconds` bounds the wait for a free connection, `connect_seconds` the making of one
    (DNS, TCP, TLS); neither counts time in which the event loop did not run. With a
    `keepalive_timeout` of 0 no connection is used again.
    """

    def __init__(
        self, *, limit: int, keepalive_timeout: float, pool_wait_seconds: float, connect_seconds: float
    ) -> None:
        if keepalive_timeout:
            super().__init__(limit=limit, keepalive_timeout=keepalive_timeout)
        else:
            super().__init__(limit=limit, force_close=True)
        # mypy: `partial` is invariant, so a subclass of what the base makes is another type to it.
        self._factory = functools.partial(
            ProviderConnection, loop=asyncio.get_running_loop(), read_buffer=memoryview(bytearray(READ_BYTES))
        )  # type: ignore[assignment]
        self._pool_wait_seconds = pool_wait_seconds
        self._connect_seconds = connect_seconds

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  the signature of the base class
    ) -> Connection:
        """Return a connection that is open as far as the kernel knows."""
        watch = WATCH.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            was_reused = False
            if isinstance(protocol, ProviderConnection):
                was_reused = protocol.has_served
                if was_reused and protocol.is_readable():
                    connection.close()
                    continue
                protocol.has_served = True
                if watch is not None:
                    protocol.serve(watch.timer)
            if watch is not None:
                watch.was_reused = was_reused
                watch.on_connected()
            return connection

    async def _get(self, key: Any, traces: list[Trace]) -> Connection | None:
        """Return an idle connection, unless the request must have a fresh one."""
        watch = WATCH.get()
        if watch is not None and watch.must_be_fresh:
            return None
        return await super()._get(key, traces)

    async def _wait_for_available_connection(self, key: Any, traces: list[Trace]) -> None:
        """Wait for a free connection; raises `PoolTimeoutError`."""
        interrupt = Interrupt()
        timer = RunningTime(self._pool_wait_seconds, lambda: interrupt.fire("pool_timeout"))
        try:
            with interrupt, _waiting("pool"):
                await super()._wait_for_available_connection(key, traces)
        except InterruptedCallError:
            raise PoolTimeoutError from None
        finally:
            timer.close()

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  the signature of the base class
    ) -> ResponseHandler:
        """Make a connection; raises TimeoutError where that takes too long."""
        interrupt = Interrupt()
        timer = RunningTime(self._connect_seconds, lambda: interrupt.fire("connect_timeout"))
        try:
            with interrupt, _waiting("provider"):
                return await super()._create_connection(req, traces, timeout)
        except InterruptedCallError:
            raise TimeoutError from None
        finally:
            timer.close()


@contextmanager
def _waiting(reason: WaitFor) -> Iterator[None]:
    """Leave the time inside of the block out of the overhead of the request that is sent."""
    watch = WATCH.get()
    if watch is None:
        yield
        return
    watch.timer.wait(reason)
    try:
        yield
    finally:
        watch.timer.resume(reason)
