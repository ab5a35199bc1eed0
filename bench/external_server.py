"""Runs a server that is not a module of this project, on a free port of loopback.

`python -m bench.external_server COMMAND…` puts the port in the place of `{port}` in the command,
and prints a ready line with the URL when the port accepts connections. SIGTERM ends the command.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

READY_LINE = "external server: ready on "
HOST = "127.0.0.1"
POLL_SECONDS = 0.05


def with_port(command: Sequence[str], port: int) -> list[str]:
    """Return the command with the port in its place."""
    return [part.replace("{port}", str(port)) for part in command]


def free_port() -> int:
    """Return a port that no process listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def main() -> int:
    port = free_port()
    with subprocess.Popen(with_port(sys.argv[1:], port), stdin=subprocess.DEVNULL) as process:  # noqa: S603  the benchmark's own command
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while process.poll() is None:
            if _accepts(port):
                print(f"{READY_LINE}http://{HOST}:{port}", flush=True)
                return process.wait()
            time.sleep(POLL_SECONDS)
        return process.returncode


if __name__ == "__main__":
    sys.exit(main())
