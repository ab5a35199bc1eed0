"""How far a client has taken what was written to its connection.

`writable` waits until it has taken enough for the next piece, `emptied` until every byte has left
the process.
"""

import asyncio
from typing import Final

from app.server.client_transport import ClientTransport

HIGH_WATER_BYTES: Final = 16 * 1024
"""Hundreds of clients may leave so much of their streams unread."""


class WriteFlow:
    """The writing side of a connection, for its protocol class. A client that keeps up costs one look at the buffer."""

    transport: ClientTransport
    is_writable: bool = True
    """Whether the client has taken enough of what was written."""
    _may_write: asyncio.Event | None = None
    _emptied: asyncio.Future[bool] | None = None

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._may_write = self._may_write or asyncio.Event()
        self.is_writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._wake(is_empty=True)

    async def writable(self) -> None:
        """Wait until the client has taken enough of what was written."""
        while self._may_write is not None:
            await self._may_write.wait()

    async def emptied(self) -> bool:
        """Wait until all that was written is with the kernel; false when the connection ended before."""
        transport = self.transport
        if not transport.get_write_buffer_size():
            return True
        self._emptied = asyncio.get_running_loop().create_future()
        transport.set_write_buffer_limits(high=0)
        try:
            return await self._emptied
        finally:
            self._emptied = None
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def _writing_ended(self) -> None:
        """The connection has ended: nothing waits for it."""
        self._wake(is_empty=False)

    def _wake(self, *, is_empty: bool) -> None:
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(is_empty)
        if self._may_write is not None:
            self._may_write.set()
            self._may_write = None
            self.is_writable = True
