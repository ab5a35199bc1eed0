# ruff: noqa: SLF001  nothing public reads on after an error, or takes what has arrived in one step
"""Bounds how much is read at once from a provider's connection, and reads what came before it broke.

The event loop reads up to 256 KB for a protocol that takes bytes, and a few hundred streams whose
clients do not read would hold so much each. A protocol that offers a buffer decides itself. Of chunks
of a byte each it reads less at once, and once in each pass, so that other connections have their turn.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp

READ_BYTES: Final = 16 * 1024
_FEW_BYTES: Final = 1024
_MANY_LINES: Final = 1_000
"""So many line ends of HTTP in one read are chunks of a few bytes: each costs as much as a large one, a read of them ten milliseconds."""


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between a connection and its protocol, which takes bytes. `buffer` may be shared: it is filled and emptied within one callback.

    `rest` lets nothing more be read in this pass of the event loop. With `is_tls` all is read that has been taken off the wire:
    the event loop ends a TLS connection with its last byte, and what is not read by then is lost.
    """

    def __init__(
        self, protocol: asyncio.Protocol, buffer: memoryview, rest: Callable[[], None], *, is_tls: bool = False
    ) -> None:
        self._shared = self._buffer = buffer
        self._rest = rest
        self._is_tls = is_tls
        self._size = READ_BYTES
        self._data_received = protocol.data_received
        # What else a connection tells is told to the protocol itself.
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.eof_received = protocol.eof_received  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go; over TLS the event loop hints at how many have arrived, up to 256 KiB."""
        if self._is_tls:
            self._buffer = self._shared if sizehint <= len(self._shared) else memoryview(bytearray(sizehint))
            return self._buffer
        return self._buffer if self._size == READ_BYTES else self._buffer[: self._size]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        data = bytes(self._buffer[:nbytes])
        self._buffer = self._shared
        if self._size == READ_BYTES:
            if nbytes > _FEW_BYTES and data.count(b"\r\n") > _MANY_LINES:
                self._size = _FEW_BYTES
        elif data.count(b"\r\n") * READ_BYTES < _MANY_LINES * nbytes:
            self._size = READ_BYTES
        self._data_received(data)
        if nbytes >= _FEW_BYTES and self._size == _FEW_BYTES:
            # There may be more: the event loop would read up to 32 times.
            self._rest()


def read_arrived(content: aiohttp.StreamReader, most_bytes: int) -> bytes:
    """Return what has arrived of a body, -1 for all of it, also where the body has broken off since.

    aiohttp raises the error at once, and what came before it would be lost. And it takes one part as it takes
    many: here the usual one, which is taken whole, costs a fifth.
    """
    if type(content) is not aiohttp.StreamReader:
        return content.read_nowait(most_bytes)
    parts, size = content._buffer, content._size
    if len(parts) != 1 or content._buffer_offset or size > most_bytes >= 0:
        return content._read_nowait(most_bytes) if parts else b""
    content._size = 0
    content._cursor += size
    if content._http_chunk_splits:
        content._http_chunk_splits.clear()
    data = parts.popleft()
    content._protocol.resume_reading()
    return data


def arrival(content: aiohttp.StreamReader) -> asyncio.Future[None]:
    """Return what ends when more of a body has arrived, or its end, and raises what has broken it off; at once where that is so already.

    It is what aiohttp's `read` does, without its two coroutines. One task waits at a time.
    """
    if content._exception is not None:
        raise content._exception
    if not content._protocol.connected:
        raise aiohttp.ClientPayloadError("the connection has ended before the body did")
    content._waiter = waiter = content._loop.create_future()
    return waiter
