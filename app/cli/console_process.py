"""`gatewayz serve --console`: a console as a child process, which ends with the gateway.

The gateway's telemetry goes to it unless an endpoint is set. It has a process group of its own, so
Ctrl-C reaches only the gateway, which delivers its last telemetry before it ends the console.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final

from console.process import OTLP_LINE, PAGE_LINE

_PREFIX: Final = "console: "
_STOP_SECONDS: Final = 10.0
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_ENDPOINTS: Final = (
    _ENDPOINT,
    *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in ("TRACES", "METRICS", "LOGS")),
)
_PUSH_INTERVAL: Final = "OTEL_METRIC_EXPORT_INTERVAL"
_PUSH_MILLISECONDS: Final = "5000"
"""A chart that moves every five seconds looks alive; the gateway's own default is 15 s."""


class ConsoleFailedError(Exception):
    """The console did not start; it printed why."""


@contextmanager
def running_console(listen: str, options: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a console during the block, and yield the environment of a gateway that sends to it.

    `options` are values of further options of `gatewayz console`, by name. Raises `ConsoleFailedError`.
    """
    further = [f"--{name}={value}" for name, value in options.items()]
    arguments = ["console", "--listen", listen, "--otlp", "127.0.0.1:0", *further, "--until-stdin-ends"]
    process = subprocess.Popen(  # noqa: S603  this program
        [sys.executable, "-m", "app", *arguments],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environ),
        start_new_session=True,
        text=True,
    )
    try:
        yield _gateway_environ(_endpoint(process), environ)
    finally:
        _end(process)


def _endpoint(process: "subprocess.Popen[str]") -> str:
    """Pass the console's lines on until it listens; return its OTLP endpoint."""
    endpoint = ""
    stderr: IO[str] = process.stderr  # type: ignore[assignment]  # it is a pipe
    for line in stderr:
        sys.stderr.write(line)
        text = line.removeprefix(_PREFIX).strip()
        if text.startswith(OTLP_LINE):
            endpoint = text.removeprefix(OTLP_LINE)
        elif text.startswith(PAGE_LINE):
            threading.Thread(target=_pass_on, args=(stderr,), name="console-lines", daemon=True).start()
            return endpoint
    raise ConsoleFailedError


def _pass_on(lines: IO[str]) -> None:
    for line in lines:
        sys.stderr.write(line)


def _gateway_environ(endpoint: str, environ: Mapping[str, str]) -> dict[str, str]:
    if any(environ.get(name) for name in _ENDPOINTS):
        return dict(environ)
    return {_PUSH_INTERVAL: _PUSH_MILLISECONDS, **environ, _ENDPOINT: endpoint}


def _end(process: "subprocess.Popen[str]") -> None:
    """End the console by its lifeline, and by force where it hangs."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
