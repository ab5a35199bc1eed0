"""Runs the demo as `python -m demo`; the command itself is in `demo/command.py`."""

import signal
import sys

if __name__ == "__main__":
    # Until the demo looks after its own end there is nothing to end: Ctrl-C needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo.command import main

    sys.exit(main(sys.argv[1:]))
