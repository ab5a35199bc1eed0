"""An ASGI application of a file, served by uvicorn in a process of its own, until the block ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 30.0


class Served:
    """One running server; `stop` ends it as an operator does and returns what it wrote."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> str:
        """Send SIGTERM and wait for the end."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=_STOP_SECONDS)
        return output


@contextmanager
def served(folder: Path, target: str, environ: Mapping[str, str]) -> Iterator[Served]:
    """Serve `module:name` of a folder. The socket listens before the process starts, so no request comes too early."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        command = [sys.executable, "-m", "uvicorn", "--fd", str(listener.fileno()), "--app-dir", str(folder), target]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Served(process, listener.getsockname()[1])
        finally:
            process.kill()
            process.communicate()
