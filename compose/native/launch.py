"""Runs a command that gets SIGTERM when the process that started it dies (Linux): `python launch.py COMMAND…`.

The process id stays the same, so signals reach the server itself. On other systems, servers outlive a killed starter.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""

if __name__ == "__main__":
    if sys.platform == "linux":
        starter = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != starter:  # it died in between
            sys.exit(1)
    os.execv(sys.argv[1], sys.argv[1:])
