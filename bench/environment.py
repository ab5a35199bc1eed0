"""The environment of the benchmarks: a scripted upstream, an API key and gateways, each a process on a free port.

A gateway is started as a user starts it: `python -m app serve` with a file and `OTEL_*` variables.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import Child, start_child
from demo.upstream.scripted_upstream import READY_LINE

SCRIPTED = (("demo.upstream.scripted_upstream", "--script", "steady"), READY_LINE)
DIRECT_MODEL = "direct"
"""Served by one provider."""

DETOUR_MODEL = "detour"
"""Served by a provider that fails when it is told to, and then by the other one."""

FAILING_MODEL = "failing"
"""Served by the provider that fails when it is told to, and by no other."""

PRICES_USD = {"healthy": (3.0, 4.0), "flaky": (1.0, 2.0)}
"""Per million input and output tokens, by provider."""

_ROUTES = {DIRECT_MODEL: ("healthy",), DETOUR_MODEL: ("flaky", "healthy"), FAILING_MODEL: ("flaky",)}
_FILE = """
[server]
port = 0
[monitoring]
share_seconds = 0.5
[telemetry]
enabled = {enabled}
buffer_bytes = {buffer_bytes}
shutdown_seconds = {shutdown_seconds}
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[breaker]
# A provider that is told to fail must be asked each time: the loads count attempts.
enabled = false
[[providers]]
name = "healthy"
base_url = "{upstream}/healthy/v1"
[[providers]]
name = "flaky"
base_url = "{detour}/flaky/v1"
"""
_ROUTE = """
[[models.routes]]
provider = "{provider}"
upstream_model = "{provider}-1"
input_usd_per_million = {prices[0]}
output_usd_per_million = {prices[1]}
"""


class Bench:
    """What all gateways of a run share. `secret` is an API key without limits."""

    def __init__(self, folder: Path, upstream_url: str) -> None:
        self.folder = folder
        self.upstream_url = upstream_url
        self.secret = ""
        self._gateways = 0

    def write_config(
        self,
        *,
        telemetry: bool = True,
        buffer_bytes: int = 64 * 1024 * 1024,
        shutdown_seconds: float = 4.0,
        detour_url: str | None = None,
    ) -> Path:
        """Write a configuration file and return its path. `detour_url`: the first provider of the detour is a server of its own."""
        self._gateways += 1
        text = _FILE.format(
            enabled=str(telemetry).lower(),
            buffer_bytes=buffer_bytes,
            shutdown_seconds=shutdown_seconds,
            folder=self.folder,
            upstream=self.upstream_url,
            detour=detour_url or self.upstream_url,
        )
        for model, providers in _ROUTES.items():
            text += f'[[models]]\nname = "{model}"\n'
            text += "".join(_ROUTE.format(provider=each, prices=PRICES_USD[each]) for each in providers)
        path = self.folder / f"gateway-{self._gateways}.toml"
        path.write_text(text)
        return path

    @asynccontextmanager
    async def gateway(self, config: Path, otel: Mapping[str, str]) -> AsyncIterator[Child]:
        """Run a gateway with these `OTEL_*` variables and no others; its output is in `child.log_path`."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")} | dict(otel)
        arguments = ("app", "--config", str(config), "serve")
        child = await start_child("gateway", arguments, log_path=config.with_suffix(".log"), environ=environ)
        try:
            await child.wait_ready(GATEWAY_READY_LINE)
            yield child
        finally:
            await child.stop()


@asynccontextmanager
async def bench_environment(folder: Path, upstream: tuple[tuple[str, ...], str] = SCRIPTED) -> AsyncIterator[Bench]:
    """Start the upstream (a module with its arguments, and its ready line) and make the key; raises `ChildFailedError`."""
    arguments, ready_line = upstream
    provider = await start_child("upstream", arguments, log_path=folder / "upstream.log")
    try:
        await provider.wait_ready(ready_line)
        bench = Bench(folder, provider.url)
        bench.secret, _ = await create_key(bench.write_config(), "bench", "free")
        yield bench
    finally:
        await provider.stop()


def process_cpu_seconds(pid: int) -> float | None:
    """Return the CPU time that a process has used, from `/proc` (proc(5), fields 14 and 15 of stat); None where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
