"""CONNECTOR: the connection pool of one provider, which hands out no connection that the provider has already closed.

Comes in: requests of the HTTP client. Goes out: connections, and through `connection_was_reused` whether the current task's was an old
one. A POST on a connection that turns out dead must not be sent again unseen, so the pool looks before the request is written.
"""

import asyncio
import functools
import select
import weakref
from contextvars import ContextVar
from typing import Final

import aiohttp
from aiohttp import ClientRequest, ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

_REUSED: Final[ContextVar[bool]] = ContextVar("gatewayz_connection_reused", default=False)


def connection_was_reused() -> bool:
    """Whether the connection that the current task was given last had served a request before."""
    return _REUSED.get()


class _ResponseHandler(ResponseHandler):
    """A connection that never leaves the reader of a body waiting after its end.

    aiohttp 3.14's C parser says nothing to the reader when the framing of a chunked body breaks after the head; the pure Python parser does.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a body that is not whole in an error."""
        body = self._payload
        super().connection_lost(exc)
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(aiohttp.ClientPayloadError("the connection ended before the body did"))


class LiveConnector(aiohttp.TCPConnector):
    """A pool that checks an idle connection at the moment of its use: what is readable there can only be its end."""

    def __init__(self, *, limit: int, keepalive_timeout: float) -> None:
        super().__init__(limit=limit, keepalive_timeout=keepalive_timeout)
        # mypy: `partial` is invariant, so a subclass of what the base makes is another type to it.
        self._factory = functools.partial(_ResponseHandler, loop=asyncio.get_running_loop())  # type: ignore[assignment]
        self._served: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  the signature of the base class
    ) -> Connection:
        """Return a connection that is open as far as the kernel knows."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol not in self._served:
                if protocol is not None:
                    self._served.add(protocol)
                _REUSED.set(False)
                return connection
            if not _is_readable(protocol):
                _REUSED.set(True)
                return connection
            connection.close()


def _is_readable(protocol: ResponseHandler) -> bool:
    """Whether bytes or the end of the stream wait on an idle connection; the event loop may not have seen them yet."""
    transport = protocol.transport
    socket = transport.get_extra_info("socket") if transport is not None else None
    if socket is None:
        return True
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))
