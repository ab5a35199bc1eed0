"""Bounds how many received requests start in one pass of the event loop.

Thousands of requests that arrive at the same moment start a few at a time, so that streams, timers
and health checks run in between. `Lanes` decides which is next.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from app.gateway.capacity.loop_sharing import LoopSharing
from app.server.lanes import LIVE_AT_ONCE, Lanes, Place


class _Bounds(NamedTuple):
    """How many requests start in one pass, and how much work.

    What is started goes on in the next passes. Where these become longer than `long_seconds`, fewer
    start in each: a health check, or a key with one call, waits for three or four.
    """

    most: int
    least: int
    seconds: float
    long_seconds: float


_ALONE: Final = _Bounds(most=32, least=4, seconds=0.002, long_seconds=0.004)
_SHARED: Final = _Bounds(most=4, least=1, seconds=0.0002, long_seconds=0.0005)


class Turns:
    """For one event loop; `clock` returns seconds, best of the loop's own processor time: work counts, not waiting for a core."""

    def __init__(self, clock: Callable[[], float], sharing: LoopSharing) -> None:
        self._clock = clock
        self._sharing = sharing
        self._bounds = _ALONE
        self._waiting: Lanes[Callable[[], None]] = Lanes()
        self._tedious: deque[Callable[[], object]] = deque()
        self._at_once = _ALONE.most
        self._left = 0
        self._live_left = 0
        self._began = 0.0
        self._is_counting = False

    def take(self, act: Callable[[], None], place: Callable[[], Place]) -> bool:
        """Call `act` now, or let it wait at its place where this pass is full; return whether it was called."""
        if not self._is_counting:
            self._begin_pass()
        if self._left > 0 and not self._waiting.size:
            self._act(act)
            return True
        waits_at = place()
        if waits_at.lane == "live" and self._live_left > 0:
            self._live_left -= 1
            act()
            return True
        if waits_at not in self._waiting:
            self._sharing.came_beside(self._waiting.size, self._waiting.clients)
        self._waiting.put(act, waits_at)
        return False

    def take_later(self, act: Callable[[], object]) -> None:
        """Call `act` in a later pass, one of its kind in each: it continues large work in small pieces."""
        self._tedious.append(act)
        if not self._is_counting:
            self._begin_pass()

    @property
    def is_busy(self) -> bool:
        """Whether new work has to wait."""
        return self._waiting.size > 0

    def _begin_pass(self) -> None:
        self._is_counting = True
        self._bounds = _SHARED if self._sharing.is_shared else _ALONE
        self._at_once = max(self._bounds.least, min(self._bounds.most, self._at_once))
        self._left = self._at_once
        self._live_left = LIVE_AT_ONCE
        self._began = self._clock()
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_counting = False
        is_long = self._clock() - self._began > self._bounds.long_seconds
        self._at_once = self._at_once // 2 if is_long else self._at_once * 2
        if self._waiting.size or self._tedious:
            self._begin_pass()
            while self._live_left > 0 and (act := self._waiting.take_live()) is not None:
                self._live_left -= 1
                act()
            if self._tedious:
                self._tedious.popleft()()
            while self._waiting.size and self._left > 0:
                self._act(self._waiting.take())

    def _act(self, act: Callable[[], None]) -> None:
        self._left -= 1
        act()
        if self._clock() - self._began >= self._bounds.seconds:
            self._left = 0
