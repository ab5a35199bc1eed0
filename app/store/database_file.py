"""The SQLite file that the gateway has open: who may read it, and whether it is still the one at its path.

A file that is deleted or replaced under a process still accepts rows, which no later process
finds. So the file's identity is compared before and after each group of ledger rows and for
readiness.
"""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import URL

_OWNER_ONLY: Final = 0o600
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SUFFIXES: Final = ("", "-wal", "-shm")
_READ_ONLY: Final = "is read-only, and SQLite keeps its journal beside the database"


class DatabaseFileError(OSError):
    """The file is not the one that was opened."""


class _Identity(NamedTuple):
    device: int
    inode: int


class DatabaseFile:
    """One file by its path; for a database that is not a plain file every check succeeds."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._identity: _Identity | None = None

    def remember(self) -> None:
        """Remember the file at the path as the one that is open; call it after opening."""
        self._identity = self._find()

    def check(self) -> None:
        """Raise `DatabaseFileError` where the path leads to another file than the one that is open, or to none."""
        if self._identity is None:
            return
        found = self._find()
        if found != self._identity:
            what = "was deleted" if found is None else "was replaced by another file"
            raise DatabaseFileError(f"the database file {self._path} {what}; put it back, or restart the gateway")

    def _find(self) -> _Identity | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return _Identity(status.st_dev, status.st_ino)


def database_file(url: URL) -> DatabaseFile:
    """Return the file that a URL names."""
    return DatabaseFile(path_of(url.database) if url.get_backend_name() == "sqlite" else None)


def path_of(database: str | None) -> Path | None:
    """Return the absolute path of a SQLite database that is a plain file, None for one in memory or by URI."""
    if not database or database.startswith(("file:", ":")):
        return None
    return Path(database).absolute()


def check_path(path: Path) -> None:
    """Report why a file cannot be opened, which SQLite does not. Raises `sqlite3.OperationalError`."""
    folder = path.parent
    if not folder.is_dir():
        raise sqlite3.OperationalError(f"there is no folder {folder}")
    if path.is_dir():
        raise sqlite3.OperationalError("it is a folder")
    if path.exists() and not path.is_file():
        raise sqlite3.OperationalError("it is not a regular file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise sqlite3.OperationalError(f"the folder {folder} {_READ_ONLY}")
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise sqlite3.OperationalError("the file is read-only for this user")


def keep_private(path: Path) -> None:
    """Make the file for its owner alone, as SQLite then makes those beside it; an owner's existing files are closed to others."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY))
    for suffix in _SUFFIXES:
        each = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):  # missing, or owned by another user
            mode = stat.S_IMODE(each.stat().st_mode)
            if mode & _OTHERS:
                each.chmod(mode & ~_OTHERS)
