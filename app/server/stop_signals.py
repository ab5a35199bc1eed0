"""What signals do to a serving process.

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

HURRYING: Final = (signal.SIGTERM, signal.SIGINT)
ORDERLY: Final = (signal.SIGHUP, signal.SIGQUIT)


class StopSignals:
    """Calls `stop` on the event loop at the first signal; at a second SIGTERM or SIGINT the process ends with `hurried_exit_code`."""

    def __init__(self, stop: Callable[[], None], say: Callable[[str], None], hurried_exit_code: int) -> None:
        self._stop = stop
        self._say = say
        self._hurried_exit_code = hurried_exit_code
        self._is_stopping = False
        self._is_handling = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals in the block; behind it, only what is left to flush keeps the process, and a signal can still end it.

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

        for number in (*HURRYING, *ORDERLY):
            if number in HURRYING or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, received)
        try:
            yield
        finally:
            self._is_stopping = True

    def _received(self, number: int) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._stop()
        elif number in HURRYING:
            self._say("second signal: ending at once; requests, ledger rows and telemetry in memory are lost")
            os._exit(self._hurried_exit_code)


def end_by_signal() -> None:
    """From now on SIGTERM and SIGINT end the process at once, whatever it is waiting for, and the others do nothing."""
    for number in HURRYING:
        signal.signal(number, signal.SIG_DFL)
    for number in ORDERLY:
        signal.signal(number, signal.SIG_IGN)
