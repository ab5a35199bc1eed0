"""Bounds the work of calls in one pass of the event loop, and shares each pass out among the keys.

A call takes a turn before each of its steps that need the processor: its start, a whole response, a
piece of a stream. While there is room in the pass it goes on at once. What does not fit waits for
later passes, in which the keys take turns; and the first steps of a key that has had none in a pass
do not wait for it to end. So a key with one call waits for a part of a pass, however many calls
of another one could go on.
"""

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from app.gateway.capacity.key_queue import KeyQueue
from app.gateway.capacity.loop_sharing import LoopSharing


class _Bounds(NamedTuple):
    """Units of weight in each pass. A unit is about 60 microseconds of work.

    A pass consists of more than these steps. Where it becomes longer than `long_seconds`, fewer go on
    in each, down to `least`.
    """

    most: int
    least: int
    long_seconds: float


_ALONE: Final = _Bounds(most=32, least=16, long_seconds=0.004)
_SHARED: Final = _Bounds(most=8, least=4, long_seconds=0.0005)

_KEYS_AT_ONCE: Final = 32
"""Units that the first steps of other keys may take beyond the bound of a pass."""

_AT_ONCE: Final = 16
"""Units that a key has in each pass before it waits for others: the start of a call and the end of one."""


class KeyTurns:
    """For one event loop; `clock` returns seconds, best of the loop's own processor time: work counts, not waiting for a core."""

    def __init__(self, clock: Callable[[], float], sharing: LoopSharing) -> None:
        self._clock = clock
        self._sharing = sharing
        self._waiting = KeyQueue()
        self._taken: dict[str, int] = {}
        self._bounds = _ALONE
        self._most = self._left = _ALONE.most
        self._began: float | None = None
        self._is_counting = False

    def take(self, key: str, weight: int) -> bool:
        """Whether a step of this weight may go on in this pass; it is counted if so. Else it has to `wait`."""
        if not self._is_counting:
            self._begin_pass()
        if self._left <= 0 or self._waiting.steps:
            taken = self._taken.get(key, 0)
            if self._left <= -_KEYS_AT_ONCE or key in self._waiting or (taken and taken + weight > _AT_ONCE):
                return False
            self._sharing.came_beside(self._waiting.steps, self._waiting.keys)
        # As in `_count`, which would be called for each step of each call.
        self._left -= weight
        self._taken[key] = self._taken.get(key, 0) + weight
        return True

    async def wait(self, key: str, weight: int) -> None:
        """Go on in a later pass."""
        turn = self._waiting.join(key, weight)
        if not self._is_counting:
            self._begin_pass()
        await turn

    def _count(self, key: str, weight: int) -> None:
        self._left -= weight
        self._taken[key] = self._taken.get(key, 0) + weight

    def _begin_pass(self) -> None:
        self._is_counting = True
        self._bounds = bounds = _SHARED if self._sharing.is_shared else _ALONE
        most = self._most
        if most != bounds.most:
            most = max(bounds.least, min(bounds.most, most))
        self._most = self._left = most
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_counting = False
        self._taken.clear()
        if not self._waiting.steps:
            self._most, self._began = _ALONE.most, None
            return
        self._measure_pass()
        self._begin_pass()
        while self._left > 0 and (called := self._waiting.call_next()) is not None:
            self._count(*called)

    def _measure_pass(self) -> None:
        """Let less go on in each pass while the passes are long. Passes in which no step waits are not measured."""
        now = self._clock()
        if self._began is not None:
            is_long = now - self._began > self._bounds.long_seconds
            self._most = self._most // 2 if is_long else self._most * 2
        self._began = now
