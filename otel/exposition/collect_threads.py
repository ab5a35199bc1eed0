"""Runs blocking work of the monitoring routes in a bounded number of daemon threads.

The threads of asyncio's default executor are joined at exit, so that one busy collection would
outlive SIGTERM. A daemon thread is ended with the process. Each piece of work gets a thread of its
own: scrapes are rare, and an idle thread would be one to stop.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

Result = TypeVar("Result")

MAX_RUNNING: Final = 2
"""Collections share a lock and the interpreter: more threads make none of them faster."""

MAX_WAITING: Final = 64


class TooManyCollectionsError(Exception):
    """As much work waits already as may wait."""


class CollectThreads:
    """Runs at most `max_running` pieces of work at once, and lets at most `max_waiting` wait. For one event loop."""

    def __init__(self, *, max_running: int = MAX_RUNNING, max_waiting: int = MAX_WAITING) -> None:
        self._places = asyncio.Semaphore(max_running)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, or raise what it raises; raises `TooManyCollectionsError` where too many wait.

        A caller that is cancelled leaves its work running, which keeps its place until it ends.
        """
        if self._places.locked() and self._waiting >= self._max_waiting:
            raise TooManyCollectionsError
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Result] = loop.create_future()

        def finish(value: Result | None, error: BaseException | None) -> None:
            self._places.release()
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
            except BaseException as raised:  # noqa: BLE001  raised again by the awaiting task
                error = raised
            with suppress(RuntimeError):  # The event loop is closed: no task awaits this any more.
                loop.call_soon_threadsafe(finish, value, error)

        try:
            threading.Thread(target=run, name="collect", daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise
        return await result
