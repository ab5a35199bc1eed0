"""Handles the signals of a serving process.

| signal | while serving | while stopping |
|---|---|---|
| SIGTERM, SIGINT | orderly stop | end at once |
| SIGHUP, SIGQUIT | orderly stop | nothing: a closing terminal sends more than one, and so does systemd |

A SIGHUP or SIGQUIT that was ignored when the process started (`nohup`) stays ignored.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

FORCING: Final = (signal.SIGTERM, signal.SIGINT)
ORDERLY: Final = (signal.SIGHUP, signal.SIGQUIT)


class StopSignals:
    """Calls `stop` on the event loop at the first signal; at a second SIGTERM or SIGINT the process ends with `forced_exit_code`."""

    def __init__(self, stop: Callable[[], None], print_line: Callable[[str], None], forced_exit_code: int) -> None:
        self._stop = stop
        self._print_line = print_line
        self._forced_exit_code = forced_exit_code
        self._is_stopping = False
        self._is_handling = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals in the block; after it the process only flushes what is left, and a signal can still end it.

        A block within the block changes nothing.
        """
        if self._is_handling:
            yield
            return
        self._is_handling = True
        loop = asyncio.get_running_loop()

        def received(number: int, _frame: FrameType | None) -> None:
            # Python's own handlers outlive the event loop: between its end and the process's no signal has its default effect.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._received, number)

        for number in (*FORCING, *ORDERLY):
            if number in FORCING or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, received)
        try:
            yield
        finally:
            self._is_stopping = True

    def _received(self, number: int) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._stop()
        elif number in FORCING:
            self._print_line("second signal: ending at once; requests, ledger rows and telemetry in memory are lost")
            os._exit(self._forced_exit_code)


def end_by_signal() -> None:
    """From now on SIGTERM and SIGINT end the process at once, even while it waits, and the others do nothing."""
    for number in FORCING:
        signal.signal(number, signal.SIG_DFL)
    for number in ORDERLY:
        signal.signal(number, signal.SIG_IGN)
