"""Runs a module and ends it when the process that started it ends.

`python -m demo.watchdog MODULE ARGUMENTS…` runs `python -m MODULE ARGUMENTS…`. Its stdin is a pipe whose other end only
the starter holds. The pipe ends when the starter does, even by `kill -9`; the process then sends SIGTERM to itself.
The module must not read stdin.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_starter() -> None:
    """Wait for the end of the pipe; in a thread that ends with the process."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_starter, name="watchdog", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
