"""What continuous scraping costs the requests of a gateway: their p99 with it, relative to their p99 without it.

    python -m bench.scraped_gateway [--rounds 6] [--seconds 4] [--connections 16]

One gateway with everything exported, on a core of its own. In each round the same load runs twice,
once while a scraper asks for `/metrics` again as soon as it has it; which of the two comes first
alternates. Collections are shared for half a second, so most scrapes get bytes that are there. The
ratio is that of each round; the median of all rounds counts.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench import canned_server
from bench.closed_load import LoadResult
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import Bench, bench_environment
from bench.gateway_report import KINDS
from bench.gateway_servers import BODIES, CANNED, Bed, Plan, start_server
from bench.gateway_variants import ON, Variant, gateway_variants
from bench.load import find_load
from demo.process import Child, ChildFailedError, start_child

AIM = 1.5
"""The ratio at most."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One round of one kind of response: p99 in milliseconds, requests and scrapes per second."""

    kind: str
    p99_alone: float
    p99_scraped: float
    per_second_alone: float
    per_second_scraped: float
    scrapes_per_second: float

    @property
    def ratio(self) -> float:
        """The p99 while somebody scrapes, relative to the one without."""
        return self.p99_scraped / self.p99_alone


async def scrape_until(ended: asyncio.Event, url: str) -> int:
    """Scrape over one connection, each time as soon as the last response is whole; return how often."""
    scrapes = 0
    async with aiohttp.ClientSession() as session:
        while not ended.is_set():
            async with session.get(f"{url}/metrics", headers={"accept-encoding": "gzip"}) as response:
                await response.read()
                if response.status != 200:
                    raise ChildFailedError(f"/metrics returned {response.status}")
            scrapes += 1
    return scrapes


async def load(server: Child, variant: Variant, bed: Bed, kind: str, *, scraped: bool) -> tuple[LoadResult, int]:
    """Load the gateway, with a scraper or without; raises `ChildFailedError` where a request fails."""
    ended = asyncio.Event()
    scraping = asyncio.create_task(scrape_until(ended, server.url)) if scraped else None
    (connections,) = bed.plan.connections
    try:
        result = await bed.load.run(
            server.url, variant.headers, BODIES[kind], connections=connections, seconds=bed.plan.seconds
        )
    finally:
        ended.set()
        scrapes = 0 if scraping is None else await scraping
    if result.failed or not result.responded:
        raise ChildFailedError(f"{result.failed} requests failed, {result.responded} did not\n{server.last_lines()}")
    return result, scrapes


async def measure_pair(server: Child, variant: Variant, bed: Bed, kind: str) -> Pair:
    """Load twice, in turned order every second round."""
    results: dict[bool, LoadResult] = {}
    scrapes = 0
    for scraped in (False, True) if bed.round % 2 else (True, False):
        results[scraped], count = await load(server, variant, bed, kind, scraped=scraped)
        scrapes += count
    alone, with_scraper = results[False], results[True]
    return Pair(
        kind=kind,
        p99_alone=alone.p99_milliseconds,
        p99_scraped=with_scraper.p99_milliseconds,
        per_second_alone=alone.responded / alone.seconds,
        per_second_scraped=with_scraper.responded / with_scraper.seconds,
        scrapes_per_second=scrapes / with_scraper.seconds,
    )


async def measure(bench: Bench, otlp_url: str, bed: Bed) -> list[Pair]:
    """Start the gateway, measure all rounds, and end it."""
    (variant,) = (each for each in gateway_variants(bench, otlp_url, otlp_url) if each.name == ON)
    server = await start_server(variant, bed)
    try:
        return [
            await measure_pair(server, variant, msgspec.structs.replace(bed, round=number), kind)
            for number in range(1, bed.plan.rounds + 1)
            for kind in KINDS
        ]
    finally:
        await server.stop()


async def run(plan: Plan) -> list[Pair]:
    """Start upstream and OTLP endpoint around the gateway; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    print(f"{cores.describe()}; load is made by {find_load().name}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="gatewayz-scraped-") as name, on_cores(cores.load):
        folder = Path(name)
        sink = await start_child("OTLP endpoint", CANNED, log_path=folder / "sink.log")
        try:
            await sink.wait_ready(canned_server.READY_LINE)
            async with bench_environment(folder, (CANNED, canned_server.READY_LINE)) as bench:
                return await measure(bench, sink.url, Bed(plan=plan, load=find_load(), cores=cores, folder=folder))
        finally:
            await sink.stop()


def lines(pairs: Sequence[Pair]) -> list[str]:
    """Return what is printed: a line for each kind of response, and whether it meets the aim."""
    printed = []
    for kind in KINDS:
        of_kind = [pair for pair in pairs if pair.kind == kind]
        ratio = statistics.median(pair.ratio for pair in of_kind)
        p99s, scraped_p99s = [pair.p99_alone for pair in of_kind], [pair.p99_scraped for pair in of_kind]
        printed.append(
            f"{kind:<9} p99 {statistics.median(p99s):.1f} ms alone, {statistics.median(scraped_p99s):.1f} ms scraped "
            f"{statistics.median(pair.scrapes_per_second for pair in of_kind):.0f} times/s; "
            f"ratio {ratio:.2f} ({min(pair.ratio for pair in of_kind):.2f}-{max(pair.ratio for pair in of_kind):.2f}), "
            f"aim {AIM}: {'PASS' if ratio <= AIM else 'FAIL'}; "
            f"requests/s {statistics.median(pair.per_second_alone for pair in of_kind):.0f} alone, "
            f"{statistics.median(pair.per_second_scraped for pair in of_kind):.0f} scraped"
        )
    return printed


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; exit code 1 where a server fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    parser.add_argument("--connections", type=int, default=16)
    read = parser.parse_args(arguments)
    if min(read.rounds, read.seconds, read.connections) < 1:
        parser.error("--rounds, --seconds and --connections are at least 1")
    plan = Plan(rounds=read.rounds, seconds=read.seconds, connections=(read.connections,), variants=())
    try:
        pairs = asyncio.run(run(plan))
    except KeyboardInterrupt:
        return 130
    except (ChildFailedError, aiohttp.ClientError) as error:
        print(f"scraped_gateway: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(pairs)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
