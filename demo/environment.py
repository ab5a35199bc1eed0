"""Starts all processes of a run and ends them: upstreams, the real model, the gateway.

The gateway is started as a user starts it: `python -m app serve` with a configuration file, and
`python -m app keys` for its API keys.
"""

import asyncio
import errno
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from demo.console import start_console
from demo.gateway_config import FREE_PLAN, LIMITED_PLANS, VISITOR_PLAN, DemoModel, GatewayFile
from demo.process import Child, ChildFailedError, run_to_end, start_child
from demo.upstream import local_model, scripted_upstream

GATEWAY_READY_LINE: Final = "gateway: listening on "
HOST: Final = "127.0.0.1"
_READY_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_OK: Final = 200
UNKNOWN_KEY: Final = "gwz_" + "A" * 43
MALFORMED_KEY: Final = "sk-not-a-gateway-key"


class PortInUseError(RuntimeError):
    """Another process listens on the gateway's port."""


class EnvironmentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. `port` 0 takes any free one; `folder` exists and is empty. `with_breakers`, `cadence`: as in `GatewayFile`.

    `environ` is set for the gateway beside what is set already. With `console_port` the gateway
    sends its telemetry to a console whose page is there; 0 takes any free port.
    """

    folder: Path
    port: int = 0
    seed: int = 1
    script: str = "demo"
    with_real_model: bool = True
    share_seconds: float = 1.0
    with_breakers: bool = False
    cadence: float | None = None
    environ: dict[str, str] = {}
    console_port: int | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The running processes. `keys` holds secrets by the names that plans of requests use, `own_key_ids` the ids of these keys.

    `visitor_key` is printed for the user; so is `console_url`, empty without a console.
    """

    gateway_url: str
    upstream_url: str
    database_path: Path
    log_path: Path
    models: tuple[DemoModel, ...]
    keys: dict[str, str | None]
    own_key_ids: frozenset[str]
    visitor_key: str
    children: tuple[Child, ...]
    has_real_model: bool
    console_url: str = ""


def check_port(port: int, example: str = "PORT=8080") -> None:
    """Raise `PortInUseError` if no process could listen there; `example` shows how another port is chosen."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise PortInUseError(f"port {port} of {HOST} {reason}; choose another one, as in {example}") from None


@asynccontextmanager
async def start_environment(options: EnvironmentOptions, say: Callable[[str], None]) -> AsyncIterator[Environment]:
    """Start everything, and end everything at the exit; raises `ChildFailedError` and `PortInUseError`."""
    check_port(options.port)
    async with AsyncExitStack() as stack:
        # A bound socket without a listener: a connection to it is refused, and no other process can take the port.
        closed = stack.enter_context(socket.socket())
        closed.bind((HOST, 0))
        children: list[Child] = []
        environ = dict(options.environ)

        async def start(name: str, *arguments: str) -> Child:
            log_path = options.folder / f"{name.replace(' ', '-')}.log"
            child = await start_child(name, arguments, log_path=log_path, environ=os.environ | environ)
            stack.push_async_callback(child.stop)
            children.append(child)
            return child

        upstream = await start(
            "scripted upstream",
            "demo.upstream.scripted_upstream",
            "--script",
            options.script,
            "--seed",
            str(options.seed),
        )
        real = await start("local model", "demo.upstream.local_model") if _has_real_model(options, say) else None
        console = None
        if options.console_port is not None:
            console = await start_console(start, options.folder, options.console_port, environ)
        await upstream.wait_ready(scripted_upstream.READY_LINE)
        real_url = await _real_model_url(real, say) if real is not None else None
        file = GatewayFile(
            port=options.port,
            database_path=str(options.folder / "gateway.db"),
            upstream_url=upstream.url,
            closed_url=f"http://{HOST}:{closed.getsockname()[1]}",
            real_url=real_url,
            share_seconds=options.share_seconds,
            with_breakers=options.with_breakers,
            cadence=options.cadence,
        )
        config_path = options.folder / "gateway.toml"
        config_path.write_text(file.as_toml())
        say("creating API keys and starting the gateway")
        # The first key creates the database; gateway and further keys can then start concurrently.
        main_key, main_id = await create_key(config_path, "main", FREE_PLAN)
        gateway = await start("gateway", "app", "--config", str(config_path), "serve")
        (visitor_key, _), *others = await asyncio.gather(
            create_key(config_path, VISITOR_PLAN, VISITOR_PLAN),
            revoked_key(config_path),
            *(create_key(config_path, plan.name, plan.name) for plan in LIMITED_PLANS),
        )
        await gateway.wait_ready(GATEWAY_READY_LINE)
        await _wait_until_ready(f"{gateway.url}/health/ready")
        names = ("revoked", *(plan.name for plan in LIMITED_PLANS))
        yield Environment(
            gateway_url=gateway.url,
            upstream_url=upstream.url,
            database_path=options.folder / "gateway.db",
            log_path=gateway.log_path,
            models=file.models,
            keys={"none": None, "malformed": MALFORMED_KEY, "unknown": UNKNOWN_KEY, "main": main_key}
            | {name: secret for name, (secret, _) in zip(names, others, strict=True)},
            own_key_ids=frozenset((main_id, *(key_id for _, key_id in others))),
            visitor_key=visitor_key,
            children=tuple(child for child in children if child.url),
            has_real_model=real_url is not None,
            console_url=console.url if console else "",
        )


def _has_real_model(options: EnvironmentOptions, say: Callable[[str], None]) -> bool:
    """Whether the real model runs; reports where it is wanted and missing."""
    if not options.with_real_model:
        return False
    if local_model.find_weights() is None:
        say(local_model.MISSING)
        return False
    say("loading the real model (SmolLM2-135M-Instruct, on one core)")
    return True


async def _real_model_url(child: Child, say: Callable[[str], None]) -> str | None:
    """Return the model's URL when it is ready; None, and a line, where it does not start."""
    try:
        await child.wait_ready(local_model.READY_LINE)
        await _wait_until_ready(f"{child.url}/health")
    except ChildFailedError as error:
        say(f"going on without the real model: {error}")
        return None
    return child.url


async def _wait_until_ready(url: str) -> None:
    """Poll a readiness endpoint; raises `ChildFailedError` when it does not return 200 in time."""
    deadline = asyncio.get_running_loop().time() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.status == _OK:
                        return
            except aiohttp.ClientError:
                pass
            if asyncio.get_running_loop().time() > deadline:
                raise ChildFailedError(f"{url} did not return 200 within {_READY_SECONDS:g} s")
            await asyncio.sleep(_POLL_SECONDS)


async def create_key(config_path: Path, name: str, plan: str) -> tuple[str, str]:
    """Create a key; return its secret and its id."""
    arguments = ("app", "--config", str(config_path), "keys", "create", "--name", name, "--plan", plan, "--json")
    made = json.loads(await run_to_end(arguments))
    return made["secret"], made["key_id"]


async def revoked_key(config_path: Path, plan: str = FREE_PLAN) -> tuple[str, str]:
    """Create a key and revoke it."""
    secret, key_id = await create_key(config_path, "revoked", plan)
    await run_to_end(("app", "--config", str(config_path), "keys", "revoke", key_id))
    return secret, key_id
