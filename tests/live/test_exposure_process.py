"""What a gateway shows to whom, by the address that it is bound to; and scrapes that cannot keep it from stopping."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
TOKEN = "s3cret-token"
CONFIG = """
[server]
port = 0
shutdown_grace_seconds = 0.5
[monitoring]
share_seconds = 0.0
{monitoring}
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
"""
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))} | {
    "OTEL_SDK_DISABLED": "false",
    "METRICS_TOKEN": TOKEN,
}
BUSY = """
import sys, time
from otel.exposition import Exposition
import os
from app.cli.main import main

def never(self, **options):
    print("gateway: collecting", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.01)

Exposition.respond = never
sys.exit(main(sys.argv[1:], os.environ))
"""
DETAILED = {"database", "cache", "providers", "telemetry"}


class Gateway:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.port = 0

    def line(self, with_text: str) -> str:
        """Read what it says until a line holds this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if with_text in line:
                return line
        raise AssertionError(f"no line with {with_text!r}: {self.lines}")

    def get(self, path: str, host: str = "127.0.0.1", **headers: str) -> tuple[int, Any, str]:
        """Return status, body (decoded where it is JSON) and content type."""
        connection = http.client.HTTPConnection(host, self.port, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            body: Any = response.read().decode()
            content_type = response.headers["content-type"]
            return response.status, json.loads(body) if "json" in content_type else body, content_type
        finally:
            connection.close()

    def stop(self) -> tuple[int, str]:
        """End it by SIGTERM; return the exit code and the rest of stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, rest = self.process.communicate(timeout=60)
        return self.process.returncode, "".join(self.lines) + rest


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    processes = []

    def start(*arguments: str, monitoring: str = "", program: tuple[str, ...] = ("-m", "app")) -> Gateway:
        config = tmp_path / "gateway.toml"
        config.write_text(CONFIG.format(folder=tmp_path, monitoring=monitoring))
        process = subprocess.Popen(
            [sys.executable, *program, "serve", "--config", str(config), *arguments],
            cwd=ROOT, env=ENVIRON, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        gateway = Gateway(process)
        gateway.port = int(gateway.line("listening on").strip().rpartition(":")[2])
        return gateway

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


PAGES = ("/metrics", *(f"/prometheus/metrics/{page}" for page in ("all", "business", "summary", "docs")))


def test_beyond_loopback_without_a_token_monitoring_is_closed(start: Callable[..., Gateway]) -> None:
    gateway = start("--host", "0.0.0.0")  # noqa: S104  what is tested
    notice = gateway.line("monitoring")
    assert "closed" in notice
    assert "monitoring.token_env" in notice
    assert "monitoring.open" in notice
    for path in (*PAGES, "/prometheus/metrics/unknown"):
        status, body, content_type = gateway.get(path)
        assert (status, content_type) == (403, "application/problem+json"), path
        assert body["status"] == 403
        assert "monitoring.token_env" in body["detail"]
        assert "monitoring.open" in body["detail"]
        # A token that is not set opens nothing.
        assert gateway.get(path, authorization="Bearer None")[0] == 403
    assert gateway.get("/health/live")[:2] == (200, {"status": "live"})
    assert gateway.get("/health/ready")[:2] == (200, {"status": "ready"})
    assert gateway.stop()[0] == 0


def test_beyond_loopback_they_are_open_where_the_configuration_says_so(start: Callable[..., Gateway]) -> None:
    gateway = start("--host", "0.0.0.0", monitoring="open = true")  # noqa: S104  what is tested
    assert "open to every client" in gateway.line("monitoring")
    assert [gateway.get(path)[0] for path in PAGES] == [200] * len(PAGES)
    assert set(gateway.get("/health/ready")[1]["dependencies"]) == DETAILED


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  what is tested
def test_with_a_token_details_are_for_those_who_present_it(start: Callable[..., Gateway], host: str) -> None:
    gateway = start("--host", host, monitoring='token_env = "METRICS_TOKEN"')
    for path in PAGES:
        assert gateway.get(path)[0] == 401
        assert gateway.get(path, authorization=f"Bearer {TOKEN}")[0] == 200
    assert gateway.get("/health/ready")[:2] == (200, {"status": "ready"})
    assert set(gateway.get("/health/ready", authorization=f"Bearer {TOKEN}")[1]["dependencies"]) == DETAILED
    code, said = gateway.stop()
    assert code == 0
    assert "monitoring" not in said


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost", "::1"])
def test_on_loopback_they_are_open(start: Callable[..., Gateway], host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 here")
    gateway = start("--host", host)
    assert [gateway.get(path, host)[0] for path in PAGES] == [200] * len(PAGES)
    assert set(gateway.get("/health/ready", host)[1]["dependencies"]) == DETAILED
    code, said = gateway.stop()
    assert code == 0
    assert "monitoring" not in said


def test_sigterm_ends_it_while_long_accept_headers_wait(start: Callable[..., Gateway]) -> None:
    gateway = start()
    accept = ",".join(["*/*"] * 15_000)
    request = f"GET /metrics HTTP/1.1\r\nhost: x\r\naccept: {accept}\r\n\r\n".encode()
    connections = [socket.create_connection(("127.0.0.1", gateway.port), 30) for _ in range(40)]
    try:
        for connection in connections:
            connection.sendall(request)
        assert gateway.get("/metrics")[0] == 200
        assert connections[0].recv(12) == b"HTTP/1.1 200"
        assert gateway.stop()[0] == 0
    finally:
        for connection in connections:
            connection.close()


def test_sigterm_ends_it_while_collections_run_that_never_end(start: Callable[..., Gateway]) -> None:
    gateway = start(program=("-c", BUSY))
    connections = [socket.create_connection(("127.0.0.1", gateway.port), 30) for _ in range(8)]
    try:
        for connection in connections:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
        gateway.line("collecting")
        # What is busy is no reason for the rest to wait.
        assert gateway.get("/health/ready")[0] == 200
        assert gateway.stop()[0] == 0
    finally:
        for connection in connections:
            connection.close()


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
