"""Runs the unchanged Compose files with one set of overlays, from `up` to `down`, and queries the servers."""

import json
import secrets
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from compose.native.ports import LOOPBACK, free_ports
from compose.native.servers import ROOT

FOLDER: Final = ROOT / "compose"
UP_SECONDS: Final = 180
_POLL_SECONDS: Final = 0.5
_HTTP_SECONDS: Final = 5.0
_OK: Final = 200
PORT_SETTINGS: Final = {
    "GATEWAY_PORT": "gateway",
    "COLLECTOR_OTLP_GRPC_PORT": "otelcol grpc",
    "COLLECTOR_OTLP_HTTP_PORT": "otelcol",
    "COLLECTOR_HEALTH_PORT": "otelcol health",
    "COLLECTOR_METRICS_PORT": "otelcol metrics",
    "PROMETHEUS_PORT": "prometheus",
    "LOKI_PORT": "loki",
    "TEMPO_PORT": "tempo",
    "ALERTMANAGER_PORT": "alertmanager",
}
"""The variables of `.env.example` for what is published, and what each is called here."""


class StackFailedError(RuntimeError):
    """A stack did not come up, or something was not found in it in time; the message says what."""


class Response(msgspec.Struct, frozen=True):
    """A server's response: the status and the body."""

    status: int
    body: bytes


class StackRun:
    """A stack in containers. `urls` are as seen from this host."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], urls: Mapping[str, str]) -> None:
        self.urls = urls
        self._command = list(command)
        self._environ = environ

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run Docker Compose on this stack and return what it prints; raises `StackFailedError`."""
        done = subprocess.run(
            [*self._command, *arguments], env=self._environ, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise StackFailedError(f"docker compose {' '.join(arguments)}:\n{done.stderr.strip()[-2_000:]}")
        return done.stdout

    def running_services(self) -> set[str]:
        """Return the services that have a running container."""
        return set(self.compose("ps", "--services", "--status", "running").split())

    def ask(
        self, name: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send a request to a published port; raises OSError where nothing responds."""
        request = urllib.request.Request(self.urls[name] + path, data=body, headers=dict(headers or {}))  # noqa: S310  loopback
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                request, timeout=_HTTP_SECONDS
            ) as response:
                return Response(response.status, response.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.read())

    def sample(self, query: str) -> float | None:
        """Return the one value of a PromQL query; None where it has none. Raises ValueError where it has several."""
        response = self.ask("prometheus", f"/api/v1/query?query={urllib.parse.quote(query)}")
        result: list[dict[str, Any]] = json.loads(response.body)["data"]["result"]
        if len(result) > 1:
            raise ValueError(f"{query} has {len(result)} values")
        return float(result[0]["value"][1]) if result else None

    def log_lines(self, query: str) -> list[str]:
        """Return the lines of a LogQL query, of the last hour."""
        response = self.ask("loki", f"/loki/api/v1/query_range?query={urllib.parse.quote(query)}&since=1h")
        streams = json.loads(response.body)["data"]["result"]
        return [line for stream in streams for _, line in stream["values"]]

    def span_names(self, trace_id: str) -> list[str]:
        """Return the names of a trace's spans; none where Tempo does not have it."""
        response = self.ask("tempo", f"/api/traces/{trace_id}")
        if response.status != _OK:
            return []
        batches = json.loads(response.body)["batches"]
        return [span["name"] for batch in batches for scope in batch["scopeSpans"] for span in scope["spans"]]


def wait_for(what: str, found: Callable[[], object], timeout_seconds: float = 60.0) -> float:
    """Ask until there is something; return after how many seconds. Raises `StackFailedError`."""
    began = time.monotonic()
    while not found():
        if time.monotonic() - began > timeout_seconds:
            raise StackFailedError(f"not found within {timeout_seconds:g} s: {what}")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - began


@contextmanager
def running_stack(
    compose: Sequence[str],
    environ: Mapping[str, str],
    *,
    overlays: Sequence[str] = (),
    profiles: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Iterator[StackRun]:
    """Bring a stack up on free ports, and down again with its volumes. Raises `StackFailedError`."""
    project = f"gatewayz-{secrets.token_hex(3)}"
    free = free_ports()
    ports = dict(zip(PORT_SETTINGS, (getattr(free, name) for name in free.__struct_fields__), strict=False))
    files = [argument for name in ("compose.yaml", *overlays) for argument in ("--file", str(FOLDER / name))]
    chosen = [argument for name in profiles for argument in ("--profile", name)]
    # No .env of a person: the files are tried with their defaults.
    command = [*compose, "--project-name", project, "--env-file", "/dev/null", *files, *chosen]
    run = StackRun(
        command,
        {**environ, **{name: str(port) for name, port in ports.items()}, **(settings or {})},
        {PORT_SETTINGS[name]: f"http://{LOOPBACK}:{port}" for name, port in ports.items()},
    )
    try:
        try:
            run.compose("up", "--detach", "--no-build", "--pull", "never", "--wait", "--wait-timeout", str(UP_SECONDS))
        except StackFailedError as error:
            states, logs = run.compose("ps", "--all", check=False), run.compose("logs", "--tail", "8", check=False)
            raise StackFailedError(f"{error}\n{states}\n{logs}") from None
        yield run
    finally:
        run.compose("down", "--volumes", "--remove-orphans", "--timeout", "30", check=False)
