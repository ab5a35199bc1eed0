"""A stack, a gateway in front of it, and a few requests whose trace ids were chosen beforehand: what the other tests here start from."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from bench.environment import Bench, bench_environment
from compose.native.ports import free_ports
from compose.native.servers import Choices
from compose.native.stack import Stack, running_stack
from demo.process import Child
from tests.stack.stores import Stores

MODEL = "known/model"
FAST, FAILING = "openrouter", "openai"
"""The providers. The second one is there for requests that ask it to fail."""

_FILE = """
[server]
port = 0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[[providers]]
name = "openrouter"
base_url = "{upstream}/healthy/v1"
[[providers]]
name = "openai"
base_url = "{upstream}/flaky/v1"
[[models]]
name = "known/model"
[[models.routes]]
provider = "openai"
upstream_model = "o-1"
input_usd_per_million = 1.0
output_usd_per_million = 2.0
[[models.routes]]
provider = "openrouter"
upstream_model = "r-1"
input_usd_per_million = 3.0
output_usd_per_million = 4.0
"""
_ANSWER = {"prompt_tokens": 10, "completion_tokens": 5}
_BROKEN = {"status": 503}
_SCRIPTS: Mapping[str, dict[str, Any]] = {
    "served by openai": {"flaky": _ANSWER, "healthy": _BROKEN},
    "failed over to openrouter": {"flaky": _BROKEN, "healthy": _ANSWER},
    "failed everywhere": {"flaky": _BROKEN, "healthy": _BROKEN},
}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One request: its trace id, chosen by the caller, its response, and which providers were called, in this order."""

    trace_id: str
    status: int
    providers: tuple[str, ...]


class Scene:
    """The running stack and gateway. `requests` holds each request of `_SCRIPTS`, and one without a key, by what it is for."""

    def __init__(self, stack: Stack, stores: Stores, gateway: Child, bench: Bench) -> None:
        self.stack = stack
        self.stores = stores
        self.gateway = gateway
        self.requests: dict[str, Known] = {}
        self._secret = bench.secret

    async def send_all(self, rng: random.Random) -> None:
        """Send each request once, with a trace id drawn from `rng`."""
        asked = {
            "served by openai": (FAILING,),
            "failed over to openrouter": (FAILING, FAST),
            "failed everywhere": (FAILING, FAST),
            "refused without a key": (),
        }
        for name, providers in asked.items():
            trace_id = f"{rng.getrandbits(128):032x}"
            status = await self.send(trace_id, _SCRIPTS.get(name), with_key=bool(providers))
            self.requests[name] = Known(trace_id=trace_id, status=status, providers=providers)

    async def send(self, trace_id: str, script: dict[str, Any] | None, *, with_key: bool = True) -> int:
        """Send a request in a trace of this id; return its status."""
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        if with_key:
            headers["authorization"] = f"Bearer {self._secret}"
        body = {"model": MODEL, "messages": [{"role": "user", "content": "say something"}], "x_script": script}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.gateway.url}/v1/chat/completions", json=body, headers=headers) as response,
        ):
            await response.read()
            assert response.headers["x-trace-id"] == trace_id
            return response.status


@asynccontextmanager
async def scene(
    binaries: Mapping[str, Path], folder: Path, rng: random.Random, otel: Mapping[str, str]
) -> AsyncIterator[Scene]:
    """Run everything and send the requests; `otel` are further `OTEL_*` variables of the gateway."""
    async with (
        bench_environment(folder) as bench,
        running_stack(binaries, folder / "stack", free_ports(), Choices()) as stack,
        Stores(stack) as stores,
    ):
        config = folder / "known.toml"
        config.write_text(_FILE.format(folder=folder, upstream=bench.upstream_url))
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol"), "OTEL_METRIC_EXPORT_INTERVAL": "1000", **otel}
        async with bench.gateway(config, environ) as gateway:
            playing = Scene(stack, stores, gateway, bench)
            await playing.send_all(rng)
            yield playing
