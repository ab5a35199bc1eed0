"""How many bytes of large responses the gateway holds, of all calls and of one key's.

Input: calls that are about to hold a large response of a provider, or a large event of a stream.
Output: room for it until the call has ended, at once or when others have ended. For one event loop.
"""

import asyncio
from collections import deque
from typing import Final

LARGE_BYTES: Final = 1024 * 1024
"""Responses up to here need no room: a slot in flight bounds them."""

_MAX_BYTES: Final = 128 * 1024 * 1024
_WAIT_SECONDS: Final = 30.0


class ResponseBudget:
    """`max_bytes` for all owners, one half of it for each. An owner that holds nothing may hold one response of any size."""

    def __init__(self, *, max_bytes: int = _MAX_BYTES, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._max_bytes = max_bytes
        self._wait_seconds = wait_seconds
        self._total_bytes = 0
        self._owners: dict[str, int] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held_bytes(self) -> int:
        """How much is held."""
        return self._total_bytes

    @property
    def max_bytes_per_owner(self) -> int:
        """How much one owner may hold."""
        return self._max_bytes // 2

    def share(self, owner: str) -> "ResponseShare":
        """Return what one call of `owner` holds: nothing yet."""
        return ResponseShare(self, owner)

    def try_hold(self, owner: str, more_bytes: int) -> bool:
        """Hold so many bytes more, if there is room."""
        held = self._owners.get(owner, 0)
        if held and held + more_bytes > self.max_bytes_per_owner:
            return False
        if self._total_bytes and self._total_bytes + more_bytes > self._max_bytes:
            return False
        self._owners[owner] = held + more_bytes
        self._total_bytes += more_bytes
        return True

    async def hold(self, owner: str, more_bytes: int) -> bool:
        """Hold so many bytes more, once there is room; false when there was none for too long."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                while not self.try_hold(owner, more_bytes):
                    turn = asyncio.get_running_loop().create_future()
                    self._waiting.append(turn)
                    await turn
        except TimeoutError:
            return False
        return True

    def release(self, owner: str, held_bytes: int) -> None:
        """Release bytes, and let the waiting calls check again, in order."""
        self._total_bytes -= held_bytes
        left = self._owners[owner] - held_bytes
        if left:
            self._owners[owner] = left
        else:
            del self._owners[owner]
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)


def room_for(largest_response_bytes: int) -> int:
    """Return how many bytes to hold: the usual, or as many that one owner may hold the largest response that is configured."""
    return max(_MAX_BYTES, 2 * largest_response_bytes)


class ResponseShare:
    """What one call holds; it only grows until `release`."""

    def __init__(self, room: ResponseBudget, owner: str) -> None:
        self._room = room
        self._owner = owner
        self._held_bytes = 0

    def has(self, size_bytes: int) -> bool:
        """Whether a response of this size needs no more room."""
        return size_bytes <= max(self._held_bytes, LARGE_BYTES)

    def try_hold(self, size_bytes: int) -> bool:
        """Hold room for `size_bytes` in all; false where there is none."""
        if not self.has(size_bytes):
            more = size_bytes - self._held_bytes
            if not self._room.try_hold(self._owner, more):
                return False
            self._held_bytes += more
        return True

    async def hold(self, size_bytes: int) -> bool:
        """Hold room for `size_bytes` in all, once there is; false when there was none for too long."""
        if not self.has(size_bytes):
            more = size_bytes - self._held_bytes
            if not await self._room.hold(self._owner, more):
                return False
            self._held_bytes += more
        return True

    def release(self) -> None:
        """Give everything back."""
        if self._held_bytes:
            held, self._held_bytes = self._held_bytes, 0
            self._room.release(self._owner, held)
