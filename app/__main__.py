"""`python -m app`. The command line itself is in `app/command.py`."""

import os
import signal
import sys

if __name__ == "__main__":
    # Until the server looks after its own end there is nothing to end in order: Ctrl-C needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.command import main

    sys.exit(main(sys.argv[1:], os.environ))
