"""The servers that `bench.gateway` loads: started on their core, checked and warmed up, and ended."""

import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench.cores import Cores, on_cores
from bench.environment import DIRECT_MODEL
from bench.gateway_report import KINDS
from bench.gateway_variants import START_SECONDS, Variant
from bench.load import PATH, Load
from demo.process import Child, ChildFailedError, start_child

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant that answers in one short sentence."},
    {"role": "user", "content": "Tell me about the fox. " * 12},
]
BODIES = {
    kind: msgspec.json.encode({"model": DIRECT_MODEL, "messages": MESSAGES, "stream": kind == "streamed"})
    for kind in KINDS
}
ENDS = {"whole": b'"usage"', "streamed": b"data: [DONE]"}
"""What a whole response contains, by kind."""

CANNED = ("bench.canned_server", "0")
WARM_UP_CONNECTIONS = 16
WARM_UP_SECONDS = 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `variants` are names; empty stands for all that are installed."""

    rounds: int
    seconds: int
    connections: tuple[int, ...]
    variants: tuple[str, ...]


class Bed(msgspec.Struct, frozen=True, kw_only=True):
    """What all measurements of a round share. `folder` takes the logs of the servers."""

    plan: Plan
    load: Load
    cores: Cores
    folder: Path
    round: int = 1


Started = tuple[Variant, Child]
"""A server that runs."""


def progress(line: str) -> None:
    """Print what the run does now."""
    print(f"gateway: {line}", file=sys.stderr, flush=True)


async def check(server: Child, variant: Variant) -> None:
    """Send one request of each kind; raises `ChildFailedError` where the response is not 200 and whole."""
    async with aiohttp.ClientSession() as session:
        for kind, body in BODIES.items():
            async with session.post(server.url + PATH, data=body, headers=variant.headers) as response:
                text = await response.read()
            if response.status != 200 or ENDS[kind] not in text:
                raise ChildFailedError(
                    f"{variant.name} returned {response.status} and {text[-300:].decode(errors='replace')!r}, {kind}"
                )


async def start_server(variant: Variant, bed: Bed) -> Child:
    """Start one server on its core and warm it up; raises `ChildFailedError` where it does not respond as it should."""
    log_path = bed.folder / f"{variant.name}.log"
    with on_cores(bed.cores.server):
        server = await start_child(variant.name, variant.arguments, log_path=log_path, environ=variant.environ)
    try:
        await server.wait_ready(variant.ready_line, START_SECONDS)
        await check(server, variant)
        for body in BODIES.values():
            await bed.load.run(
                server.url, variant.headers, body, connections=WARM_UP_CONNECTIONS, seconds=WARM_UP_SECONDS
            )
    except BaseException:
        await server.stop()
        raise
    return server


async def start_servers(variants: Sequence[Variant], bed: Bed) -> tuple[list[Started], dict[str, str]]:
    """Start every server; return them, and why one that is not required does not run. Raises `ChildFailedError`."""
    started: list[Started] = []
    failed: dict[str, str] = {}
    try:
        for variant in variants:
            progress(f"starts {variant.name}")
            try:
                started.append((variant, await start_server(variant, bed)))
            except (ChildFailedError, aiohttp.ClientError) as error:
                if variant.required:
                    raise
                failed[variant.name] = "it failed: " + str(error).partition("\n")[0]
                progress(f"skips {variant.name}, which failed: {error}")
    except BaseException:
        await stop_servers(started)
        raise
    return started, failed


async def stop_servers(started: Sequence[Started]) -> None:
    """End them all."""
    for _, server in started:
        await server.stop()
