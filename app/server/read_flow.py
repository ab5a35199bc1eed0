"""The reading side of a connection, for its protocol class: bytes are parsed when it is their turn, or discarded.

Only so much is read as the connection can parse soon. Where a response was sent before its request
was complete, the rest of the request is read and discarded for a while: closing at once would reset
the connection, and the client would never read the response.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from app.gateway.capacity.loop_sharing import LoopSharing
from app.gateway.overhead import OverheadTimer
from app.gateway.ports import Clock
from app.server.client_transport import ClientTransport
from app.server.http_exchange import Exchange
from app.server.http_input import RequestInput
from app.server.known_callers import KnownCallers
from app.server.lanes import Lane, Place, watching_lane
from app.server.timers import Timers
from app.server.turns import Turns

READ_BYTES: Final = 64 * 1024
DISCARD_SECONDS: Final = 5.0
DISCARD_BYTES: Final = 64 * 1024 * 1024
"""Most clients send their whole body before they read a response: one that is cut off earlier never reads the reason."""

_BUSY_READ_BYTES: Final = 4 * 1024
"""Thousands of connections may wait for their turn at the same time, each with what it has read."""

_FULL_READS: Final = frozenset({READ_BYTES, _BUSY_READ_BYTES})
"""After one of these there may be more: the event loop would read up to 32 times in the same pass, other connections waiting."""

_WAITING_BYTES: Final = 16 * 1024
_CONTENT_BYTES: Final = 64 * 1024


class ReadFlow:
    """Received bytes go to `_input`, then `_go_on` is called; bytes of a connection that has ended are dropped."""

    turns: Turns
    sharing: LoopSharing
    known_callers: KnownCallers
    clock: Clock
    read_buffer: memoryview
    """Shared by all connections of a server: it is filled and emptied within one callback."""

    transport: ClientTransport
    _input: RequestInput
    _exchange: Exchange | None
    _timers: Timers
    _is_at_end: bool
    _reads: bool = True
    _client: str = ""
    """The address of the client, without its port."""

    _counted_as: str | None = None
    """Whose steps the request that is served, and what comes of its body, count as; None: who watches the gateway."""

    key_id: str | None = None
    """Whose the last request was that had a valid key."""

    _is_refused: bool = False
    """Whether what came was refused, or the last bytes were written."""
    _has_read: bool = False
    """Whether enough was read in this pass of the loop."""
    _waits_for_turn: bool = False
    _is_pipelined: bool = False
    """Whether requests came before the response of another, since the connection was idle: they do not compete with probes."""

    _was_served: bool = False
    """Whether a request on this connection has got its response."""
    _keep_alive_seconds: float
    _idle_until: float = math.inf
    """When the event loop's clock ends the connection, unless bytes arrive before."""

    _discard_left_bytes: int = 0
    _arrived_seconds: float = 0.0
    """When the bytes came that are being taken, or when the turn of a request began that had waited for another one's response."""

    def _is_ended(self) -> bool:
        """Whether further bytes of the client are ignored."""
        return self._is_refused or self.transport.is_closing()

    def _go_on(self) -> None:
        """Take what is in `_input`."""
        raise NotImplementedError

    def _place(self) -> Place:
        """Return where this connection waits for its turn."""
        lane = self._lane()
        if lane not in {"kept", "new"}:
            return Place(lane, self._client)
        key_id = self.known_callers.key_id_of(self._input.message_start(_BUSY_READ_BYTES))
        if key_id is None and lane == "kept":
            key_id = self.key_id
        return Place(lane, self._client) if key_id is None else Place("kept", key_id)

    def _lane(self) -> Lane:
        exchange = self._exchange
        if exchange is not None:
            # After the response the rest of a body is only thrown away.
            return "new" if exchange.response_complete else "kept"
        watching = None if self._is_pipelined else watching_lane(self._input.starts_with)
        return watching or ("kept" if self._was_served else "new")

    def _take_in_turn(self, act: Callable[[], None]) -> None:
        """Call `act` when it is this connection's turn; the time of the request that waits here begins now."""
        self._arrived_seconds = self.clock.monotonic()
        self._is_pipelined = True
        # Called later, not from here: many waiting requests would make a deep stack.
        asyncio.get_running_loop().call_soon(self.turns.take, act, self._place)

    def identified(self, key_id: str, credentials: bytes | None) -> None:
        """The request that is served has a valid key: this connection, and others with the same credentials, wait by key from now on."""
        if self.key_id != key_id:
            self.key_id = key_id
            if credentials is not None:
                self.known_callers.remember(credentials, key_id)

    def start_timer(self) -> OverheadTimer:
        """Return the timer of the request that begins now."""
        return OverheadTimer(self.clock.monotonic, self._arrived_seconds)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Return where the next bytes go."""
        return self.read_buffer if not self.turns.is_busy else self.read_buffer[:_BUSY_READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have arrived."""
        if nbytes in _FULL_READS:
            self._read_on_later()
        if "discard" in self._timers:
            self._discard_left_bytes -= nbytes
            if self._discard_left_bytes < 0:
                self.transport.close()
        if self._is_ended():
            return
        self._arrived_seconds = self.clock.monotonic()
        self._idle_until = math.inf
        if self._exchange is not None:
            self.sharing.count_step(self._counted_as)
        self._input.add(bytes(self.read_buffer[:nbytes]))
        if not self._waits_for_turn:
            self._waits_for_turn = True
            if self.turns.take(self._take_turn, self._place):
                return
        self._read(False)
        if not self._input.release_taken():
            self.transport.abort()

    def _take_later(self) -> None:
        """Call `_go_on` in a later pass of the loop, because there is much to parse."""
        self._waits_for_turn = True
        self.turns.take_later(self._take_turn)

    def _take_turn(self) -> None:
        if self._waits_for_turn:
            self._waits_for_turn = False
            self._go_on()

    def read_as_needed(self) -> None:
        """Read from the socket, unless enough waits here; then the client waits too."""
        exchange = self._exchange
        content_bytes = 0 if exchange is None or exchange.response_complete else len(exchange.content)
        is_wanted = self._input.waiting_bytes <= _WAITING_BYTES and content_bytes <= _CONTENT_BYTES
        if is_wanted != self._reads:
            self._read(is_wanted)

    def _read_on_later(self) -> None:
        """Read no more in this pass of the loop."""
        if self._reads and not self._has_read:
            self._has_read = True
            self._read(False)
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        self._has_read = False
        if self._is_ended():
            self._read(True)
        elif not self._waits_for_turn:
            self.read_as_needed()

    def _read(self, wanted: bool) -> None:
        if wanted and self._has_read:
            return
        if wanted != self._reads and not self._is_at_end and not self.transport.is_closing():
            self._reads = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def _becomes_idle(self) -> None:
        """Wait for a request, for a while.

        The timer goes on while requests come, and looks what is due when it runs out: to set one for each request costs a hundredth of it.
        """
        self._is_pipelined = False
        self._idle_until = asyncio.get_running_loop().time() + self._keep_alive_seconds
        if "idle" not in self._timers:
            self._timers.set("idle", self._keep_alive_seconds, self._end_idle)

    def _end_idle(self) -> None:
        """Close the connection if it has been idle for so long, and otherwise look again when it may have been."""
        self._timers.stop("idle")
        left_seconds = self._idle_until - asyncio.get_running_loop().time()
        if left_seconds <= 0:
            self.transport.close()
        elif left_seconds < math.inf:
            self._timers.set("idle", left_seconds, self._end_idle)

    def _discard_for_a_while(self) -> None:
        """Read and discard what the client sends, within bounds, before the connection is closed."""
        self._discard_left_bytes = DISCARD_BYTES
        self._timers.set("discard", DISCARD_SECONDS, self.transport.close)
