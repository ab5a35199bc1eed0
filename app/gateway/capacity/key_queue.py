"""A queue in which keys take turns: one entry of each key that waits, then the next of each.

So a call of a key with few waits behind one call of each other key, not behind all calls of one.
"""

import asyncio
from collections import OrderedDict, deque


class KeyQueue:
    """Those that wait for a turn. For one event loop."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()
        self.steps = 0
        """How many wait, those included that were cancelled and would come later."""

    @property
    def keys(self) -> int:
        """How many keys wait."""
        return len(self._keys)

    def __bool__(self) -> bool:
        """Whether a key waits."""
        return bool(self._keys)

    def __contains__(self, key: str) -> bool:
        """Whether this key waits."""
        return key in self._keys

    def join(self, key: str, weight: int = 1) -> asyncio.Future[None]:
        """Return the future to await for the turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._keys.get(key)
        if waiting is None:
            waiting = self._keys[key] = deque()
        waiting.append((turn, weight))
        self.steps += 1
        return turn

    def call_next(self) -> tuple[str, int] | None:
        """Let the next one go on, and return its key and weight; None where none waits. One that was cancelled while it waited is skipped."""
        while self._keys:
            key, waiting = self._keys.popitem(last=False)
            turn, weight = waiting.popleft()
            self.steps -= 1
            while turn.done() and waiting:
                turn, weight = waiting.popleft()
                self.steps -= 1
            if waiting:
                # The key goes to the end of the line.
                self._keys[key] = waiting
            if not turn.done():
                turn.set_result(None)
                return key, weight
        return None
