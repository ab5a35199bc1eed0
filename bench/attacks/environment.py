"""Starts what an attack run needs: the gateway with its bound of memory, a hostile provider, and one of the client that is measured.

All settings of the gateway are the defaults, but for the circuit breakers, which would keep most attacks away from it. A baseline has
nginx in the gateway's place.
"""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from bench import canned_server, external_server
from bench.attacks import upstream
from bench.attacks.answers import ANSWERS, EMBEDDING_ANSWERS
from bench.cores import Cores, on_cores
from bench.priority import let_go_first
from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import Child, start_child

STEADY_MODEL = "steady"
"""Served to the client that is measured, by a provider of its own."""

LIMIT_BYTES = 1024 * 1024 * 1024
_FILE = """
[server]
port = 0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[breaker]
enabled = false
[[plans]]
name = "free"
[[plans]]
name = "limited"
key_requests_per_minute = 60
"""
_PROVIDER = """
[[providers]]
name = "{name}"
base_url = "{url}/{name}/v1"
[[models]]
name = "{name}"
operation = "{operation}"
cache_ttl_seconds = {cache_ttl_seconds}
routes = [{{ provider = "{name}", upstream_model = "{name}", input_usd_per_million = 1.0, output_usd_per_million = 2.0 }}]
"""


class Keys(NamedTuple):
    """Secrets: of the client that is measured, and of the attacker."""

    steady: str
    attacker: str
    limited: str


class Site:
    """What all servers of a run share: folder, providers, keys. `arguments` start one of them, as a module."""

    def __init__(self, folder: Path, cores: Cores, keys: Keys, arguments: Sequence[str], ready_line: str) -> None:
        self.keys = keys
        self.folder = folder
        self._cores = cores
        self._arguments = arguments
        self._ready_line = ready_line
        self._started = 0

    async def start_server(self) -> Child:
        """Start the gateway, or what stands in its place, on its core; raises `ChildFailedError`."""
        self._started += 1
        environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        log_path = self.folder / f"server-{self._started}.log"
        with on_cores(self._cores.server):
            child = await start_child("server", self._arguments, log_path=log_path, environ=environ)
        await child.wait_ready(self._ready_line)
        return child


@asynccontextmanager
async def start_site(folder: Path, cores: Cores, *, nginx: str | None) -> AsyncIterator[Site]:
    """Start the providers and make the keys; `nginx`: the path of the baseline; raises `ChildFailedError`."""
    async with AsyncExitStack() as stack:

        async def start(name: str, module: str, ready_line: str) -> Child:
            child = await start_child(name, (module,), log_path=folder / f"{name}.log")
            stack.push_async_callback(child.stop)
            await child.wait_ready(ready_line)
            return child

        hostile = (await start("hostile", "bench.attacks.upstream", upstream.READY_LINE)).url
        provider = await start("steady", "bench.canned_server", canned_server.READY_LINE)
        let_go_first(provider.pid)
        steady = provider.url
        if nginx is not None:
            yield _plain_proxy(nginx, folder, cores, hostile_url=hostile, steady_url=steady)
            return
        config = folder / "gateway.toml"
        config.write_text(config_text(folder, hostile_url=hostile, steady_url=steady))
        names = (("steady", "free"), ("attacker", "free"), ("limited", "limited"))
        secrets = [(await create_key(config, name, plan))[0] for name, plan in names]
        arguments = ("bench.attacks.limited_gateway", str(LIMIT_BYTES), "--config", str(config), "serve")
        yield Site(folder, cores, Keys(*secrets), arguments, GATEWAY_READY_LINE)


def _plain_proxy(nginx: str, folder: Path, cores: Cores, *, hostile_url: str, steady_url: str) -> Site:
    keys = Keys(steady="steady", attacker="attacker", limited="limited")
    command = (
        sys.executable,
        "-m",
        "bench.attacks.plain_proxy",
        nginx,
        "{port}",
        str(folder),
        keys.steady,
        steady_url,
        hostile_url,
    )
    return Site(folder, cores, keys, ("bench.external_server", *command), external_server.READY_LINE)


def config_text(folder: Path, *, hostile_url: str, steady_url: str) -> str:
    """Return the gateway's configuration: a provider and a model for each hostile answer."""
    text = _FILE.format(folder=folder)
    for name, url in ((STEADY_MODEL, steady_url), *((name, hostile_url) for name in ANSWERS)):
        operation = "embeddings" if name in EMBEDDING_ANSWERS else "chat"
        ttl = 60.0 if name == "cached" else 0.0
        text += _PROVIDER.format(name=name, url=url, operation=operation, cache_ttl_seconds=ttl)
    return text
