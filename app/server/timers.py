"""Named timers of one owner: at most one of each name runs."""

from collections.abc import Callable

from app.gateway.lazy_timers import LazyTimer, LazyTimers


class Timers:
    """The timers of one owner."""

    __slots__ = ("_running", "_timers")

    def __init__(self, timers: LazyTimers) -> None:
        self._timers = timers
        self._running: dict[str, LazyTimer] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether a timer of this name was set and not stopped."""
        return name in self._running

    def set(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` after so many seconds, unless the timer is set again or stopped before."""
        self.stop(name)
        self._running[name] = self._timers.call_later(seconds, act)

    def stop(self, name: str) -> None:
        """Stop a timer, where there is one."""
        timer = self._running.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop_all(self) -> None:
        """Stop all timers."""
        for name in tuple(self._running):
            self.stop(name)
