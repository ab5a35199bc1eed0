"""LINES: writes log lines to a stream from a thread of its own, so that a reader of stdout that stalls delays no request.

Comes in: finished lines from any thread. Goes out: the same lines, in order, to a text stream; what does not fit is counted.
"""

import threading
from collections import deque
from typing import Protocol


class LineStream(Protocol):
    """Where lines go: `sys.stdout` or anything that writes and flushes text."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Push it out."""


class LineWriter:
    """A bounded queue of lines with one writing thread. `write` never blocks and never raises."""

    def __init__(self, stream: LineStream, *, max_lines: int = 20_000) -> None:
        self._stream = stream
        self._max_lines = max_lines
        self._lines: deque[str] = deque()
        self._arrived = threading.Condition()
        self._closing = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
        self._started = False

    @property
    def dropped(self) -> int:
        """Lines lost since the start because the stream did not take them."""
        return self._dropped

    def write(self, line: str) -> None:
        """Queue one line, without its line end."""
        with self._arrived:
            if not self._started:
                self._started = True
                self._thread.start()
            if len(self._lines) >= self._max_lines or self._closing:
                self._dropped += 1
                return
            self._lines.append(line)
            self._arrived.notify()

    def close(self, deadline_seconds: float) -> int:
        """Write what is queued within the deadline; returns how many lines were left."""
        with self._arrived:
            self._closing = True
            self._arrived.notify()
        if self._started:
            self._thread.join(deadline_seconds)
        with self._arrived:
            left = len(self._lines)
            self._dropped += left
            self._lines.clear()
            return left

    def _run(self) -> None:
        """Write in runs: everything that is queued becomes one write."""
        while True:
            with self._arrived:
                while not self._lines and not self._closing:
                    self._arrived.wait()
                if not self._lines:
                    return
                lines = list(self._lines)
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # a closed pipe or stream: these lines have nowhere to go
                self._dropped += len(lines)
            with self._arrived:
                # Only now: what a blocked stream holds back still counts as queued.
                for _ in range(min(len(lines), len(self._lines))):
                    self._lines.popleft()
