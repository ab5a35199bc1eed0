"""Loads a gateway for long: its memory must not grow, no telemetry may be lost, and no pause of the garbage collector be long.

    python -m bench.soak [--minutes 10] [--connections 16] [--scrape-seconds 5]

Whole and streamed responses take turns, everything is exported, and `/metrics` is scraped meanwhile.
The memory is that of the gateway's process, read after each piece of the load. What it has after a fifth of the run is
compared with what it has at the end: by then pools, caches and buffers are full. Exit code 1: memory grew by more than
5 %, or something was dropped. Needs Linux (`/proc`).
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from bench import canned_server
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import Bench, bench_environment
from bench.gateway import BODIES, CANNED
from bench.gateway_variants import START_SECONDS
from bench.load import Load, find_load
from bench.servers import MIB, memory_bytes
from bench.watched_gateway import Pauses
from demo.environment import GATEWAY_READY_LINE
from demo.process import Child, ChildFailedError, start_child
from otel.catalogue.business import LEDGER_ROWS_DROPPED
from otel.catalogue.self_telemetry import DROPPED, LOG_LINES_DROPPED

PIECE_SECONDS = 5
SETTLED_SHARE = 0.2
MAX_GROWTH = 0.05
LOST = (DROPPED, LOG_LINES_DROPPED, LEDGER_ROWS_DROPPED)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway after a piece of the load."""

    seconds: float
    responded: int
    memory_bytes: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the run showed. `dropped` are spans, log records, pushes, lines and rows of the ledger."""

    samples: list[Sample]
    dropped: float
    pauses: Pauses
    longest_scrape_seconds: float

    @property
    def growth(self) -> float:
        """By which share the memory has grown since it settled."""
        settled = self.samples[min(len(self.samples) - 1, int(len(self.samples) * SETTLED_SHARE))]
        return self.samples[-1].memory_bytes / settled.memory_bytes - 1

    def problems(self) -> list[str]:
        """Return what must not be."""
        found = []
        if self.growth > MAX_GROWTH:
            found.append(f"memory grew by {self.growth:.1%}")
        if self.dropped:
            found.append(f"{self.dropped:g} items of telemetry were dropped")
        return found


def dropped_items(exposition: str) -> float:
    """Return the sum of the counters of what was dropped."""
    return sum(float(line.rpartition(" ")[2]) for line in exposition.splitlines() if line.startswith(LOST))


class Scrapes:
    """Scrapes `/metrics` until it is cancelled; `text` is the last exposition."""

    def __init__(self, url: str, every_seconds: float) -> None:
        self.text = ""
        self.longest_seconds = 0.0
        self._url = f"{url}/metrics"
        self._every_seconds = every_seconds

    async def run(self) -> None:
        """Scrape again and again."""
        while True:
            await self.once()
            await asyncio.sleep(self._every_seconds)

    async def once(self) -> None:
        """Scrape once."""
        began = time.monotonic()
        async with aiohttp.ClientSession() as session, session.get(self._url) as response:
            response.raise_for_status()
            self.text = await response.text()
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)


async def load_for(gateway: Child, load: Load, secret: str, *, minutes: float, connections: int) -> list[Sample]:
    """Load the gateway piece by piece; raises `ChildFailedError` where a request fails."""
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    began, responded = time.monotonic(), 0
    samples: list[Sample] = []
    while time.monotonic() - began < minutes * 60:
        for body in BODIES.values():
            result = await load.run(gateway.url, headers, body, connections=connections, seconds=PIECE_SECONDS)
            if result.failed:
                raise ChildFailedError(f"{result.failed} requests failed\n{gateway.last_lines()}")
            responded += result.responded
        taken = memory_bytes(gateway.pid, "VmRSS")
        samples.append(Sample(seconds=time.monotonic() - began, responded=responded, memory_bytes=taken))
        print(f"soak: {samples[-1].seconds:5.0f} s, {responded} responses, {taken / MIB:.1f} MiB", flush=True)
    return samples


async def soak(bench: Bench, otlp_url: str, minutes: float, connections: int, scrape_seconds: float) -> Outcome:
    """Start the gateway on a core of its own, load it and end it."""
    pauses_path = bench.folder / "pauses.json"
    pauses_path.write_bytes(msgspec.json.encode(Pauses()))
    arguments = ("bench.watched_gateway", str(pauses_path), "--config", str(bench.write_config()), "serve")
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url}
    with on_cores(split_cores(available_cores()).server):
        gateway = await start_child("gateway", arguments, log_path=bench.folder / "gateway.log", environ=environ)
    try:
        await gateway.wait_ready(GATEWAY_READY_LINE, START_SECONDS)
        scrapes = Scrapes(gateway.url, scrape_seconds)
        scraping = asyncio.create_task(scrapes.run())
        try:
            samples = await load_for(gateway, find_load(), bench.secret, minutes=minutes, connections=connections)
        finally:
            scraping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scraping
        await scrapes.once()
    finally:
        await gateway.stop()
    return Outcome(
        samples=samples,
        dropped=dropped_items(scrapes.text),
        pauses=msgspec.json.decode(pauses_path.read_bytes(), type=Pauses),
        longest_scrape_seconds=scrapes.longest_seconds,
    )


async def run(minutes: float, connections: int, scrape_seconds: float) -> Outcome:
    """Start upstream and OTLP endpoint around the gateway; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    print(f"soak: {cores.describe()}; load is made by {find_load().name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gatewayz-soak-") as name, on_cores(cores.load):
        sink = await start_child("OTLP endpoint", CANNED, log_path=Path(name) / "sink.log")
        try:
            await sink.wait_ready(canned_server.READY_LINE)
            async with bench_environment(Path(name), (CANNED, canned_server.READY_LINE)) as bench:
                return await soak(bench, sink.url, minutes, connections, scrape_seconds)
        finally:
            await sink.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--scrape-seconds", type=float, default=5)
    read = parser.parse_args(arguments)
    if read.minutes <= 0 or read.connections < 1 or read.scrape_seconds <= 0:
        parser.error("--minutes and --scrape-seconds are above 0, --connections at least 1")
    try:
        outcome = asyncio.run(run(read.minutes, read.connections, read.scrape_seconds))
    except KeyboardInterrupt:
        return 130
    except (ChildFailedError, aiohttp.ClientError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    pauses = outcome.pauses
    print(
        f"soak: {outcome.samples[-1].responded} responses; memory {outcome.growth:+.1%} since it settled; "
        f"{outcome.dropped:g} dropped; longest pause of the garbage collector {pauses.longest_seconds * 1000:.1f} ms "
        f"(generation {pauses.generation}); longest scrape {outcome.longest_scrape_seconds * 1000:.0f} ms"
    )
    for problem in outcome.problems():
        print(f"soak: PROBLEM: {problem}")
    return 1 if outcome.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
