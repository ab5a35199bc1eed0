"""The environment of the fuzzer: the gateway as a process, an honest and a lying upstream, and a receiver of its telemetry."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from app.config.load import load_config
from app.config.schema import AppConfig
from demo.environment import GATEWAY_READY_LINE, create_key, revoked_key
from demo.process import Child, start_child
from demo.upstream import scripted_upstream
from tests.fuzz import lying_upstream
from tests.fuzz.canaries import Keys, Leaks
from tests.fuzz.receiver import WatchingReceiver

MAX_BODY_BYTES: Final = 160 * 1024
MAX_HEADER_BYTES: Final = 16 * 1024
LIAR: Final = "fuzz/liar"
LIAR_EMBEDDINGS: Final = "fuzz/liar-embed"
SILENT: Final = "fuzz/silent"
ODD_NAME: Final = 'odd "quoted" \\back\\slash {label="x"} ü'
"""A model that is configured under a name which the exposition must escape."""

_SCRAPE_SECONDS: Final = 30.0
_PLAN: Final = "fuzz"
_CONFIG: Final = r"""
[server]
port = 0
max_body_bytes = {max_body_bytes}
max_header_bytes = {max_header_bytes}
max_concurrent_requests = 14
max_concurrent_requests_per_key = 12
[monitoring]
share_seconds = 0.0
token_env = "FUZZ_MONITORING_TOKEN"
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[cache]
max_bytes = 1048576
# Lies are answered by the provider that tells them: it must be asked again and again, however often it failed.
[breaker]
enabled = false
[[plans]]
name = "{plan}"
[[plans]]
name = "limited"
key_requests_per_minute = 90
plan_tokens_per_minute = 100000
{providers}
{models}
"""
_PROVIDERS: Final = {"liar": "liar", "healthy": "scripted", "flaky": "scripted", "stalling": "scripted"}
_MODELS: Final = (
    (LIAR, "chat", ("liar",), 0.0),
    ("fuzz/liar-first", "chat", ("liar", "healthy"), 0.0),
    (ODD_NAME, "chat", ("liar",), 0.0),
    ("fuzz/cached", "chat", ("liar",), 60.0),
    ("fuzz/scripted", "chat", ("flaky", "healthy"), 0.0),
    ("fuzz/stalling", "chat", ("stalling", "liar"), 0.0),
    (SILENT, "chat", ("stalling",), 0.0),
    (LIAR_EMBEDDINGS, "embeddings", ("liar",), 0.0),
    ("fuzz/embed", "embeddings", ("healthy",), 0.0),
)
MODEL_NAMES: Final = tuple(name for name, *_ in _MODELS)


class FuzzEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """The running processes, and their secrets."""

    url: str
    port: int
    keys: Keys
    config: AppConfig
    folder: Path
    gateway: Child
    upstreams: tuple[Child, ...]
    receiver: WatchingReceiver
    leaks: Leaks

    @property
    def log_path(self) -> Path:
        """The gateway's stdout and stderr."""
        return self.gateway.log_path

    async def get(self, path: str, accept: str) -> str:
        """Read a monitoring endpoint; raises `aiohttp.ClientError` or `TimeoutError`."""
        headers = {"accept": accept, "authorization": f"Bearer {self.keys.monitoring}"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SCRAPE_SECONDS)) as session,
            session.get(f"{self.url}{path}", headers=headers) as response,
        ):
            response.raise_for_status()
            return await response.text()


@asynccontextmanager
async def start_environment(folder: Path) -> AsyncIterator[FuzzEnvironment]:
    """Start everything in an empty folder, and end everything at the exit."""
    async with AsyncExitStack() as stack:

        async def start(name: str, *arguments: str, **environ: str) -> Child:
            log_path = folder / f"{name.replace(' ', '-')}.log"
            child = await start_child(name, arguments, log_path=log_path, environ=os.environ | environ)
            stack.push_async_callback(child.stop)
            return child

        scripted = await start("scripted upstream", "demo.upstream.scripted_upstream", "--script", "steady")
        liar = await start("lying upstream", "tests.fuzz.lying_upstream")
        await scripted.wait_ready(scripted_upstream.READY_LINE)
        await liar.wait_ready(lying_upstream.READY_LINE)
        config_path = folder / "gateway.toml"
        config_path.write_text(_config(folder, {"liar": liar.url, "scripted": scripted.url}))
        keys = await _keys(config_path)
        leaks = Leaks(keys)
        receiver = stack.enter_context(WatchingReceiver(leaks))
        gateway = await start(
            "gateway", "app", "--config", str(config_path), "serve",
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_METRIC_EXPORT_INTERVAL="2000",
            FUZZ_MONITORING_TOKEN=keys.monitoring,
        )  # fmt: skip
        await gateway.wait_ready(GATEWAY_READY_LINE)
        yield FuzzEnvironment(
            url=gateway.url,
            port=int(gateway.url.rpartition(":")[2]),
            keys=keys,
            config=load_config(config_path),
            folder=folder,
            gateway=gateway,
            upstreams=(scripted, liar),
            receiver=receiver,
            leaks=leaks,
        )


async def _keys(config_path: Path) -> Keys:
    """Create the API keys as an operator does."""

    # The first key creates the database.
    main, _ = await create_key(config_path, "main", _PLAN)
    (limited, _), (revoked, _) = await asyncio.gather(
        create_key(config_path, "limited", "limited"), revoked_key(config_path, _PLAN)
    )
    return Keys(
        main=main,
        limited=limited,
        revoked=revoked,
        monitoring=f"fuzz-monitoring-{secrets.token_hex(16)}",
    )


def _config(folder: Path, urls: dict[str, str]) -> str:
    """Write the configuration; impatient, so that silence costs little time."""
    providers = [
        f'[[providers]]\nname = "{name}"\nbase_url = "{urls[kind]}/{name}/v1"\n'
        "first_byte_seconds = 1.0\nwhole_answer_seconds = 1.0\nidle_seconds = 0.5\ntotal_seconds = 3.0\nmax_response_bytes = 1048576\n"
        for name, kind in _PROVIDERS.items()
    ]
    models = [
        f"[[models]]\nname = {_text(name)}\noperation = {_text(operation)}\ncache_ttl_seconds = {ttl_seconds}\n"
        + "".join(
            f"[[models.routes]]\nprovider = {_text(provider)}\nupstream_model = {_text(f'{provider}-{index}')}\n"
            "input_usd_per_million = 0.15\noutput_usd_per_million = 0.6\n"
            for provider in providers_of
        )
        for index, (name, operation, providers_of, ttl_seconds) in enumerate(_MODELS)
    ]
    return _CONFIG.format(
        folder=folder,
        plan=_PLAN,
        max_body_bytes=MAX_BODY_BYTES,
        max_header_bytes=MAX_HEADER_BYTES,
        providers="\n".join(providers),
        models="\n".join(models),
    )


def _text(value: str) -> str:
    """Write a TOML string; JSON's escapes are TOML's."""
    return msgspec.json.encode(value).decode()
