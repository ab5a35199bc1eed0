"""Stores on disk what shutdown could not deliver, for the next process that starts with the same folder.

A file belongs to the process that holds its lock, and is removed only after everything in it was
delivered or dropped. A process that is killed before that leaves the file to the next one, which may
send a batch twice (the same span ids, the same lines).

Format of a file: the line `gatewayz-otlp-spool 1`, then records: signal (1 byte: t, m or l), items
(4 bytes), length (4 bytes), CRC-32 of the body (4 bytes), all big-endian, and the body: an OTLP
export request in protobuf, not compressed. Of a file that was cut short the whole records are read.
"""

import contextlib
import fcntl
import logging
import os
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import IO, Final

import msgspec

from otel.config.otlp import Signal

_MAGIC: Final = b"gatewayz-otlp-spool 1\n"
_HEADER: Final = struct.Struct(">cIII")
_CODES: Final[dict[Signal, bytes]] = {"traces": b"t", "metrics": b"m", "logs": b"l"}
_SIGNALS: Final = {code: signal for signal, code in _CODES.items()}
_SUFFIX: Final = ".otlp"
_CHECK_SECONDS: Final = 0.25
_PIECE_BYTES: Final = 1 << 20
_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600

_logger = logging.getLogger("otel.delivery")


class Leftover(msgspec.Struct, frozen=True):
    """One encoded request that was not delivered: its signal, how many items it holds, and its OTLP bytes, not compressed."""

    signal: Signal
    items: int
    payload: bytes


class Spool:
    """The folder. `load` at the start, `write` at the end; both by the thread that starts and shuts down."""

    def __init__(self, folder: Path, name: str) -> None:
        """`name` is unique to the process: its instance id."""
        self.folder = folder
        self._name = name
        self._held: list[tuple[Path, IO[bytes]]] = []

    def load(self) -> list[Leftover]:
        """Lock the files that no living process holds and read them, oldest first; what cannot be read is logged and skipped."""
        found: list[Leftover] = []
        if not self.folder.is_dir():
            return found
        for path in sorted(self.folder.glob(f"*{_SUFFIX}"), key=_modified):
            if not _is_file(path):
                _logger.warning("%s in the spool folder is not a regular file; it is skipped", path.name)
                continue
            file = _lock(path)
            if file is None:
                continue
            self._held.append((path, file))
            found += _read(path, file)
        return found

    def problem(self) -> str | None:
        """Return why the folder cannot be written to, None where it can; makes the folder."""
        probe = self.folder / f"{self._name}.part"
        try:
            self._make_folder()
            with _create(probe) as file:
                file.write(_MAGIC)
            probe.unlink()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def write(self, leftovers: Sequence[Leftover]) -> bool:
        """Write what is left and remove the files that were read; returns whether it is on disk. Never raises."""
        if leftovers:
            try:
                self._write(leftovers)
            except OSError as error:
                reason = error.strerror or error
                _logger.log(
                    logging.ERROR, "telemetry cannot be stored for the next start in %s: %s", self.folder, reason
                )
                self.unlock()
                return False
        self.release()
        return True

    def release(self) -> None:
        """Remove the files that were read: all that was in them is delivered, dropped, or written again."""
        while self._held:
            path, file = self._held.pop()
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            file.close()

    def unlock(self) -> None:
        """Unlock the files that were read and leave them as they are, as the end of the process does."""
        while self._held:
            self._held.pop()[1].close()

    @property
    def is_held(self) -> bool:
        """Whether files that were read are still on disk."""
        return bool(self._held)

    def _free_path(self) -> Path:
        """Return the path of a new file; it replaces none."""
        return next(
            path for number in count() if not (path := self.folder / f"{self._name}-{number}{_SUFFIX}").exists()
        )

    def _make_folder(self) -> None:
        """Make the folder for its owner alone; an existing one keeps its mode."""
        self.folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def _write(self, leftovers: Sequence[Leftover]) -> None:
        """Write a file that appears only when it is whole."""
        self._make_folder()
        part = self.folder / f"{self._name}.part"
        try:
            with _create(part) as file:
                file.write(_MAGIC)
                for each in leftovers:
                    header = _HEADER.pack(_CODES[each.signal], each.items, len(each.payload), zlib.crc32(each.payload))
                    file.write(header + each.payload)
                file.flush()
                os.fsync(file.fileno())
            part.rename(self._free_path())
        except OSError:
            part.unlink(missing_ok=True)
            raise


class CleanupLoop:
    """Removes the files that were read as soon as everything in them is delivered or dropped. For one `Worker`."""

    def __init__(self, spool: Spool, is_delivered: Callable[[], bool]) -> None:
        self._spool = spool
        self._is_delivered = is_delivered

    @property
    def is_done(self) -> bool:
        """Whether shutdown may go on: always, because what is left then is written again."""
        return True

    def step(self) -> float | None:
        """Remove the files if they may go; returns the seconds until the next check, None when none is left."""
        if self._spool.is_held and self._is_delivered():
            self._spool.release()
        return _CHECK_SECONDS if self._spool.is_held else None


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_file(path: Path) -> bool:
    """Whether it is a regular file itself: a FIFO would block the start, and a link leads out of the folder."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _create(path: Path) -> IO[bytes]:
    """Open a new file that its owner alone can read."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE), "wb")


def _lock(path: Path) -> IO[bytes] | None:
    """Open and lock a file; None where another process has locked or removed it."""
    try:
        # Never blocks and never follows a link, whatever took the file's place meanwhile.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file.fileno())
        if status.st_nlink and stat.S_ISREG(status.st_mode):
            with contextlib.suppress(OSError):  # a file of another user
                os.fchmod(file.fileno(), _FILE_MODE)
            return file
    except OSError:
        pass
    file.close()
    return None


def _read(path: Path, file: IO[bytes]) -> list[Leftover]:
    """Read the records that are whole."""
    found: list[Leftover] = []
    size_bytes = os.fstat(file.fileno()).st_size
    if file.read(len(_MAGIC)) != _MAGIC:
        _logger.error("%s is not a spool of telemetry of this version; it is removed", path.name)
        return found
    while header := file.read(_HEADER.size):
        signal = _SIGNALS.get(header[:1])
        if len(header) == _HEADER.size and signal is not None:
            _, items, length, checksum = _HEADER.unpack(header)
            # The length may be corrupt: nothing of that size is held before it is known to be whole.
            begin = file.tell()
            if length <= size_bytes - begin and _checksum(file, length) == checksum:
                file.seek(begin)
                found.append(Leftover(signal, items, file.read(length)))
                continue
        _logger.error("%s is damaged: %d requests before the damage are sent, the rest is lost", path.name, len(found))
        break
    return found


def _checksum(file: IO[bytes], length: int) -> int:
    """Return the CRC-32 of the next bytes, read in pieces."""
    checksum = 0
    while length > 0 and (piece := file.read(min(length, _PIECE_BYTES))):
        checksum = zlib.crc32(piece, checksum)
        length -= len(piece)
    return checksum
