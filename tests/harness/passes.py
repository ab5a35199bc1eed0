"""Counts passes of the event loop, and what happens in each."""

import asyncio
from collections import Counter


class Passes:
    """`note` something in the pass that runs, whose `number` is counted from when this was made."""

    def __init__(self) -> None:
        self.number = 0
        self._seen: Counter[int] = Counter()
        self._is_stopped = False
        self._tick()

    def _tick(self) -> None:
        self.number += 1
        if not self._is_stopped:
            asyncio.get_running_loop().call_soon(self._tick)

    def note(self) -> None:
        """Count one in this pass."""
        self._seen[self.number] += 1

    def stop(self) -> tuple[int, int]:
        """Return how many were noted in all, and at most in one pass."""
        self._is_stopped = True
        return self._seen.total(), max(self._seen.values())
