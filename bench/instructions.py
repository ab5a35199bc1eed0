"""How many instructions a request costs the pass-through, the gateway without telemetry and the gateway with it.

    python -m bench.instructions [--requests 100] [--connections 4] [--variants bare,off,on] [--page FILE]

Valgrind counts what the threads of the server execute in user space. The count of the event loop's thread hardly
depends on what else the machine does, where requests per second differ by a third. That of the other threads, which
write the ledger and deliver spans and log lines, is an upper bound: one that waits for the interpreter polls, and waits
forty times as long as usual. Periodic work is switched off, and the kernel is left out. Each part of a stream comes in
a read of its own. `--page` puts the table into a page, between its two `instructions` comments. Needs Valgrind (Linux).
"""

import argparse
import asyncio
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product, repeat
from pathlib import Path

import aiohttp
import msgspec

from bench import canned_server
from bench.counted_server import CONTROL, VALGRIND, Counting, is_installed
from bench.environment import bench_environment
from bench.gateway_report import KINDS
from bench.gateway_servers import BODIES
from bench.gateway_variants import BARE, EXPLAINED, OFF, ON, Variant, gateway_variants
from bench.load import PATH
from bench.page import put_into
from demo.process import Child, ChildFailedError, start_child

CANNED = "bench.canned_server"
PAUSE_SECONDS = 0.05
"""Between two parts of a stream: a server that is forty times slower than usual has read the last one by then."""

START_SECONDS = 300.0
SETTLE_SECONDS = 4.0
"""After this, spans, log lines and ledger rows of a load are written."""

WARM_UP_REQUESTS = 50
_RARELY = "3600"
BY_TIME = {
    # A request takes forty times as long as usual: what is done so often per second must not seem to be done per request.
    "GATEWAYZ_LEDGER__COMMIT_SECONDS": "2",
    "GATEWAYZ_PROBES__ENABLED": "false",
    "GATEWAYZ_ANOMALIES__INTERVAL_SECONDS": _RARELY,
    "GATEWAYZ_JOBS__BUSINESS_SECONDS": _RARELY,
    "GATEWAYZ_JOBS__MODEL_USAGE_SECONDS": _RARELY,
    "GATEWAYZ_JOBS__LEASE_SECONDS": _RARELY,
    "GATEWAYZ_JOBS__EVENT_LOOP_LAG_SECONDS": _RARELY,
    "OTEL_METRIC_EXPORT_INTERVAL": f"{_RARELY}000",
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `variants` are names."""

    requests: int
    connections: int
    variants: tuple[str, ...]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The instructions of one request: those of the event loop's thread, and of all others."""

    variant: str
    kind: str
    loop: float
    others: float


def progress(line: str) -> None:
    """Print what the run does now."""
    print(f"instructions: {line}", file=sys.stderr, flush=True)


async def send(url: str, headers: Mapping[str, str], body: bytes, *, requests: int, connections: int) -> None:
    """Send so many requests, one at a time on each connection; raises `ChildFailedError` where one fails."""
    left = repeat(body, requests)

    async def send_one(session: aiohttp.ClientSession) -> str:
        """Return what went wrong."""
        async with session.post(url + PATH, data=body, headers=headers) as response:
            text = await response.read()
            return "" if response.status == 200 else f"a request failed with {response.status}: {text[:300]!r}"

    async def keep_busy(session: aiohttp.ClientSession) -> None:
        for _ in left:
            mistake = await send_one(session)
            if mistake:
                # On a busy machine the slow server's database may be late once.
                await asyncio.sleep(SETTLE_SECONDS)
                mistake = await send_one(session)
            if mistake:
                raise ChildFailedError(mistake)

    # Under Valgrind no time limit is right.
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=timeout) as session:
        await asyncio.gather(*(keep_busy(session) for _ in range(connections)))


async def count_kind(server: Child, counting: Counting, variant: Variant, kind: str, plan: Plan) -> Counted:
    """Return the instructions of a load, by request."""
    await asyncio.sleep(SETTLE_SECONDS)
    await counting.take()
    await send(server.url, variant.headers, BODIES[kind], requests=plan.requests, connections=plan.connections)
    await asyncio.sleep(SETTLE_SECONDS)
    count = await counting.take()
    return Counted(
        variant=variant.name, kind=kind, loop=count.main / plan.requests, others=count.others / plan.requests
    )


async def count_variant(variant: Variant, folder: Path, plan: Plan) -> list[Counted]:
    """Start one server, warm it up, count both kinds and end it; raises `ChildFailedError`."""
    arguments = ("bench.counted_server", str(folder), *variant.arguments)
    environ = variant.environ | BY_TIME | {"PYTHONHASHSEED": "0"}
    server = await start_child(variant.name, arguments, log_path=folder / f"{variant.name}.log", environ=environ)
    try:
        await server.wait_ready(variant.ready_line, START_SECONDS)
        for body in BODIES.values():
            await send(server.url, variant.headers, body, requests=WARM_UP_REQUESTS, connections=plan.connections)
        counting = Counting(server, folder)
        await counting.start()
        counted = []
        for kind in KINDS:
            progress(f"{variant.name}, {kind}")
            counted.append(await count_kind(server, counting, variant, kind, plan))
        return counted
    finally:
        await server.stop(START_SECONDS)


async def count_alone(name: str, sink_url: str, plan: Plan) -> list[Counted]:
    """Count one server with an upstream and a database of its own; raises `ChildFailedError`."""
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as text:
        folder = Path(text)
        async with bench_environment(folder, ((CANNED, str(PAUSE_SECONDS)), canned_server.READY_LINE)) as bench:
            (variant,) = (each for each in gateway_variants(bench, sink_url, sink_url) if each.name == name)
            return await count_variant(variant, folder, plan)


async def run(plan: Plan) -> list[Counted]:
    """Count all servers at the same time, since a count does not depend on what else runs; raises `ChildFailedError`."""
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as folder:
        sink = await start_child("OTLP endpoint", (CANNED,), log_path=Path(folder, "sink.log"))
        try:
            await sink.wait_ready(canned_server.READY_LINE)
            counted = await asyncio.gather(*(count_alone(name, sink.url, plan) for name in plan.variants))
            return [each for group in counted for each in group]
        finally:
            await sink.stop()


def table(counted: Sequence[Counted]) -> str:
    """Return the counts in thousands, and the ratios of what the event loop's thread executes, as Markdown."""
    found = {(each.kind, each.variant): each for each in counted}
    lines = [
        "| response | variant | event loop's thread (thousands) | other threads (thousands) |",
        "|---|---|---:|---:|",
    ]
    for kind, variant in product(KINDS, (BARE, OFF, ON)):
        if each := found.get((kind, variant)):
            lines.append(f"| {kind} | {variant} | {each.loop / 1e3:.0f} | {each.others / 1e3:.0f} |")
    lines += ["", "| response | off/on | bare/on | bare/off |", "|---|---:|---:|---:|"]
    for kind in KINDS:
        pairs = [(found.get((kind, over)), found.get((kind, under))) for over, under in _RATIOS]
        figures = (f"{over.loop / under.loop:.2f}" if over and under else "" for over, under in pairs)
        lines.append(f"| {kind} | {' | '.join(figures)} |")
    return "\n".join([*lines, "", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}."])


_RATIOS = ((OFF, ON), (BARE, ON), (BARE, OFF))
"""The cheaper one over the dearer one: the share of its speed that is left, as far as instructions decide about it."""


def parse(arguments: Sequence[str] | None = None) -> tuple[Plan, Path | None]:
    """Read the command line; return the plan and the page for the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--variants", default=f"{BARE},{OFF},{ON}")
    parser.add_argument("--page", type=Path)
    read = parser.parse_args(arguments)
    variants = tuple(read.variants.split(","))
    if unknown := [name for name in variants if name not in {BARE, OFF, ON}]:
        parser.error(f"--variants: {unknown[0]!r} is none of {BARE}, {OFF}, {ON}")
    if min(read.requests, read.connections) < 1:
        parser.error("--requests and --connections are at least 1")
    return Plan(requests=read.requests, connections=read.connections, variants=variants), read.page


def main() -> int:
    plan, page = parse()
    if not is_installed():
        print(f"instructions: skipped, because {VALGRIND} and {CONTROL} are not installed", file=sys.stderr)
        return 0
    for name in plan.variants:
        progress(f"{name}: {EXPLAINED[name]}")
    try:
        text = table(asyncio.run(run(plan)))
    except KeyboardInterrupt:
        return 130
    except (ChildFailedError, aiohttp.ClientError) as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 1
    print(text)
    if page is not None:
        put_into(page, "instructions", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
