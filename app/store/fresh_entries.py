"""A bounded dictionary that drops entries that are too old, and the least recently used one when full."""

from collections import OrderedDict
from typing import Generic, TypeVar

import msgspec

from app.gateway.ports import Clock

T = TypeVar("T")


class Entry(msgspec.Struct, Generic[T], frozen=True):
    """A value, which may be None, and until when it is fresh, in seconds on the monotonic clock."""

    value: T
    expires: float


class FreshEntries(Generic[T]):
    """At most `max_entries` values, each fresh for `ttl_seconds` and kept for `grace_seconds` more. For one event loop."""

    def __init__(self, ttl_seconds: float, max_entries: int, clock: Clock, *, grace_seconds: float = 0.0) -> None:
        self._ttl_seconds = ttl_seconds
        self._grace_seconds = grace_seconds
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        """How many entries are kept."""
        return len(self._entries)

    def get(self, key: str) -> Entry[T] | None:
        """Return the entry while it is fresh."""
        entry = self.get_kept(key)
        return entry if entry is not None and self._clock.monotonic() < entry.expires else None

    def get_kept(self, key: str) -> Entry[T] | None:
        """Return the entry while it is fresh, and for `grace_seconds` more."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock.monotonic() >= entry.expires + self._grace_seconds:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: str, value: T) -> None:
        """Store a value; it is fresh from now on."""
        self._entries[key] = Entry(value, self._clock.monotonic() + self._ttl_seconds)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
