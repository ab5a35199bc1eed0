"""Chooses which of many waiting clients is next, so that a few of one kind do not wait behind thousands of another.

The lanes take turns, one entry each, and within a lane the clients, by key or address. What watches
the gateway is alternately the newest and the oldest of its client: behind a proxy all have one
address, and a probe that comes during a flood of its own kind does not wait for all of it. All else
keeps its order. Probes of liveness have a lane of their own, and those of readiness: a page of metrics
costs many times as much.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar, get_args

Lane: TypeAlias = Literal["live", "ready", "monitoring", "kept", "new"]
"""Health checks of liveness and of readiness; monitoring; connections that have been served before, bodies of requests in
flight, and new connections of known callers; all others."""


class Place(NamedTuple):
    """Where an entry waits: its lane, and its client: a key, or an address where none is known."""

    lane: Lane
    client: str


_Entry = TypeVar("_Entry")

_LANES: Final[tuple[Lane, ...]] = get_args(Lane)
_LIVE_PATH: Final = "/health/live"
_WATCHING_PATHS: Final[tuple[tuple[Lane, tuple[str, ...]], ...]] = (
    ("live", (_LIVE_PATH,)),
    ("ready", ("/health/",)),
    ("monitoring", ("/metrics", "/prometheus/")),
)
_WATCHING_STARTS: Final = tuple(
    (lane, tuple(f"{method} {path}".encode() for method in ("GET", "HEAD") for path in paths))
    for lane, paths in _WATCHING_PATHS
)
_WATCHING_LANES: Final = frozenset(lane for lane, _ in _WATCHING_PATHS)
_ALL_PATHS: Final = tuple(path for _, paths in _WATCHING_PATHS for path in paths)

LIVE_AT_ONCE: Final = 4
"""So many probes of liveness go before all else in each pass of the event loop: they tell whether it runs at all, and cost little."""

MOST_START_BYTES: Final = max(len(start) for _, starts in _WATCHING_STARTS for start in starts)


def is_live(path: str) -> bool:
    """Return whether a path is the one of liveness."""
    return path == _LIVE_PATH


def is_watching(path: str) -> bool:
    """Return whether a path is one of health or monitoring."""
    return path.startswith(_ALL_PATHS)


def watching_lane(starts_with: Callable[[tuple[bytes, ...]], bool]) -> Lane | None:
    """Return the lane of a request of health or monitoring by its first bytes: a cheap guess, made before a head is parsed.

    `starts_with` says whether the request starts with one of some bytes. None for any other request.
    """
    for lane, starts in _WATCHING_STARTS:
        if starts_with(starts):
            return lane
    return None


class _ClientEntries(Generic[_Entry]):
    """What waits of one client in one lane."""

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self._is_newest_next = True

    def take(self, lane: Lane) -> _Entry:
        """Return the next one."""
        is_newest = lane in _WATCHING_LANES and self._is_newest_next
        self._is_newest_next = not self._is_newest_next
        return self.entries.pop() if is_newest else self.entries.popleft()


class Lanes(Generic[_Entry]):
    """The entries that wait."""

    def __init__(self) -> None:
        self._clients: dict[Lane, OrderedDict[str, _ClientEntries[_Entry]]] = {lane: OrderedDict() for lane in _LANES}
        self.size = 0
        """How many wait, in all lanes."""
        self._next = 0

    def __len__(self) -> int:
        """Return how many wait, in all lanes."""
        return self.size

    @property
    def clients(self) -> int:
        """How many clients wait, each counted in each lane."""
        return sum(map(len, self._clients.values()))

    def __contains__(self, place: Place) -> bool:
        """Whether the client waits in this lane."""
        return place.client in self._clients[place.lane]

    def put(self, entry: _Entry, place: Place) -> None:
        """Let an entry wait."""
        clients = self._clients[place.lane]
        waiting = clients.get(place.client)
        if waiting is None:
            waiting = clients[place.client] = _ClientEntries()
        waiting.entries.append(entry)
        self.size += 1

    def take(self) -> _Entry:
        """Return the next entry; raises `IndexError` where none waits."""
        for _ in _LANES:
            lane = _LANES[self._next]
            self._next = (self._next + 1) % len(_LANES)
            if self._clients[lane]:
                return self._take_of(lane)
        raise IndexError("no entry waits")

    def take_live(self) -> _Entry | None:
        """Return the next probe of liveness, whatever else waits; None where there is none."""
        return self._take_of("live") if self._clients["live"] else None

    def _take_of(self, lane: Lane) -> _Entry:
        clients = self._clients[lane]
        self.size -= 1
        client, waiting = clients.popitem(last=False)
        entry = waiting.take(lane)
        if waiting.entries:
            clients[client] = waiting
        return entry
