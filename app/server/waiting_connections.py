"""Connections that were accepted and wait to be made.

Those whose client has sent something are served by lanes. The silent ones keep their order beside
them: who has sent nothing has nothing to lose, and a flood of connections is silent or gone.
"""

import select
import socket
from collections import OrderedDict
from typing import Final, Literal, NamedTuple, TypeAlias

from app.server.lanes import MOST_START_BYTES, Lane, Lanes, Place, watching_lane

_LOOKED_AT_FROM: Final = 16
"""Fewer are made in one pass of the event loop, so it does not matter what they have sent."""

_LOOKED_AT_ONCE: Final = 32
"""In each pass of the event loop: each costs a twentieth of a millisecond; the others are reported next time."""

_MANY_SILENT: Final = 256
_ERRORS: Final = select.POLLERR | select.POLLHUP | select.POLLNVAL
_END: Final = getattr(select, "POLLRDHUP", 0)
"""The client ends its side; only Linux reports it. It may still want its response."""

_make_poll: Final = getattr(select, "epoll", select.poll)
"""Linux' reports in the time of those that have an event, whatever the number that waits; its events are numbered as those of poll(2)."""

_State: TypeAlias = Lane | Literal["silent", "gone"]


class Accepted(NamedTuple):
    """A connection that waits; `client` is its address."""

    connection: socket.socket
    client: str
    is_extra: bool


class WaitingConnections:
    """Used on the event loop. The caller that takes one owns it."""

    def __init__(self) -> None:
        self._lanes: Lanes[Accepted] = Lanes()
        self._silent: OrderedDict[int, Accepted] = OrderedDict()
        self._heard: dict[int, Accepted] = {}
        self._ended: OrderedDict[int, None] = OrderedDict()
        self._poll = _make_poll()
        self._is_silent_next = False

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heard) + len(self._silent)

    @property
    def can_give_way(self) -> bool:
        """Whether one waits that loses little: its client has ended its side already, or it is one of many that have sent nothing."""
        return bool(self._ended) or len(self._silent) >= _MANY_SILENT

    def take_to_give_way(self) -> Accepted:
        """Return the one that loses least; raises `StopIteration` where none waits."""
        return self._forget(next(iter(self._ended or self._silent)))

    def put(self, accepted: Accepted) -> bool:
        """Let one wait; false, and it is closed, where its client has gone already."""
        state = "silent" if len(self) < _LOOKED_AT_FROM else _state_of(accepted.connection)
        if state != "silent":
            return self._put_or_close(accepted, state)
        self._silent[accepted.connection.fileno()] = accepted
        self._poll.register(accepted.connection, select.POLLIN)
        return True

    def look(self) -> int:
        """Put those that have sent something by now into their lanes, close those that have gone, and return how many these are."""
        if len(self) < _LOOKED_AT_FROM:
            return 0
        gone = 0
        for descriptor, events in self._poll.poll(0)[:_LOOKED_AT_ONCE]:
            if descriptor in self._silent:
                accepted = self._forget(descriptor)
                gone += not self._put_or_close(accepted, _state_of(accepted.connection))
            elif events & _ERRORS:
                self._forget(descriptor).connection.close()
                gone += 1
            else:
                self._ended[descriptor] = None
                self._poll.modify(descriptor, 0)
        return gone

    def take(self) -> Accepted | None:
        """Return the next one, by turns one that has sent something and one that has not; None where none waits."""
        self._is_silent_next = not self._is_silent_next
        if self._silent and (not self._heard or not self._is_silent_next):
            return self._take_silent()
        while self._lanes:
            accepted = self._lanes.take()
            if self._still_waits(accepted):
                return self._forget(accepted.connection.fileno())
        return self._take_silent() if self._silent else None

    def take_live(self) -> Accepted | None:
        """Return the next one that probes liveness, whatever else waits; None where there is none."""
        while (accepted := self._lanes.take_live()) is not None:
            if self._still_waits(accepted):
                return self._forget(accepted.connection.fileno())
        return None

    def _still_waits(self, accepted: Accepted) -> bool:
        """Return whether its client has not gone and it did not give way: it stays in its lane then."""
        return self._heard.get(accepted.connection.fileno()) is accepted

    def _take_silent(self) -> Accepted:
        return self._forget(next(iter(self._silent)))

    def _forget(self, descriptor: int) -> Accepted:
        self._poll.unregister(descriptor)
        self._ended.pop(descriptor, None)
        return self._silent.pop(descriptor, None) or self._heard.pop(descriptor)

    def _put_or_close(self, accepted: Accepted, state: _State) -> bool:
        if state == "silent" or state == "gone":  # noqa: PLR1714  mypy narrows by equality
            # One that was silent is ready to be read only by its end or an error.
            accepted.connection.close()
            return False
        self._lanes.put(accepted, Place(state, accepted.client))
        self._heard[accepted.connection.fileno()] = accepted
        self._poll.register(accepted.connection, _END)
        return True


def _state_of(connection: socket.socket) -> _State:
    """Return the lane of what the client has sent, without taking it."""
    try:
        start = connection.recv(MOST_START_BYTES, socket.MSG_PEEK)
    except BlockingIOError:
        return "silent"
    except OSError:
        return "gone"
    return (watching_lane(start.startswith) or "new") if start else "gone"
