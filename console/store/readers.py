"""Read-only connections beside the writer, each lent to one caller at a time.

A read sees the file as of its first statement, and neither waits for the writer nor stops it. It
ends with `QueryTimeoutError` at its deadline.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

DEFAULT_TIMEOUT_SECONDS: Final = 5.0
_STEPS_BETWEEN_CHECKS: Final = 20_000
"""Of SQLite's virtual machine: about a millisecond."""
_CACHE_KIB: Final = 8_192


class QueryTimeoutError(Exception):
    """The query took longer than it may."""


class FileReplacedError(Exception):
    """The path names another file than the one that the store writes to, or none."""


class ReaderConnection(sqlite3.Connection):
    """A read-only connection. Each statement asks for the deadline: SQLite itself does so in long ones only."""

    _is_late: Callable[[], bool] | None = None

    def limit(self, is_late: Callable[[], bool] | None) -> None:
        """Set what tells that the deadline has passed; None: there is none."""
        self._is_late = is_late
        self.set_progress_handler(is_late, _STEPS_BETWEEN_CHECKS)

    def check(self) -> None:
        """Raise `QueryTimeoutError` after the deadline."""
        if self._is_late is not None and self._is_late():
            raise QueryTimeoutError("the query took longer than it may")

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute a statement; raises `QueryTimeoutError` after the deadline."""
        self.check()
        return super().execute(sql, parameters)


class Readers:
    """Lends connections; at most `limit` at once, further callers wait. Used from worker threads, never the event loop.

    `is_in_place` tells whether the path still names the store's file.
    """

    def __init__(
        self,
        path: Path,
        *,
        is_in_place: Callable[[], bool] = lambda: True,
        limit: int = 4,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._is_in_place = is_in_place
        self._monotonic = monotonic
        self._free: list[ReaderConnection] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self._slots = threading.BoundedSemaphore(limit)

    @contextmanager
    def connection(self, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> Iterator[ReaderConnection]:
        """Lend a connection inside one read transaction; raises `QueryTimeoutError` when the block's queries take too long.

        Raises `FileReplacedError` where the store's file is not in its place.
        """
        if not self._is_in_place():
            raise FileReplacedError
        deadline = self._monotonic() + timeout_seconds
        if not self._slots.acquire(timeout=timeout_seconds):
            raise QueryTimeoutError(f"no reader was free within {timeout_seconds:g} s")
        try:
            with self._lock:
                connection = self._free.pop() if self._free else None
            connection = connection or self._open()
            try:
                connection.limit(lambda: self._monotonic() > deadline)
                connection.execute("BEGIN")
                yield connection
            except sqlite3.OperationalError as error:
                if "interrupted" in str(error):
                    raise QueryTimeoutError(f"the query took more than {timeout_seconds:g} s") from None
                raise
            finally:
                connection.limit(None)
                if connection.in_transaction:
                    connection.rollback()
                self._take_back(connection)
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close the connections; one that is lent is closed when it comes back."""
        with self._lock:
            self._is_closed = True
            free, self._free = self._free, []
        for connection in free:
            connection.close()

    def _take_back(self, connection: ReaderConnection) -> None:
        with self._lock:
            if not self._is_closed:
                self._free.append(connection)
                return
        connection.close()

    def _open(self) -> ReaderConnection:
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            factory=ReaderConnection,
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return connection
