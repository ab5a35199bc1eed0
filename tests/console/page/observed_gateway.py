"""A console with the telemetry of a real gateway: responses, failovers, failed requests, and the OTLP of a hostile sender."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from demo.gateway_config import FREE_PLAN, GatewayFile
from tests.harness.polling import wait_for
from tests.harness.programs import UPSTREAM, Program, Programs, running_programs

RESPONSES: Final = 56
"""More than a page of the request log holds."""
FAILOVERS: Final = 3
FAILURES: Final = 2
REQUESTS: Final = RESPONSES + FAILOVERS + FAILURES
OK_MODEL: Final = "aurora-large"
FAILOVER_MODEL: Final = "lantern-70b"
FAILED_MODEL: Final = "harbor-8b"
_HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 60.0
_OK: Final = {"words": 4, "prompt_tokens": 11, "completion_tokens": 7}
_CHAT: Final = "/v1/chat/completions"
_PAGE_LINE: Final = re.compile(r"(?<!OTLP/HTTP )\blistening on (http://\S+)")
_OTLP_LINE: Final = re.compile(r"receiving OTLP/HTTP on (http://\S+)")


class Console(NamedTuple):
    """A running console. `send` makes the gateway handle one more request and returns its trace id."""

    page_url: str
    otlp_url: str
    gateway_url: str
    key: str

    def send(self, model: str, scripts: dict[str, dict[str, Any]]) -> str:
        """Send one request and return its trace id."""
        response = httpx.post(
            self.gateway_url + _CHAT,
            headers={"authorization": f"Bearer {self.key}"},
            json={"model": model, "messages": [{"role": "user", "content": "hello"}], "x_script": scripts},
            timeout=60,
        )
        return response.headers["x-trace-id"]

    def send_ok(self) -> str:
        """Send a request that succeeds at once."""
        return self.send(OK_MODEL, {"healthy": _OK})

    def send_failover(self) -> str:
        """Send a request that the first provider refuses with 429 and the second serves."""
        return self.send(FAILOVER_MODEL, {"rate_limited": {"status": 429}, "slow": _OK})

    def send_failing(self) -> str:
        """Send a request that every provider fails."""
        return self.send(FAILED_MODEL, {"flaky": {"status": 503}, "healthy": {"status": 500}})

    def get(self, path: str) -> Any:
        """Return the JSON of an address of the console's interface."""
        return httpx.get(f"{self.page_url}/api/{path}", timeout=60).json()


@contextmanager
def observed_gateway(folder: Path) -> Iterator[Console]:
    """Start console, upstream and gateway; send the requests; return when the console has all of them."""
    with running_programs(folder) as programs:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "GATEWAYZ_"))}
        page_url, otlp_url = start_console(programs, folder, environ)
        upstream = programs.start(*UPSTREAM)
        config = folder / "gateway.toml"
        config.write_text(_configuration(folder, upstream))
        environ |= {
            "GATEWAYZ_CONFIG": str(config),
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url,
            "OTEL_METRIC_EXPORT_INTERVAL": "500",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
        }
        key = programs.create_key(environ, plan=FREE_PLAN)
        gateway = programs.start("app", "serve", environ=environ)
        console = Console(page_url, otlp_url, gateway.url, key)
        _send_all(console)
        yield console


def start_console(programs: Programs, folder: Path, environ: dict[str, str]) -> tuple[str, str]:
    """Start `gatewayz console` on free ports; return the URLs of the page and of the OTLP endpoint."""
    arguments = ("--listen", f"{_HOST}:0", "--otlp", f"{_HOST}:0", "--data", str(folder / "console.sqlite"))
    console = programs.start("app", "console", *arguments, environ=environ)
    found = wait_for(lambda: _PAGE_LINE.search(console.output()), console.output, timeout_seconds=_READY_SECONDS)
    otlp = _OTLP_LINE.search(console.output())
    assert found, console.output()
    assert otlp, console.output()
    return found[1], otlp[1]


def _configuration(folder: Path, upstream: Program) -> str:
    file = GatewayFile(
        port=0,
        database_path=str(folder / "gateway.db"),
        upstream_url=upstream.url,
        closed_url=f"http://{_HOST}:9",
        real_url=None,
    )
    return file.as_toml()


def _send_all(console: Console) -> None:
    for _ in range(RESPONSES):
        console.send_ok()
    for _ in range(FAILOVERS):
        console.send_failover()
    for _ in range(FAILURES):
        console.send_failing()
    wait_for(lambda: _has_all(console), lambda: console.get("requests?limit=500"), timeout_seconds=_READY_SECONDS)


def _has_all(console: Console) -> bool:
    rows = console.get("requests?limit=500")["rows"]
    has_traces = sum(row["has_trace"] for row in rows) == REQUESTS
    has_metrics = any(row["newest_failure"] for row in console.get("now")["rows"])
    return has_traces and has_metrics and bool(console.get("failures")["groups"])
