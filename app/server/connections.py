"""Bounds the client connections of one server and chooses which idle one is closed for a new one.

A connection is idle while no request on it waits for its response. The one that has been idle
longest is closed first; while many have never sent a request, one of these is closed first. A
connection with a request in flight is never closed. While all have one, a few more connections are
accepted: monitoring stays reachable on them, and every other client gets the reason of its refusal.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final, Literal, Protocol, TypeAlias, get_args

Admission: TypeAlias = Literal["usual", "extra"]
"""An extra connection is beyond the bound: as long as the bound is exceeded, only monitoring and health are served on it."""

CloseReason: TypeAlias = Literal["idlest", "refused", "no_descriptor", "unparsed_bytes"]
"""Why the server ended a connection: for a newer one; because all others were being served; because the process had no descriptor
left; because incomplete requests take too much memory in all."""


_UNPARSED_BYTES: Final = 16 * 1024 * 1024
_SMALL_BYTES: Final = 2 * 1024
"""A connection that holds no more is not closed for what all hold: nearly every head is smaller."""

_UNUSED_SHARE: Final = 0.25
_OVER_SHARE: Final = 0.9
"""An episode of closing ends when so small a share of the bound is in use."""

_MANY_IDLE: Final = 64
_LOOK_AT_MOST: Final = 16
_EXTRA: Final = 16

_logger = logging.getLogger("gatewayz.connections")


class ClientConnection(Protocol):
    """What the bound needs of a connection."""

    is_extra: bool

    @property
    def transport(self) -> asyncio.Transport:
        """Its end on this side."""


class Connections:
    """Used on the event loop; its counts are read by the thread that collects metrics.

    `spare_descriptors`: how many sockets of connections that have ended may be closed later than at once.
    """

    def __init__(self, max_open: int, spare_descriptors: int = 0) -> None:
        self.max_open = max_open
        self.spare_descriptors = spare_descriptors
        self.open = 0
        self.closed: dict[CloseReason, int] = dict.fromkeys(get_args(CloseReason), 0)
        self._unused: OrderedDict[ClientConnection, None] = OrderedDict()
        self._idle: OrderedDict[ClientConnection, None] = OrderedDict()
        self._idle_extra: OrderedDict[ClientConnection, None] = OrderedDict()
        self._large: OrderedDict[ClientConnection, None] = OrderedDict()
        self.unparsed_bytes = 0
        self._has_logged_full = False

    @property
    def is_full(self) -> bool:
        """Whether the next connection needs the slot of another."""
        return self.open >= self.max_open

    @property
    def has_idle(self) -> bool:
        """Whether there is a connection that may be closed for the next one."""
        return bool(self._idle or self._unused)

    @property
    def are_many_idle(self) -> bool:
        """Whether so many are idle that closing some for others spares most of them."""
        return len(self._idle) + len(self._unused) >= _MANY_IDLE

    @property
    def is_exceeded(self) -> bool:
        """Whether there are more connections than the bound allows."""
        return self.open > self.max_open

    def admit(self) -> Admission | None:
        """Take a slot for a connection that was accepted; None when every other one is being served, the extra ones as well."""
        admission: Admission = "usual"
        if self.is_full:
            self._log_full(f"the bound of {self.max_open} client connections is reached")
            if not self.close_idlest("idlest"):
                admission = "extra"
                if self.open >= self.max_open + _EXTRA and not self._close(self._idle_extra, "refused"):
                    self.closed["refused"] += 1
                    return None
        elif self._has_logged_full and self.open < self.max_open * _OVER_SHARE:
            self._has_logged_full = False
        self.open += 1
        return admission

    def leave(self, connection: ClientConnection | None) -> None:
        """Release the slot of a connection that ended or was never made."""
        self.open -= 1
        if connection is not None:
            self.is_served(connection)

    def is_unused(self, connection: ClientConnection) -> None:
        """Record a new connection without a request."""
        (self._idle_extra if connection.is_extra else self._unused)[connection] = None

    def is_idle(self, connection: ClientConnection) -> None:
        """Record that a connection has no request in flight."""
        (self._idle_extra if connection.is_extra else self._idle)[connection] = None

    def is_served(self, connection: ClientConnection) -> None:
        """Record that a connection has a request in flight, or has ended."""
        self._idle.pop(connection, None)
        self._unused.pop(connection, None)
        self._idle_extra.pop(connection, None)

    def close_idlest(self, reason: CloseReason) -> bool:
        """Close the connection that has been idle longest; rather one whose client has taken its last response."""
        are_many_unused = len(self._unused) > self.max_open * _UNUSED_SHARE
        return self._close(self._unused if are_many_unused or not self._idle else self._idle, reason)

    def _close(self, candidates: OrderedDict[ClientConnection, None], reason: CloseReason) -> bool:
        chosen: ClientConnection | None = None
        for index, connection in enumerate(candidates):
            if connection.transport.get_write_buffer_size() == 0:
                chosen = connection
                break
            chosen = chosen or connection
            if index >= _LOOK_AT_MOST:
                break
        if chosen is None:
            return False
        del candidates[chosen]
        self.closed[reason] += 1
        chosen.transport.abort()
        return True

    def out_of_descriptors(self) -> None:
        """Record that a connection could not be accepted, and close the idlest one for it."""
        self._log_full("the process has no file descriptor left for a client connection")
        if not self.close_idlest("no_descriptor"):
            self.closed["no_descriptor"] += 1

    def hold(self, connection: ClientConnection, change_bytes: int, held_bytes: int) -> bool:
        """Add to the bytes that wait to become requests; where all are too many, close the connection that has held more than a few longest.

        False where there is no other one without a request in flight: this connection has to be closed.
        """
        self.unparsed_bytes += change_bytes
        if held_bytes <= _SMALL_BYTES:
            self._large.pop(connection, None)
            return True
        self._large.setdefault(connection)
        if change_bytes <= 0 or self.unparsed_bytes <= _UNPARSED_BYTES:
            return True
        self.closed["unparsed_bytes"] += 1
        for _ in range(min(_LOOK_AT_MOST, len(self._large))):
            oldest = next(iter(self._large))
            if oldest is connection:
                break
            if oldest in self._idle or oldest in self._unused or oldest in self._idle_extra:
                del self._large[oldest]
                oldest.transport.abort()
                return True
            self._large.move_to_end(oldest)
        return False

    def _log_full(self, what: str) -> None:
        """Log once per episode."""
        if not self._has_logged_full:
            self._has_logged_full = True
            _logger.warning("%s: the connections that have been idle longest are closed for new ones", what)
