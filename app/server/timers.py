"""Named timers of one owner: at most one of each name runs."""

from collections.abc import Callable

from app.gateway.lazy_timers import LazyTimer, LazyTimers


class Timers(dict[str, LazyTimer]):
    """The timers of one owner that were set and not stopped, by name. A dictionary: what is asked most is whether there is one."""

    __slots__ = ("_timers",)

    def __init__(self, timers: LazyTimers) -> None:
        super().__init__()
        self._timers = timers

    def set(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` after so many seconds, unless the timer is set again or stopped before."""
        self.stop(name)
        self[name] = self._timers.call_later(seconds, act)

    def stop(self, name: str) -> None:
        """Stop a timer, where there is one."""
        timer = self.pop(name, None)
        if timer is not None:
            timer.cancel()

    def stop_all(self) -> None:
        """Stop all timers."""
        for name in tuple(self):
            self.stop(name)
