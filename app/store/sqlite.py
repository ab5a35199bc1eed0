"""Opens SQLite files so that commits last, processes share the file, and closing always ends.

With WAL, readers and the writer do not wait for each other. With FULL, a commit is on the disk when
it returns; group commit pays for that.
"""

import asyncio
import contextlib
import sqlite3
import time
import weakref
from collections.abc import Callable
from typing import Any

import aiosqlite
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.database_file import check_path, keep_private, path_of

SQLITE_BUSY_SECONDS = 2.0
"""How long a statement waits for another process's write before it fails; a commit takes milliseconds."""

START_SECONDS = 10.0
"""How long a start waits for other processes' starts: the first one migrates, and its disk may be slow."""

_RETRY_SECONDS = 0.02
_ITER_CHUNK_SIZE = 64  # aiosqlite's own default


class _Connection(sqlite3.Connection):
    """A connection whose `close` ends its statements and its transaction at once.

    SQLite keeps a closed connection, with its locks, for as long as a cursor is inside a statement. A cancelled `INSERT ...
    RETURNING` leaves such a cursor in a traceback: no other connection could write until the garbage collector found it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        """Make a cursor as `sqlite3` does, and remember it weakly."""
        cursor = super().cursor(*arguments, **options)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """Close the cursors, roll an open transaction back, and close; a second call does nothing."""
        for cursor in self._cursors:
            cursor.close()
        self._cursors.clear()
        with contextlib.suppress(sqlite3.Error):  # closed already, or a disk that fails: the lock goes with the file
            self.rollback()
        super().close()


class _StoppableConnection(aiosqlite.Connection):
    """aiosqlite waits indefinitely when a connection is closed after its thread was stopped.

    SQLAlchemy does both when a statement is cancelled and then cancelled again, as at the end of an event loop: without this a
    gateway whose database hangs would never exit.
    """

    _is_stopped = False
    _stopped: asyncio.Future[Any] | None = None

    def __init__(self, connector: Callable[[], sqlite3.Connection], iter_chunk_size: int) -> None:
        self._made: sqlite3.Connection | None = None

        def connect() -> sqlite3.Connection:
            self._made = connector()
            return self._made

        super().__init__(connect, iter_chunk_size)

    def stop(self) -> asyncio.Future[Any] | None:
        """Stop the thread, once; a second caller waits for the same end."""
        if not self._is_stopped:
            self._is_stopped = True
            # aiosqlite forgets a connection that was being made when its caller was cancelled.
            self._tx.put_nowait((None, self._close_made))
            self._stopped = super().stop()
        return self._stopped

    def _close_made(self) -> None:
        """Close the connection, in its thread; closing it again does nothing."""
        if self._made is not None:
            self._made.close()


def sqlite_connect_args() -> dict[str, Any]:
    """What SQLAlchemy passes to the driver for each connection."""

    def connect(database: str, *arguments: Any, **options: Any) -> _StoppableConnection:
        path = path_of(database)
        if path is not None:
            # `prepare_file` made it: one that was deleted since must not be made again, empty and readable by all.
            database, options = f"{path.as_uri()}?mode=rw", {**options, "uri": True}
        arguments, options = (database, *arguments), {**options, "factory": _Connection}
        connection = _StoppableConnection(lambda: sqlite3.connect(*arguments, **options), _ITER_CHUNK_SIZE)
        connection._thread.daemon = True  # noqa: SLF001  as SQLAlchemy does for connections that it makes itself
        return connection

    return {"timeout": SQLITE_BUSY_SECONDS, "async_creator_fn": connect}


def set_up_connections(engine: AsyncEngine) -> None:
    """Set each new connection up, and begin transactions here: the driver's own would leave DDL outside of them.

    The execution option `sqlite_begin` is the statement: `BEGIN IMMEDIATE` takes the write lock at once.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        try:
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()
        except BaseException:
            connection.close()  # the pool does not have it yet: without this its thread would never end
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def prepare_file(engine: AsyncEngine) -> None:
    """Create the file where needed and switch it to WAL, which it stays in; blocks, for a thread. Raises `sqlite3.Error`.

    SQLite does not wait for other connections when it switches, so that processes that start together have to try again. It also
    detects a file that cannot be opened: in aiosqlite the connection's thread would survive that failure.
    """
    path = path_of(engine.url.database)
    if path is not None:
        check_path(path)
        keep_private(path)
    arguments, options = engine.dialect.create_connect_args(engine.url)
    connect: Any = sqlite3.connect
    connection: sqlite3.Connection = connect(*arguments, **options)
    connection.isolation_level = None
    deadline = time.monotonic() + START_SECONDS
    try:
        _execute_unlocked(connection, "PRAGMA journal_mode = WAL", deadline)
        # A file that cannot be written is opened without an error, and would fail on the first row.
        _execute_unlocked(connection, "BEGIN IMMEDIATE", deadline)
        connection.execute("PRAGMA user_version = 0")
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def is_locked(error: Exception) -> bool:
    """Whether a statement failed because another connection holds the file's lock; SQLAlchemy's errors are so too."""
    return "database is locked" in str(error)


def _execute_unlocked(connection: sqlite3.Connection, statement: str, deadline: float) -> None:
    """Execute a statement, again and again until the deadline of `time.monotonic` while the file is locked."""
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return
