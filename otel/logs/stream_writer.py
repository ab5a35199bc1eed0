"""Writes log lines to a stream from its own thread, so that a stalled stdout delays no request.

Lines stay in order. Those that do not fit the queue are dropped and counted.
"""

import threading
from collections import deque
from typing import Final, Protocol


class LineStream(Protocol):
    """Where lines go: `sys.stdout` or anything that writes and flushes text."""

    def write(self, text: str, /) -> object:
        """Write text; a returned number below its length means that the rest was not written."""

    def flush(self) -> object:
        """Flush the buffer."""


GATHER_SECONDS: Final = 0.1
"""How long the thread gathers lines before a write. A wake-up costs more than a line: it takes the interpreter, and the core, from requests."""


class LineWriter:
    """A bounded queue of lines with one writing thread. `write` never blocks and never raises."""

    def __init__(self, stream: LineStream, *, max_lines: int = 20_000, gather_seconds: float = GATHER_SECONDS) -> None:
        self._stream = stream
        self._max_lines = max_lines
        self._gather_seconds = gather_seconds
        self._lines: deque[str] = deque()
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        self._is_closing = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._started = False

    @property
    def dropped(self) -> int:
        """Lines dropped since the start."""
        return self._dropped

    def write(self, line: str) -> None:
        """Queue one line, given without its line feed."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()
            if len(self._lines) >= self._max_lines or self._is_closing:
                self._dropped += 1
                return
            self._lines.append(line)
        if not self._arrived.is_set():
            self._arrived.set()

    def close(self, deadline_seconds: float) -> int:
        """Write the queued lines within the deadline; returns how many were dropped."""
        with self._lock:
            self._is_closing = True
            self._closing.set()
        self._arrived.set()
        if self._started:
            self._thread.join(deadline_seconds)
        with self._lock:
            left = len(self._lines)
            self._dropped += left
            self._lines.clear()
            return left

    def _run(self) -> None:
        """Write all queued lines at once, until the writer is closed."""
        while True:
            self._arrived.wait()
            # Cleared before the lines are read, so that a later line sets it again.
            self._arrived.clear()
            closing = self._closing.is_set()
            with self._lock:
                lines = list(self._lines)
            if lines:
                self._write_out(lines)
            elif closing:
                return
            if closing:
                self._arrived.set()
            else:
                self._closing.wait(self._gather_seconds)

    def _write_out(self, lines: list[str]) -> None:
        """Write lines, then remove them from the queue, so that blocked lines count as queued."""
        text = "\n".join(lines) + "\n"
        dropped = 0
        try:
            written = self._stream.write(text)
            self._stream.flush()
            if isinstance(written, int) and written < len(text):  # for example on a full disk
                dropped = len(lines) - text.count("\n", 0, written)
        except (OSError, ValueError):  # the pipe or stream is closed
            dropped = len(lines)
        with self._lock:
            self._dropped += dropped
            for _ in range(min(len(lines), len(self._lines))):
                self._lines.popleft()
