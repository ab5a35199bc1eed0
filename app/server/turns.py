"""Bounds how many received requests start in one pass of the event loop.

Thousands of requests that arrive at the same moment start a few at a time, in order, so that
streams, timers and health checks run in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

_AT_ONCE: Final = 32
_PASS_SECONDS: Final = 0.002


class Turns:
    """For one event loop; `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._tedious: deque[Callable[[], object]] = deque()
        self._left = 0
        self._ends = 0.0
        self._is_counting = False

    def take(self, act: Callable[[], None]) -> bool:
        """Call `act` now, or queue it where this pass has done enough; return whether it was called."""
        if not self._is_counting:
            self._begin_pass()
        if self._left > 0 and not self._waiting:
            self._act(act)
            return True
        self._waiting.append(act)
        return False

    def take_later(self, act: Callable[[], object]) -> None:
        """Call `act` in a later pass, one of its kind in each: it continues large work in small pieces."""
        self._tedious.append(act)
        if not self._is_counting:
            self._begin_pass()

    @property
    def is_busy(self) -> bool:
        """Whether what comes now has to wait."""
        return bool(self._waiting)

    def _begin_pass(self) -> None:
        self._is_counting = True
        self._left = _AT_ONCE
        self._ends = self._clock() + _PASS_SECONDS
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_counting = False
        if self._waiting or self._tedious:
            self._begin_pass()
            if self._tedious:
                self._tedious.popleft()()
            while self._waiting and self._left > 0:
                self._act(self._waiting.popleft())

    def _act(self, act: Callable[[], None]) -> None:
        self._left -= 1
        act()
        if self._clock() >= self._ends:
            self._left = 0
