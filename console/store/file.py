"""Opens the console's file: owner-only, of its own kind and version, and in one process only."""

import contextlib
import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final

from console.store.limits import PAGE_BYTES, Limits
from console.store.schema import APPLICATION_ID, SCHEMA_VERSION, TABLES

_OWNER_ONLY: Final = 0o600
_OWNER_FOLDER: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_BUSY_SECONDS: Final = 0.1
"""Only a checkpoint ever waits, for readers."""
_CHECKPOINT_SHARE: Final = 4
"""Of the write-ahead log: the more of it is copied at once, the fewer pages are written twice."""
_CACHE_KIB: Final = 32_768
_OTHER_FILE: Final = "name another file with --data"


class StoreFileError(Exception):
    """The file cannot be used; the message is one line that says why and what to do."""


def damaged(path: Path, error: sqlite3.Error) -> StoreFileError:
    """Return the error of a file whose content cannot be read."""
    return StoreFileError(f"cannot use {path}: {error}; delete it, or {_OTHER_FILE}")


class StoreFile:
    """The open file. The connection belongs to the thread that writes."""

    def __init__(self, path: Path, limits: Limits) -> None:
        # Of a link, what it leads to: the lock and the write-ahead log are beside it, whatever it is called.
        self.path = path.resolve()
        self.connection = _open(self.path)
        try:
            self._lock = _locked(self.path)
            try:
                _set_up(self.connection, self.path, limits)
                self._identity = _identity(self.path)
            except BaseException:
                os.close(self._lock)
                raise
        except BaseException:
            self.connection.close()
            raise

    @property
    def is_in_place(self) -> bool:
        """Whether its path still names it: what is written to a deleted file is lost when it is closed."""
        return _identity(self.path) == self._identity

    def close(self) -> None:
        """Close it, so that another process may open it."""
        self.connection.close()
        os.close(self._lock)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(path: Path) -> sqlite3.Connection:
    """Open the file, which is made for its owner alone where there is none; another program's is not changed."""
    try:
        path.parent.mkdir(mode=_OWNER_FOLDER, parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            raise StoreFileError(f"{path} is no regular file; {_OTHER_FILE}")
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY))
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except OSError as error:
        raise StoreFileError(f"cannot use {path}: {error.strerror}; {_OTHER_FILE}") from None
    except sqlite3.Error as error:
        raise StoreFileError(f"cannot use {path}: {error}; {_OTHER_FILE}") from None
    try:
        _check_kind(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise StoreFileError(f"cannot use {path}: {error}; {_OTHER_FILE}") from None
    except StoreFileError:
        connection.close()
        raise
    return connection


def _locked(path: Path) -> int:
    """Lock the file against another console; return the lock's descriptor."""
    try:
        # A lock of its own: closing a second descriptor of the database would drop SQLite's locks on it.
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    except OSError as error:
        raise StoreFileError(f"cannot lock {path}: {error.strerror}; {_OTHER_FILE}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreFileError(f"{path} is in use by another console; stop it, or {_OTHER_FILE}") from None
    except OSError as error:
        os.close(lock)
        raise StoreFileError(f"cannot lock {path}: {error.strerror}; {_OTHER_FILE}") from None
    return lock


def _make_private(path: Path) -> None:
    """Close files of an earlier run, which may have been copied, to others."""
    for suffix in ("", "-wal", "-shm"):
        each = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):  # missing, or owned by another user
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & _OTHERS:
                each.chmod(mode & ~_OTHERS)


def _set_up(connection: sqlite3.Connection, path: Path, limits: Limits) -> None:
    _make_private(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk when it returns: what is acknowledged survives a power failure, too.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA journal_size_limit = {limits.wal_bytes // 2}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {limits.wal_bytes // _CHECKPOINT_SHARE // PAGE_BYTES}")
        _create_tables(connection)
        connection.execute(f"PRAGMA max_page_count = {limits.max_pages}")
    except sqlite3.Error as error:
        raise damaged(path, error) from None


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `StoreFileError` where the file is another program's, or of another version."""
    kind = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if kind != APPLICATION_ID and not (is_empty and kind == 0):
        raise StoreFileError(f"{path} is a database of another program; {_OTHER_FILE}")
    if not is_empty and version != SCHEMA_VERSION:
        raise StoreFileError(
            f"{path} was made by another version of the console ({version}, not {SCHEMA_VERSION});"
            f" delete it, or {_OTHER_FILE}"
        )


def _create_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return
    # One transaction: a file that is half made would be refused.
    connection.executescript(
        "BEGIN IMMEDIATE;"
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
        + "".join(TABLES)
        + "COMMIT;"
    )
