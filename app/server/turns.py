"""Bounds how many received requests start in one pass of the event loop.

Thousands of requests that arrive at the same moment start a few at a time, so that streams, timers
and health checks run in between. `Lanes` decides which is next.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from app.server.lanes import Lanes, Place

_AT_ONCE: Final = 32
_AT_LEAST: Final = 4
_PASS_SECONDS: Final = 0.002
_LONG_PASS_SECONDS: Final = 0.004
"""What is started goes on in the next passes. Where these become longer, fewer start in each: a health check, or a key with one call,
waits for three or four."""


class Turns:
    """For one event loop; `clock` returns seconds, best of the loop's own processor time: work counts, not waiting for a core."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: Lanes[Callable[[], None]] = Lanes()
        self._tedious: deque[Callable[[], object]] = deque()
        self._at_once = _AT_ONCE
        self._left = 0
        self._began = 0.0
        self._is_counting = False

    def take(self, act: Callable[[], None], place: Callable[[], Place]) -> bool:
        """Call `act` now, or let it wait at its place where this pass is full; return whether it was called."""
        if not self._is_counting:
            self._begin_pass()
        if self._left > 0 and not self._waiting:
            self._act(act)
            return True
        self._waiting.put(act, place())
        return False

    def take_later(self, act: Callable[[], object]) -> None:
        """Call `act` in a later pass, one of its kind in each: it continues large work in small pieces."""
        self._tedious.append(act)
        if not self._is_counting:
            self._begin_pass()

    @property
    def is_busy(self) -> bool:
        """Whether new work has to wait."""
        return bool(self._waiting)

    def _begin_pass(self) -> None:
        self._is_counting = True
        self._left = self._at_once
        self._began = self._clock()
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_counting = False
        if self._clock() - self._began > _LONG_PASS_SECONDS:
            self._at_once = max(_AT_LEAST, self._at_once // 2)
        else:
            self._at_once = min(_AT_ONCE, self._at_once * 2)
        if self._waiting or self._tedious:
            self._begin_pass()
            if self._tedious:
                self._tedious.popleft()()
            while self._waiting and self._left > 0:
                self._act(self._waiting.take())

    def _act(self, act: Callable[[], None]) -> None:
        self._left -= 1
        act()
        if self._clock() - self._began >= _PASS_SECONDS:
            self._left = 0
