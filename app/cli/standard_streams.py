"""Standard streams that neither block nor fail: stdout and stderr may be full, unread, closed or absent at any time.

Every command opens them first, so `print`, argparse, `logging`'s last resort and the log lines all
write through them.
"""

import contextlib
import io
import os
import select
import socket
import stat
import sys
import time
from typing import Final, TextIO

STDERR_PATIENCE_SECONDS: Final = 0.5
"""How long a line for the operator waits for a reader. After one that waited in vain, no line waits until one is written."""

STDOUT_PATIENCE_SECONDS: Final = 10.0
"""How long a command's output waits for a reader that takes nothing at all; what is left then is dropped."""

_STANDARD_DESCRIPTORS: Final = (0, 1, 2)
_CHUNK_BYTES: Final = 65_536
_POLLED_CHUNK_BYTES: Final = 4_096  # PIPE_BUF: a pipe that polls as writable takes this much without blocking
_POLL_SECONDS: Final = 0.1
_ASCII_END: Final = 128
_BMP_END: Final = 0x10000


class StandardStream(io.TextIOBase):
    r"""Text to one file descriptor. `write` never raises and returns how many characters were written.

    `patience_seconds` bounds the wait for a reader, with `renewed` from the last byte that it took; None waits as long as it takes.
    Characters that the encoding lacks are written as `\uXXXX`, which JSON reads as the same character.
    """

    def __init__(
        self, descriptor: int, *, encoding: str, patience_seconds: float | None, renewed: bool = False
    ) -> None:
        self._descriptor = descriptor
        self._encoding = encoding
        self._patience_seconds = patience_seconds
        self._renewed = renewed
        self._is_stuck = False
        self._is_mid_line = False
        self._target = _own_descriptor(descriptor)
        # A file never blocks, nor does a descriptor of the process's own.
        self._is_polled = self._target == descriptor and not _is_file(descriptor)
        self._chunk_bytes = _POLLED_CHUNK_BYTES if self._is_polled else _CHUNK_BYTES

    def wait_for_reader(self) -> None:
        """Wait indefinitely from now on: for a thread of its own, which nothing waits for."""
        self._patience_seconds = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """The encoding."""
        return self._encoding

    @property
    def errors(self) -> str:  # type: ignore[override]  # typeshed has an attribute
        """What happens to characters that the encoding lacks."""
        return "backslashreplace"

    def fileno(self) -> int:
        """Return the standard descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a terminal reads it."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Return true: it is always open."""
        return True

    def close(self) -> None:
        """Close what was opened here; the standard descriptor lasts as long as the process."""
        target, self._target = self._target, self._descriptor
        if isinstance(target, socket.socket):
            target.close()
        elif target != self._descriptor:
            os.close(target)

    def write(self, text: str, /) -> int:
        """Write text; returns fewer characters than given where the rest could not be written."""
        data = self._encode(text)
        if not data:
            return 0
        # A line that was cut must not swallow the next one.
        start = b"\n" if self._is_mid_line else b""
        written = self._write_out(start + data) - len(start)
        if written == len(data):
            self._is_stuck = self._is_mid_line = False
            return len(text)
        written = max(written, 0)
        self._is_mid_line = self._is_mid_line if not written else not data[:written].endswith(b"\n")
        return len(data[:written].decode(self._encoding, "ignore"))

    def _encode(self, text: str) -> bytes:
        try:
            return text.encode(self._encoding)
        except UnicodeEncodeError:
            return "".join(map(_escaped, text)).encode("ascii")

    def _write_out(self, data: bytes) -> int:
        """Write bytes for as long as patience lasts; returns how many were written."""
        view = memoryview(data)
        deadline = None
        if self._patience_seconds is not None:
            deadline = time.monotonic() + (0.0 if self._is_stuck else self._patience_seconds)
        written = 0
        while written < len(data):
            try:
                written += self._write_some(view[written : written + self._chunk_bytes])
                if self._renewed and self._patience_seconds is not None:
                    deadline = time.monotonic() + self._patience_seconds
            except BlockingIOError:
                if deadline is not None and time.monotonic() >= deadline:
                    self._is_stuck = True
                    break
                self._wait(deadline)
            except (OSError, ValueError):
                break
        return written

    def _write_some(self, data: memoryview) -> int:
        """Write a chunk without waiting; raises `BlockingIOError` where there is no room."""
        if isinstance(self._target, socket.socket):
            return self._target.send(data, socket.MSG_DONTWAIT)
        if self._is_polled and not self._poll(0.0):
            raise BlockingIOError
        return os.write(self._target, data)

    def _wait(self, deadline: float | None) -> None:
        """Wait until there may be room, for a moment or until the deadline."""
        seconds = _POLL_SECONDS if deadline is None else min(_POLL_SECONDS, max(0.0, deadline - time.monotonic()))
        # A pipe with a little room polls as writable and may still refuse a chunk: hence never two tries without a pause.
        if self._poll(seconds):
            time.sleep(0.001)

    def _poll(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._target, select.POLLOUT)
        return bool(poll.poll(seconds * 1_000))


def open_standard_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr`, and fill closed descriptors so that no later file or socket becomes a standard one.

    stdout waits for its reader as in any tool, until it takes nothing for `STDOUT_PATIENCE_SECONDS`; stderr waits for
    `STDERR_PATIENCE_SECONDS` at most.
    """
    for descriptor in _STANDARD_DESCRIPTORS:
        _fill(descriptor)
    sys.stdout = StandardStream(
        1, encoding=_encoding(sys.stdout), patience_seconds=STDOUT_PATIENCE_SECONDS, renewed=True
    )
    sys.stderr = StandardStream(2, encoding=_encoding(sys.stderr), patience_seconds=STDERR_PATIENCE_SECONDS)


def _fill(descriptor: int) -> None:
    """Open the null device as a standard descriptor that is closed."""
    try:
        os.fstat(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            os.set_inheritable(descriptor, True)


def _encoding(stream: TextIO | None) -> str:
    """Return the encoding that the environment sets; Python has no stream where the descriptor was closed."""
    found: str | None = getattr(stream, "encoding", None)
    return found or "utf-8"


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def _own_descriptor(descriptor: int) -> int | socket.socket:
    """Return what to write to without blocking.

    `O_NONBLOCK` belongs to the open file, which other processes share: a pipe is opened again for this process alone, and a
    socket has a flag for each write.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISSOCK(mode):
            return socket.socket(fileno=os.dup(descriptor))
        if stat.S_ISFIFO(mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        pass  # no /proc, or a pipe of another user: polling before each write is nearly as good
    return descriptor


def _escaped(char: str) -> str:
    """Return ASCII as it is and anything else as JSON's escape."""
    code = ord(char)
    if code < _ASCII_END:
        return char
    if code < _BMP_END:
        return f"\\u{code:04x}"
    code -= _BMP_END
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
