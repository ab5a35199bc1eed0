"""Bounds the pieces of quick work in one pass of the event loop; the others wait for a later pass, in order.

A few hundred streams, or calls that all waited for the same row of the database, are quick one by
one, and together would delay all others.
"""

import asyncio
from collections import deque


class PassBudget:
    """For one event loop; `at_once` pieces may go on in each pass, in the order in which they came."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._left = at_once
        self._is_counting = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Whether a piece may go on in this pass; it is counted if so. Else it has to `wait`."""
        if not self._is_counting:
            self._begin_pass()
        if self._waiting or self._left == 0:
            return False
        self._left -= 1
        return True

    async def wait(self) -> None:
        """Go on in a later pass."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if not self._is_counting:
            self._begin_pass()
        await turn

    def _begin_pass(self) -> None:
        self._is_counting = True
        self._left = self._at_once
        asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        self._is_counting = False
        if self._waiting:
            self._begin_pass()
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            # One that was cancelled while it waited is skipped.
            if not turn.done():
                self._left -= 1
                turn.set_result(None)
