"""LINES: writes log lines to a stream from a thread of its own, so that a reader of stdout that stalls delays no request.

Comes in: finished lines from any thread. Goes out: the same lines, in order, to a text stream; what
does not fit is counted.
"""

import threading
from collections import deque
from typing import Final, Protocol


class LineStream(Protocol):
    """Where lines go: `sys.stdout` or anything that writes and flushes text."""

    def write(self, text: str, /) -> object:
        """Write text; a number smaller than its length says that the rest could not be written."""

    def flush(self) -> object:
        """Push it out."""


GATHER_SECONDS: Final = 0.02
"""How long a writing thread gathers lines before the next write: waking it for each line costs more than the line."""


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
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._started = False

    @property
    def dropped(self) -> int:
        """Lines lost since the start because the stream did not take them."""
        return self._dropped

    def write(self, line: str) -> None:
        """Queue one line, without its line end."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()
            if len(self._lines) >= self._max_lines or self._closing.is_set():
                self._dropped += 1
                return
            self._lines.append(line)
        if not self._arrived.is_set():
            self._arrived.set()

    def close(self, deadline_seconds: float) -> int:
        """Write what is queued within the deadline; returns how many lines were left."""
        with self._lock:
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
        """Write in runs: everything that is queued becomes one write."""
        while True:
            self._arrived.wait()
            # Cleared before the lines are taken: one that comes after that sets it again.
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
        """Write lines and take them off the queue: until then, what a blocked stream holds back counts as queued."""
        text = "\n".join(lines) + "\n"
        dropped = 0
        try:
            written = self._stream.write(text)
            self._stream.flush()
            if isinstance(written, int) and written < len(text):  # a full disk, say
                dropped = len(lines) - text.count("\n", 0, written)
        except (OSError, ValueError):  # a closed pipe or stream: these lines have nowhere to go
            dropped = len(lines)
        with self._lock:
            self._dropped += dropped
            for _ in range(min(len(lines), len(self._lines))):
                self._lines.popleft()
