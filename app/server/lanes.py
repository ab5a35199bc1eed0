"""Chooses which of many waiting clients is next, so that few of one kind do not stand behind thousands of another.

The lanes take turns, one entry each. What watches the gateway is alternately the newest and the
oldest of its lane: a probe that comes during a flood of its own kind does not wait for all of it.
The other lanes keep their order.
"""

from collections import deque
from typing import Final, Generic, Literal, TypeAlias, TypeVar, get_args

Lane: TypeAlias = Literal["watching", "kept", "new"]
"""Health checks and monitoring; connections that have been served before, and bodies of requests in flight; all others."""

_Entry = TypeVar("_Entry")

_LANES: Final[tuple[Lane, ...]] = get_args(Lane)
_WATCHING_PATHS: Final = ("/health/", "/metrics", "/prometheus/")
WATCHING_STARTS: Final = tuple(f"{method} {path}".encode() for method in ("GET", "HEAD") for path in _WATCHING_PATHS)
"""How such requests begin on the wire: a guess that costs nothing, made before a head is parsed."""

MOST_START_BYTES: Final = max(map(len, WATCHING_STARTS))


def is_watching(path: str) -> bool:
    """Return whether a path is one of health or monitoring."""
    return path.startswith(_WATCHING_PATHS)


class Lanes(Generic[_Entry]):
    """The entries that wait."""

    def __init__(self) -> None:
        self._entries: dict[Lane, deque[_Entry]] = {lane: deque() for lane in _LANES}
        self._size = 0
        self._next = 0
        self._is_newest_next = True

    def __len__(self) -> int:
        """Return how many wait, in all lanes."""
        return self._size

    def put(self, entry: _Entry, lane: Lane) -> None:
        """Let an entry wait."""
        self._entries[lane].append(entry)
        self._size += 1

    def take(self) -> _Entry:
        """Return the next entry; raises `IndexError` where none waits."""
        for _ in _LANES:
            lane = _LANES[self._next]
            self._next = (self._next + 1) % len(_LANES)
            entries = self._entries[lane]
            if entries:
                self._size -= 1
                return self._take_watching(entries) if lane == "watching" else entries.popleft()
        raise IndexError("no entry waits")

    def _take_watching(self, entries: deque[_Entry]) -> _Entry:
        is_newest = self._is_newest_next
        self._is_newest_next = not is_newest
        return entries.pop() if is_newest else entries.popleft()
