"""What the gateway and its telemetry cost a request, against itself without telemetry and against other gateways.

    python -m bench.gateway [--rounds 3] [--seconds 1] [--connections 1,16,64] [--variants bare,off,on] [--json FILE]

Servers under test: a bare Litestar and aiohttp pass-through, the gateway with telemetry off and with
everything exported at 100 % sampling, and where they are installed Portkey and LiteLLM
(`make bench-baselines`). They share one core, of which only the loaded one uses more than a trace; load,
upstream and OTLP endpoint have the others. All are started and warmed up first. In each round each point
is measured on one server right after the other, in turned order every second round, so that a slow moment
of the machine meets all of them. CPU and context switches are those of all processes of the server. Needs
Linux.
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
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import bench_environment
from bench.gateway_report import KINDS, Measured, Report, Setting, to_json
from bench.gateway_servers import (
    BODIES,
    CANNED,
    Bed,
    Plan,
    Started,
    progress,
    start_servers,
    stop_servers,
)
from bench.gateway_tables import as_text
from bench.gateway_variants import EXPLAINED, Variant, baseline_variants, gateway_variants
from bench.load import find_load
from bench.server_cost import PROC, Cost, read_cost, switches_between
from demo.process import Child, ChildFailedError, start_child

UPSTREAM = "bench.canned_server, streams of 12 parts without a pause"
CONSOLE = ("app", "console", "--listen", "127.0.0.1:0", "--otlp", "127.0.0.1:0", "--data")
CONSOLE_LINE = "console: receiving OTLP/HTTP on "
SETTLE_SECONDS = 5.0
IDLE_SECONDS = 0.2
IDLE_SHARE = 0.1
"""A server that uses less of a core than this for so long has nothing left to do."""

RESPONSES_PER_CONNECTION = 4
LONGEST_SECONDS = 10
"""For a server that is too slow for so many responses in the time of the plan."""


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


async def measure_round(started: Sequence[Started], bed: Bed) -> tuple[list[Measured], dict[str, str]]:
    """Load the servers at every point, one right after the other, in turned order every second round.

    Return the figures, and why a point has none where the variant is not required. Raises `ChildFailedError`.
    """
    measured: list[Measured] = []
    failed: dict[str, str] = {}
    for kind, connections in itertools.product(KINDS, bed.plan.connections):
        progress(f"round {bed.round} of {bed.plan.rounds}: {kind}, {connections} connections")
        for variant, server in started if bed.round % 2 else reversed(started):
            try:
                measured.append(await measure(server, variant, bed, kind, connections))
            except ChildFailedError as error:
                point = f"{variant.name} in round {bed.round}, {kind} at {connections} connections"
                if variant.required:
                    raise ChildFailedError(f"{point}: {error}") from error
                failed[point] = str(error).partition("\n")[0]
                progress(f"skips {point}: {error}")
    return measured, failed


async def measure_all(variants: Sequence[Variant], bed: Bed) -> tuple[list[Measured], dict[str, str]]:
    """Measure every variant in every round; return the figures, and why something that is not required has none.

    Raises `ChildFailedError`.
    """
    started, failed = await start_servers(variants, bed)
    measured: list[Measured] = []
    try:
        for number in range(1, bed.plan.rounds + 1):
            figures, missing = await measure_round(started, msgspec.structs.replace(bed, round=number))
            measured += figures
            failed |= missing
    finally:
        await stop_servers(started)
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
