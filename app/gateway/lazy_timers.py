"""Timers of which nearly all are stopped before they are due, on one timer of the event loop.

Each request sets and stops several; one of the event loop's own costs a hundredth of the request. Here a
timer is an entry in a heap, and to stop it is one assignment. The loop's timer runs until the earliest entry was due
when it was set; what is stopped leaves the heap then, or once it is the larger part of it.
"""

import asyncio
import heapq
import math
from collections.abc import Callable
from itertools import count
from typing import Final, TypeAlias

_LEAST_ENTRIES: Final = 64


class LazyTimer:
    """One timer. `cancel` may be called at any time."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act
        """What is called; None once that has happened, or it was cancelled."""

    def cancel(self) -> None:
        """Call nothing, and keep nothing alive."""
        self.act = None

    def run(self) -> None:
        """Call what is due, once."""
        act, self.act = self.act, None
        if act is not None:
            act()


_Entry: TypeAlias = tuple[float, int, LazyTimer]


class LazyTimers:
    """For one event loop, whose clock it uses."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._numbers = count()
        self._most_entries = _LEAST_ENTRIES
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = math.inf

    def __len__(self) -> int:
        """How many entries are held; at most about twice as many as timers are set."""
        return len(self._entries)

    def call_later(self, seconds: float, act: Callable[[], object]) -> LazyTimer:
        """Call `act` after so many seconds, without the context of this call."""
        return self.call_at(asyncio.get_running_loop().time() + seconds, act)

    def call_at(self, when: float, act: Callable[[], object]) -> LazyTimer:
        """Call `act` at this time of the event loop, without the context of this call."""
        timer = LazyTimer(act)
        heapq.heappush(self._entries, (when, next(self._numbers), timer))
        if when < self._set_for:
            self._set(when)
        if len(self._entries) > self._most_entries:
            self._entries = [entry for entry in self._entries if entry[2].act is not None]
            heapq.heapify(self._entries)
            self._most_entries = max(_LEAST_ENTRIES, 2 * len(self._entries))
        return timer

    def close(self) -> None:
        """Call nothing any more."""
        self._entries.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._set_for = None, math.inf

    def _set(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._set_for = asyncio.get_running_loop().call_at(when, self._look), when

    def _look(self) -> None:
        """Call what is due, each in a callback of its own, and wait for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer, self._set_for = None, math.inf
        while self._entries and (self._entries[0][0] <= now or self._entries[0][2].act is None):
            timer = heapq.heappop(self._entries)[2]
            if timer.act is not None:
                loop.call_soon(timer.run)
        if self._entries:
            self._set(self._entries[0][0])
