"""Sends a small request to a provider in one write, at once.

aiohttp writes a body in a task of its own. Before Python 3.12 such a task begins only in the next
pass of the event loop, and the request waits for all other work of that pass; in any version the
task costs more than the write.
"""

import asyncio

from aiohttp import ClientOSError, ClientRequest, ClientResponse
from aiohttp.connector import Connection
from aiohttp.payload import BytesPayload

from app.gateway.prepared_request import AT_ONCE_BYTES


class ProviderRequest(ClientRequest):
    """One request; its body is not read again."""

    async def send(self, conn: Connection) -> ClientResponse:
        """Write the request and return its response, which has not arrived yet; raises `ClientOSError`."""
        body, protocol = self._body, conn.protocol
        transport = None if protocol is None else protocol.transport
        if (
            protocol is None
            or transport is None
            or protocol.writing_paused
            or not isinstance(body, BytesPayload)
            or (body.size or 0) > AT_ONCE_BYTES
            or self.chunked
            or self.compress
            or self._continue is not None
        ):
            return await super().send(conn)
        # A request without a body is written without a task. Its head is kept, to be written with the body.
        self._body, protocol.transport = None, (head := _Head(transport))
        try:
            response = await super().send(conn)
        except ConnectionResetError as error:
            raise ClientOSError(*error.args) from error
        finally:
            protocol.transport = transport
        transport.write(b"".join((*head.parts, body._value)))  # noqa: SLF001  `as_bytes` is a coroutine
        return response


class _Head(asyncio.Transport):
    """Stands for a connection while the head of a request is written, and keeps it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.parts: list[bytes] = []
        self._transport = transport

    def is_closing(self) -> bool:
        """Whether the connection closes."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep a part of the head."""
        self.parts.append(bytes(data))
