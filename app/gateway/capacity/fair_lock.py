"""A lock whose owners take turns, so that an owner of many requests waits behind its own, not in front of all others'.

For one event loop.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.gateway.capacity.key_queue import KeyQueue


class FairLock:
    """One holder at a time; the next one is the longest waiting of the owner whose turn it is."""

    def __init__(self) -> None:
        self._waiting = KeyQueue()
        self._is_held = False

    @property
    def is_held(self) -> bool:
        """Whether an owner has the turn."""
        return self._is_held

    @asynccontextmanager
    async def of(self, owner: str) -> AsyncIterator[None]:
        """Wait for a turn of `owner`, and hold it."""
        if self._is_held:
            await self._wait(owner)
        self._is_held = True
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, owner: str) -> None:
        """Wait until the turn is passed on to this waiter."""
        turn = self._waiting.join(owner)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn had just come: the next owner gets it.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the turn to the next owner; it stays held meanwhile, so that no other owner can come in between."""
        self._is_held = self._waiting.call_next() is not None
