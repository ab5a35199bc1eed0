"""Sends comments on an event stream while no provider has begun to respond.

Without them a proxy may close the silent connection. The task exists only once the first
comment is due. After the head, an error of the call is sent as an event.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

from app.http.responses import StreamSender

COMMENT: Final = b": keep-alive\n\n"


class KeepaliveComments:
    """A context manager around the wait for the first chunk; `seconds` 0 sends none. At its end no comment is being sent."""

    def __init__(self, sender: StreamSender, seconds: float) -> None:
        self._sender = sender
        self._seconds = seconds
        self._over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._seconds > 0:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._begin)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            try:
                # A comment that is half sent must not be cut: that would corrupt the rest of the stream.
                await asyncio.shield(self._task)
            except asyncio.CancelledError:
                self._task.cancel()
                raise

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while not self._over.is_set():
            await self._sender.write(COMMENT)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._over.wait()
            except TimeoutError:
                continue
