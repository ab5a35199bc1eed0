"""How many bytes may be held at once, by all owners and by one; those of an owner that find no room wait in their order.

Input: owners that are about to hold bytes. Output: room for them until they release it. For one event loop.
"""

import asyncio
from collections import deque


class ByteBudget:
    """`max_bytes` for all owners. An owner that holds nothing may hold a number of any size."""

    def __init__(self, *, max_bytes: int, max_bytes_per_owner: int, wait_seconds: float) -> None:
        self._max_bytes = max_bytes
        self._max_bytes_per_owner = max_bytes_per_owner
        self._wait_seconds = wait_seconds
        self._owners: dict[str, int] = {}
        self._waiting: dict[str, deque[tuple[asyncio.Future[None], int]]] = {}
        self.held_bytes = 0

    def try_hold(self, owner: str, more_bytes: int) -> bool:
        """Hold so many bytes more, if there is room."""
        held = self._owners.get(owner, 0)
        if held and held + more_bytes > self._max_bytes_per_owner:
            return False
        if self.held_bytes and self.held_bytes + more_bytes > self._max_bytes:
            return False
        self._owners[owner] = held + more_bytes
        self.held_bytes += more_bytes
        return True

    async def hold(self, owner: str, more_bytes: int) -> bool:
        """Hold so many bytes more, once there is room; false when there was none for too long."""
        if owner not in self._waiting and self.try_hold(owner, more_bytes):
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, more_bytes)
        self._waiting.setdefault(owner, deque()).append(entry)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It got its room in the moment in which it was given up.
                self.release(owner, more_bytes)
            else:
                self._forget(owner, entry)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def release(self, owner: str, held_bytes: int) -> None:
        """Release bytes, and give what is free to those that wait."""
        self.held_bytes -= held_bytes
        left = self._owners[owner] - held_bytes
        if left:
            self._owners[owner] = left
        else:
            del self._owners[owner]
        for each in tuple(self._waiting):
            waiting = self._waiting[each]
            while waiting and (waiting[0][0].done() or self.try_hold(each, waiting[0][1])):
                turn, _ = waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
            if not waiting:
                del self._waiting[each]

    def _forget(self, owner: str, entry: tuple[asyncio.Future[None], int]) -> None:
        """Remove one that waits no more: those behind it go on without it."""
        waiting = self._waiting.get(owner)
        if waiting is not None and entry in waiting:
            waiting.remove(entry)
            if not waiting:
                del self._waiting[owner]
