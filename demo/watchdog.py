"""LEASH: `python -m demo.watchdog MODULE ARGUMENTS…` runs a module as `python -m MODULE ARGUMENTS…` does, and no longer than its starter lives.

Comes in: a pipe on stdin, of which only the starter has the other end. Goes out: SIGTERM to this
very process when the pipe ends: also after `kill -9`, or when a terminal was closed. It must not
read anything else of stdin.
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
    threading.Thread(target=_end_with_starter, name="leash", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
