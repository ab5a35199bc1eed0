"""How many bytes of responses the gateway holds, of all calls and of one key's.

Input: calls that are about to hold more of a response, or of an event of a stream, than every call
may. Output: room for it until the call has ended or has passed it on, at once or when others have.
There are two budgets, and a call takes room in the medium one first: those that wait for the large
one hold room that others of its holders never wait for. For one event loop.
"""

from typing import Final

from app.gateway.capacity.byte_budget import ByteBudget

FREE_BYTES: Final = 16 * 1024
"""So much of a response needs no room: a slot in flight bounds it."""

MEDIUM_BYTES: Final = 1024 * 1024
"""What is larger needs room in the large budget; a response whose length is unknown holds so much first."""

MEDIUM_BYTES_PER_OWNER: Final = 16 * 1024 * 1024
_ALL_MEDIUM_BYTES: Final = 4 * MEDIUM_BYTES_PER_OWNER
_LARGE_BYTES: Final = 128 * 1024 * 1024
_WAIT_SECONDS: Final = 30.0


class ResponseBudget:
    """`max_bytes` of large responses for all owners, one half of it for each; and a fixed room for medium ones."""

    def __init__(
        self,
        *,
        max_bytes: int = _LARGE_BYTES,
        medium_bytes_per_owner: int = MEDIUM_BYTES_PER_OWNER,
        wait_seconds: float = _WAIT_SECONDS,
    ) -> None:
        self.large = ByteBudget(max_bytes=max_bytes, max_bytes_per_owner=max_bytes // 2, wait_seconds=wait_seconds)
        self.medium = ByteBudget(
            max_bytes=_ALL_MEDIUM_BYTES, max_bytes_per_owner=medium_bytes_per_owner, wait_seconds=wait_seconds
        )
        self.max_bytes_per_owner = max_bytes // 2 + medium_bytes_per_owner

    @property
    def held_bytes(self) -> int:
        """How much is held."""
        return self.large.held_bytes + self.medium.held_bytes

    def share(self, owner: str) -> "ResponseShare":
        """Return what one call of `owner` holds: nothing yet."""
        return ResponseShare(self, owner)


def room_for(largest_response_bytes: int) -> int:
    """Return how many bytes of large responses to hold: the usual, or as many that one owner may hold the largest one that is configured."""
    return max(_LARGE_BYTES, 2 * largest_response_bytes)


class ResponseShare:
    """What one call holds."""

    def __init__(self, budget: ResponseBudget, owner: str) -> None:
        self._budget = budget
        self._owner = owner
        self._medium_bytes = 0
        self._large_bytes = 0
        self.held_bytes = 0
        """How much room is held. An attribute: it is read several times for each piece of a stream."""

    def has(self, size_bytes: int) -> bool:
        """Whether a response of this size needs no more room."""
        return size_bytes <= max(self._large_bytes, self._medium_bytes, FREE_BYTES)

    def try_hold(self, size_bytes: int) -> bool:
        """Hold room for `size_bytes` in all; false where there is none."""
        if self.has(size_bytes):
            return True
        if size_bytes <= MEDIUM_BYTES:
            is_held = self._budget.medium.try_hold(self._owner, size_bytes - self._medium_bytes)
        else:
            is_held = self._budget.large.try_hold(self._owner, size_bytes - self._large_bytes)
        return is_held and self._holds(size_bytes)

    async def hold(self, size_bytes: int) -> bool:
        """Hold room for `size_bytes` in all, once there is; false when there was none for too long.

        One that waits for more in a budget of which it holds a part may wait for another one that does the same.
        """
        if self.has(size_bytes):
            return True
        if size_bytes <= MEDIUM_BYTES:
            is_held = await self._budget.medium.hold(self._owner, size_bytes - self._medium_bytes)
        else:
            is_held = await self._budget.large.hold(self._owner, size_bytes - self._large_bytes)
        return is_held and self._holds(size_bytes)

    def shrink(self, size_bytes: int) -> None:
        """Give back what a response of this size does not need."""
        if not self.held_bytes:
            return
        needed = size_bytes if size_bytes > FREE_BYTES else 0
        if self._medium_bytes:
            # Room in the large budget is for all of a response.
            left = 0 if self._large_bytes else min(needed, self._medium_bytes)
            if left < self._medium_bytes:
                released, self._medium_bytes = self._medium_bytes - left, left
                self._budget.medium.release(self._owner, released)
        if self._large_bytes > needed:
            released, self._large_bytes = self._large_bytes - needed, needed
            self._budget.large.release(self._owner, released)
        self.held_bytes = self._medium_bytes + self._large_bytes

    def release(self) -> None:
        """Give everything back."""
        self.shrink(0)

    def _holds(self, size_bytes: int) -> bool:
        if size_bytes <= MEDIUM_BYTES:
            self._medium_bytes = size_bytes
        else:
            self._large_bytes = size_bytes
        self.held_bytes = self._medium_bytes + self._large_bytes
        return True
