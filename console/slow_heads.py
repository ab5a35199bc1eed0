"""Ends connections that send no whole head of a request in time.

uvicorn waits for one without end, and it refuses further connections beyond a bound: a few hundred
idle ones, which need no token, would lock everybody else out.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 10.0
"""From the begin of the connection, or the end of the response before."""


class HeadDeadlineProtocol(H11Protocol):
    """uvicorn's protocol with the deadline; a request whose head has come has none here."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(transport)  # type: ignore[arg-type]  # asyncio's declaration is the wider one
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Read; the deadline stays that of the head's begin, however slowly its bytes come."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        is_served = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first
        if is_served or self.transport.is_closing():
            self._stop_waiting()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
