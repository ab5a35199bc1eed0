"""`python -m app`, and `gatewayz` where the package is installed. The command line itself is in `app/cli/main.py`."""

import os
import signal
import sys


def run() -> int:
    """Run the command line on this process's arguments, environment and streams; return the exit code."""
    # Until the server looks after its own end there is nothing to end in order: Ctrl-C needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from app.cli.standard_streams import open_standard_streams  # noqa: PLC0415  before anything that could print

    open_standard_streams()
    environ = dict(os.environ)
    for name in environ:
        # OpenTelemetry's packages read these by themselves, some while they are imported, and raise for a value that they do not know.
        # The gateway reads them (`otel/config/environ.py`), warns, and passes on what can be used.
        if name.startswith("OTEL_"):
            del os.environ[name]
    from app.cli.main import main  # noqa: PLC0415  after the environment is clean

    return main(sys.argv[1:], environ)


if __name__ == "__main__":
    sys.exit(run())
