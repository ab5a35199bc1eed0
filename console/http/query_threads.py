"""Runs queries in threads of their own, each with a reader's connection and a time limit."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final, TypeVar

from console.http.responses import ProblemError
from console.query.view import View
from console.store.readers import FileReplacedError, QueryTimeoutError, Readers

T = TypeVar("T")

QUERY_SECONDS: Final = 5.0
THREADS: Final = 3
"""Fewer than the readers that the store lends: the tail and the pipeline need one too."""
MAX_WAITING: Final = 32
_UNREADABLE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY}
)
"""What befalls a file that was deleted, damaged or unmounted; any other error is a defect."""
_PRIMARY: Final = 0xFF
"""The part of SQLite's codes that is the primary one."""


class QueryThreads:
    """For one event loop. `unix_ns` is the wall clock in nanoseconds."""

    def __init__(self, readers: Readers, unix_ns: Callable[[], int]) -> None:
        self._readers = readers
        self.unix_ns = unix_ns
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="console-query")
        self._waiting = 0
        self._closed = threading.Event()

    async def run(self, query: Callable[[View], T]) -> T:
        """Return the result of a query; raises 503 where it takes too long or too many wait, 400 for a ValueError."""
        if self._closed.is_set():
            raise _stopping()
        if self._waiting >= MAX_WAITING:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, "The console is busy with other queries.", {"Retry-After": "1"}
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)
        except QueryTimeoutError:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The query takes more than {QUERY_SECONDS:g} seconds: narrow the time range or the filters.",
                {"Retry-After": "5"},
            ) from None
        except FileReplacedError:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "The console's file was deleted or replaced: put it back, or start the console again.",
                {"Retry-After": "5"},
            ) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed.is_set() and task is not None and not task.cancelling():
                # The query was, not its request.
                raise _stopping() from None
            raise
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _UNREADABLE:
                raise
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"The console cannot read its file: {error}.", {"Retry-After": "5"}
            ) from None
        except ValueError as error:
            raise ProblemError(HTTPStatus.BAD_REQUEST, str(error)[:500]) from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Start no further query; those that run end by their time limit."""
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, query: Callable[[View], T]) -> T:
        with self._readers.connection(QUERY_SECONDS) as connection:
            return query(View(connection, self.unix_ns()))


def _stopping() -> ProblemError:
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The console is stopping.", {"Retry-After": "5"})
