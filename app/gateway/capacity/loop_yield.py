"""Lets one piece of slow work run in each pass of the event loop, so that quick work goes on in between."""

import asyncio

from app.gateway.capacity.key_queue import KeyQueue


class LoopYield:
    """For one event loop; the keys of those that wait take turns."""

    def __init__(self) -> None:
        self._waiting = KeyQueue()
        self._is_called = False

    async def wait(self, key: str) -> None:
        """Go on in a later pass, alone among those that wait here."""
        turn = self._waiting.join(key)
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._next)
        await turn

    def _next(self) -> None:
        self._waiting.call_next()
        self._is_called = bool(self._waiting)
        if self._is_called:
            asyncio.get_running_loop().call_soon(self._next)
