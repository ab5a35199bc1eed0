"""What the gateway and its telemetry cost a request, against itself without telemetry and against other gateways.

    python -m bench.gateway [--rounds 3] [--seconds 1] [--connections 1,16,64] [--variants bare,off,on] [--json FILE]

Servers under test: a bare Litestar and aiohttp pass-through, the gateway with telemetry off and with
everything exported at 100 % sampling, and where they are installed Portkey and LiteLLM
(`make bench-baselines`). Each runs alone on one core; load, upstream and OTLP endpoint have the
others. In each round every server is started, warmed up and loaded, so that a slow moment of the
machine meets all of them. CPU and context switches are those of all processes of the server. Needs Linux.
"""

import argparse
import asyncio
import itertools
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench import canned_server
from bench.baselines import baselines_folder, find_baselines
from bench.closed_load import LoadResult
from bench.cores import Cores, available_cores, on_cores, split_cores
from bench.environment import DIRECT_MODEL, bench_environment
from bench.gateway_report import KINDS, Measured, Report, Setting, to_json
from bench.gateway_tables import as_text
from bench.gateway_variants import (
    EXPLAINED,
    START_SECONDS,
    Variant,
    baseline_variants,
    gateway_variants,
)
from bench.load import PATH, Load, find_load
from bench.server_cost import PROC, Cost, read_cost, switches_between
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
UPSTREAM = "bench.canned_server, streams of 12 parts without a pause"
WARM_UP_CONNECTIONS = 16
WARM_UP_SECONDS = 1
CONSOLE = ("app", "console", "--listen", "127.0.0.1:0", "--otlp", "127.0.0.1:0", "--data")
CONSOLE_LINE = "console: receiving OTLP/HTTP on "
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 0.2
IDLE_SHARE = 0.1
"""A server that uses less of a core than this for so long has nothing left to do."""

RESPONSES_PER_CONNECTION = 4
LONGEST_SECONDS = 10
"""For a server that is too slow for so many responses in the time of the plan."""


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


async def settled_cost(server: Child) -> Cost:
    """Wait until the server has nothing left to do, at most `SETTLE_SECONDS`; return what it has used.

    So exports that follow a load count as costs of its requests, and do not disturb the next load.
    """
    cost, waited = read_cost(server.pid), 0.0
    while waited < SETTLE_SECONDS:
        await asyncio.sleep(IDLE_SECONDS)
        waited += IDLE_SECONDS
        before, cost = cost, read_cost(server.pid)
        if cost.cpu_seconds - before.cpu_seconds <= IDLE_SECONDS * IDLE_SHARE:
            break
    return cost


def enough_seconds(result: LoadResult, connections: int, seconds: int) -> int:
    """Return how long a load must be, at most `LONGEST_SECONDS`, for a few responses on each connection.

    At the end of a load each connection has a request in flight, whose costs count and which itself does not.
    """
    wanted = RESPONSES_PER_CONNECTION * connections
    if result.responded >= wanted:
        return seconds
    return max(seconds, min(LONGEST_SECONDS, math.ceil(seconds * wanted / max(1, result.responded))))


async def measure(server: Child, variant: Variant, bed: Bed, kind: str, connections: int) -> Measured:
    """Load one server, again for longer where it is slow; raises `ChildFailedError` where a request or all responses are missing."""
    seconds = bed.plan.seconds
    while True:
        before = await settled_cost(server)
        result = await bed.load.run(server.url, variant.headers, BODIES[kind], connections=connections, seconds=seconds)
        enough = enough_seconds(result, connections, seconds)
        if result.failed or enough == seconds:
            break
        seconds = enough
    after = await settled_cost(server)
    if result.failed:
        raise ChildFailedError(
            f"{result.failed} of {result.failed + result.responded} requests failed\n{server.last_lines()}"
        )
    if not result.responded:
        raise ChildFailedError(f"no response in {seconds} s\n{server.last_lines()}")
    return Measured(
        variant=variant.name,
        kind=kind,
        connections=connections,
        round=bed.round,
        per_second=result.responded / result.seconds,
        p50_milliseconds=result.p50_milliseconds,
        p99_milliseconds=result.p99_milliseconds,
        cpu_microseconds=(after.cpu_seconds - before.cpu_seconds) / result.responded * 1e6,
        context_switches=switches_between(before, after) / result.responded,
    )


async def measure_round(variant: Variant, bed: Bed) -> tuple[list[Measured], dict[str, str]]:
    """Start one server on its core, warm it up, load it at every point and end it.

    Return the figures, and why a point has none where the variant is not required. Raises `ChildFailedError`.
    """
    log_path = bed.folder / f"{variant.name}.log"
    measured: list[Measured] = []
    failed: dict[str, str] = {}
    with on_cores(bed.cores.server):
        server = await start_child(variant.name, variant.arguments, log_path=log_path, environ=variant.environ)
    try:
        await server.wait_ready(variant.ready_line, START_SECONDS)
        await check(server, variant)
        for body in BODIES.values():
            await bed.load.run(
                server.url, variant.headers, body, connections=WARM_UP_CONNECTIONS, seconds=WARM_UP_SECONDS
            )
        for kind, connections in itertools.product(KINDS, bed.plan.connections):
            try:
                measured.append(await measure(server, variant, bed, kind, connections))
            except ChildFailedError as error:
                point = f"{variant.name} in round {bed.round}, {kind} at {connections} connections"
                if variant.required:
                    raise ChildFailedError(f"{point}: {error}") from error
                failed[point] = str(error).partition("\n")[0]
                progress(f"skips {point}: {error}")
    finally:
        await server.stop()
    return measured, failed


async def measure_all(variants: Sequence[Variant], bed: Bed) -> tuple[list[Measured], dict[str, str]]:
    """Measure every variant in every round; return the figures, and why something that is not required has none.

    A variant that does not even start is not tried again in later rounds. Raises `ChildFailedError`.
    """
    measured: list[Measured] = []
    failed: dict[str, str] = {}
    dropped: set[str] = set()
    for number in range(1, bed.plan.rounds + 1):
        for variant in variants:
            if variant.name in dropped:
                continue
            progress(f"round {number} of {bed.plan.rounds}: {variant.name}")
            try:
                figures, missing = await measure_round(variant, msgspec.structs.replace(bed, round=number))
            except (ChildFailedError, aiohttp.ClientError) as error:
                if variant.required:
                    raise
                dropped.add(variant.name)
                point = variant.name if number == 1 else f"{variant.name} from round {number} on"
                failed[point] = "it failed: " + str(error).partition("\n")[0]
                progress(f"skips {variant.name}, which failed: {error}")
            else:
                measured += figures
                failed |= missing
    return measured, failed


async def run(plan: Plan) -> Report:
    """Start upstream and OTLP endpoint, measure, and end them; raises `ChildFailedError`."""
    load, cores, load_average = find_load(), split_cores(available_cores()), os.getloadavg()[0]
    progress(f"{cores.describe()}; load is made by {load.name}; load average {load_average:.1f}")
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as name, on_cores(cores.load):
        folder = Path(name)
        sink = await start_child("OTLP endpoint", CANNED, log_path=folder / "sink.log")
        console = await start_child(
            "console", (*CONSOLE, str(folder / "console.sqlite")), log_path=folder / "console.log"
        )
        try:
            await sink.wait_ready(canned_server.READY_LINE)
            await console.wait_ready(CONSOLE_LINE)
            async with bench_environment(folder, (CANNED, canned_server.READY_LINE)) as bench:
                found = find_baselines(baselines_folder(), shutil.which("node"))
                others, skipped = baseline_variants(bench, sink.url, found)
                variants = [*gateway_variants(bench, sink.url, console.url), *others]
                if plan.variants:
                    variants = [each for each in variants if each.name in plan.variants]
                    skipped = {name: reason for name, reason in skipped.items() if name in plan.variants}
                for each in variants:
                    progress(f"{each.name}: {EXPLAINED[each.name]}")
                for missing, reason in skipped.items():
                    progress(f"skips {missing}: {reason}")
                measured, failed = await measure_all(variants, Bed(plan=plan, load=load, cores=cores, folder=folder))
        finally:
            await console.stop()
            await sink.stop()
    setting = Setting(
        rounds=plan.rounds,
        seconds=plan.seconds,
        load=load.name,
        upstream=UPSTREAM,
        cores=cores.describe(),
        core_count=os.cpu_count() or 1,
        load_average_before=load_average,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        skipped=skipped | failed,
    )
    return Report(setting=setting, measured=measured)


def parse(arguments: Sequence[str] | None = None) -> tuple[Plan, Path | None]:
    """Read the command line; return the plan and where the JSON goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=1, help="of each point")
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--variants", default="", help=f"of {', '.join(EXPLAINED)}; all that are installed by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round, medians and ratios")
    read = parser.parse_args(arguments)
    variants = tuple(filter(None, read.variants.split(",")))
    if unknown := [name for name in variants if name not in EXPLAINED]:
        parser.error(f"--variants: {unknown[0]!r} is none of {', '.join(EXPLAINED)}")
    if (
        not all(each.isdecimal() and int(each) for each in read.connections.split(","))
        or min(read.rounds, read.seconds) < 1
    ):
        parser.error("--rounds, --seconds and each of --connections are at least 1")
    connections = tuple(int(each) for each in read.connections.split(","))
    return Plan(rounds=read.rounds, seconds=read.seconds, connections=connections, variants=variants), read.json


def main() -> int:
    plan, path = parse()
    if not (PROC / "self/stat").exists():
        print("bench.gateway reads /proc, which only Linux has", file=sys.stderr)
        return 2
    try:
        report = asyncio.run(run(plan))
    except KeyboardInterrupt:
        return 130
    except (ChildFailedError, aiohttp.ClientError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    if path is not None:
        path.write_bytes(to_json(report))
    print(as_text(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
