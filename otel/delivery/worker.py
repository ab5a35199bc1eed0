"""A thread that runs one loop's `step` whenever it is due or woken, until it is stopped and the loop is done."""

import logging
import threading
import time
from typing import Final, Protocol

_PAUSE_AFTER_FAULT_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 0.02


class Loop(Protocol):
    """What a worker runs."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do at the end."""

    def step(self) -> float | None:
        """Do one small piece of work; returns the seconds until the next, None to wait until woken."""


class Worker:
    """A daemon thread around a loop, so that one that is stuck in a system call cannot keep the process alive.

    Setting `wake` runs a step soon. The thread sleeps `pause_seconds` between two steps that follow each other at once,
    so that a busy loop leaves the interpreter to others.
    """

    def __init__(self, loop: Loop, name: str, *, wake: threading.Event, pause_seconds: float = 0.0) -> None:
        self._loop = loop
        self._pause_seconds = pause_seconds
        self._wake = wake
        self._ending = False
        self._has_failed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Run a step soon. Safe from any thread."""
        self._wake.set()

    def end(self) -> None:
        """Let the thread end as soon as its loop is done."""
        self._ending = True
        self._wake.set()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the thread; returns whether it has ended."""
        self._thread.join(max(0.0, timeout_seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not (self._ending and self._loop.is_done):
            self._wake.clear()
            try:
                wait_seconds = self._loop.step()
            except Exception:
                if not self._has_failed:
                    self._has_failed = True
                    logging.getLogger("otel.delivery").exception(
                        "%s failed and goes on; later failures are not logged", self._thread.name
                    )
                wait_seconds = _PAUSE_AFTER_FAULT_SECONDS
            if wait_seconds is None or wait_seconds > 0:
                self._wake.wait(self._capped(wait_seconds))
            elif self._pause_seconds:
                time.sleep(self._pause_seconds)

    def _capped(self, wait_seconds: float | None) -> float | None:
        """Return a short wait while ending: whether this loop is done depends on other threads."""
        if not self._ending:
            return wait_seconds
        return _LOOK_AGAIN_SECONDS if wait_seconds is None else min(wait_seconds, _LOOK_AGAIN_SECONDS)
