"""Runs blocking work of the monitoring routes in a bounded number of daemon threads.

The threads of asyncio's default executor are joined at exit, so one long collection would delay the
exit after SIGTERM. A daemon thread ends with the process. Each piece of work gets its own thread:
scrapes are rare, and an idle thread would have to be stopped.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

Result = TypeVar("Result")

MAX_RUNNING: Final = 2
"""Collections share a lock and the interpreter, so more threads would not be faster."""

MAX_WAITING: Final = 64


class TooManyCollectionsError(Exception):
    """The waiting work has reached its limit."""


class CollectThreads:
    """Runs at most `max_running` pieces of work at once; at most `max_waiting` wait.

    For one event loop.
    """

    def __init__(self, *, max_running: int = MAX_RUNNING, max_waiting: int = MAX_WAITING) -> None:
        self._slots = asyncio.Semaphore(max_running)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, or raise what it raises.

        Raises `TooManyCollectionsError` where too many wait. The work of a cancelled caller
        continues, and occupies its slot until it ends.
        """
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise TooManyCollectionsError
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()

        def finish(value: Result | None, error: BaseException | None) -> None:
            self._slots.release()
            if result.cancelled():
                return
            if error is None:
                result.set_result(value)  # type: ignore[arg-type]  # without an error there is a result
            else:
                result.set_exception(error)

        def run() -> None:
            value, error = None, None
            try:
                value = work()
            except BaseException as raised:  # noqa: BLE001  raised by the awaiting task
                error = raised
            with suppress(RuntimeError):  # The event loop is closed: no task awaits this any more.
                loop.call_soon_threadsafe(finish, value, error)

        try:
            threading.Thread(target=run, name="collect", daemon=True).start()
        except RuntimeError:
            self._slots.release()
            raise
        return await result
