"""Named timers on the event loop: at most one of each name runs."""

import asyncio
from collections.abc import Callable


class Timers:
    """The timers of one owner."""

    __slots__ = ("_loop", "_running")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._running: dict[str, asyncio.TimerHandle] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether a timer of this name was set and not stopped."""
        return name in self._running

    def set(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` after so many seconds, unless the timer is set again or stopped before."""
        self.stop(name)
        self._running[name] = self._loop.call_later(seconds, act)

    def stop(self, name: str) -> None:
        """Stop a timer, where there is one."""
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop_all(self) -> None:
        """Stop all timers."""
        for name in tuple(self._running):
            self.stop(name)
