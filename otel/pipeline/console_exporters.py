"""The `console` exporters: finished spans, and all metrics at each interval, as JSON lines.

The objects are those of the SDK's console exporters. Lines go to stdout through the writer of log
lines, so that a stalled reader of stdout delays no request and dropped lines are counted.
"""

import threading
from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

WriteLine = Callable[[str], None]
_JOIN_SECONDS: Final = 0.5


def span_to_console(write_line: WriteLine) -> Callable[[ReadableSpan], None]:
    """Return a function that writes a finished span."""

    def write(span: ReadableSpan) -> None:
        write_line(span.to_json(indent=None))

    return write


class MetricsConsole:
    """Writes all metrics every `interval_seconds` from its own thread, and once more at close."""

    def __init__(self, collect: Callable[[], MetricsData], write_line: WriteLine, interval_seconds: float) -> None:
        self._collect = collect
        self._write_line = write_line
        self._interval_seconds = interval_seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics-console", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Write the last line and end the thread."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while not self._closing.wait(self._interval_seconds):
            self._write()
        self._write()

    def _write(self) -> None:
        self._write_line(self._collect().to_json(indent=None))
