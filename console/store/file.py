"""Opens the console's file: owner-only, of its own kind and version, and in one process only."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from console.store.limits import Limits
from console.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

_OWNER_ONLY: Final = 0o600
_OWNER_FOLDER: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_BUSY_SECONDS: Final = 5.0
_CACHE_KIB: Final = 32_768


class StoreFileError(Exception):
    """The file cannot be used; the message is one line that says why and what to do."""


class StoreFile:
    """The open file. The connection belongs to the thread that writes."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path.absolute()
        self._lock = _locked(self.path)
        try:
            self.connection = _connect(self.path, limits)
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Close it, so that another process may open it."""
        self.connection.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    """Create folder and file for their owner alone and lock the file against another console; return the lock's descriptor."""
    try:
        path.parent.mkdir(mode=_OWNER_FOLDER, parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise StoreFileError(f"{path} is no regular file; name another one with --data")
        _make_private(path)
        # A lock of its own: closing a second descriptor of the database would drop SQLite's locks on it.
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise StoreFileError(f"cannot use {path}: {error.strerror}; name another file with --data") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise StoreFileError(f"cannot lock {path}: {error.strerror}; name another file with --data") from None
        raise StoreFileError(f"{path} is in use by another console; stop it, or name another file with --data") from None
    return lock


def _make_private(path: Path) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY))
    for suffix in ("", "-wal", "-shm"):
        each = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & _OTHERS:
                each.chmod(mode & ~_OTHERS)


def _connect(path: Path, limits: Limits) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        _check_kind(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk when it returns: what is acknowledged survives a power failure, too.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {limits.wal_bytes // 2}")
        _create_tables(connection)
        connection.execute(f"PRAGMA max_page_count = {limits.max_pages}")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise StoreFileError(f"cannot use {path}: {error}; delete it, or name another file with --data") from None
    except StoreFileError:
        connection.close()
        raise
    return connection


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreFileError` where the file is another program's, or of another version."""
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if kind != APPLICATION_ID and not (is_empty and kind == 0):
        raise StoreFileError(f"{path} is a database of another program; name another file with --data")
    if not is_empty and version != SCHEMA_VERSION:
        raise StoreFileError(
            f"{path} was made by another version of the console ({version}, not {SCHEMA_VERSION});"
            " delete it, or name another file with --data"
        )


def _create_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return
    # One transaction: a file that is half made would be refused.
    connection.executescript(
        "BEGIN IMMEDIATE;"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};" + "".join(TABLES) + "COMMIT;"
    )
