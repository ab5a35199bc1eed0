"""Loads a gateway for long: its memory must not grow, and no telemetry may be lost.

    python -m bench.soak [--minutes 10] [--connections 16] [--scrape-seconds 5]

Whole and streamed responses have half of the connections each. One more connection has requests that fail: each piece
of the load has another kind of them. Each piece ends in the middle of a request on each
connection. Everything is exported, and `/metrics` is scraped meanwhile. The memory is that of the gateway's process
after each piece; what it has after a fifth of the run is compared with what it has at the end. A line for each
criterion says PASS or FAIL; exit code 1: one has failed. Needs Linux (`/proc`).
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import aiohttp
import msgspec

from bench import canned_server
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import DETOUR_MODEL, DIRECT_MODEL, FAILING_MODEL, Bench, bench_environment
from bench.gateway_servers import CANNED, MESSAGES
from bench.gateway_variants import START_SECONDS
from bench.load import Load, find_load
from bench.servers import MIB, memory_bytes
from bench.soak_report import Outcome, Sample, dropped_items
from bench.watched_gateway import Pauses
from demo.environment import GATEWAY_READY_LINE
from demo.process import Child, ChildFailedError, start_child

PIECE_SECONDS = 5
LEAST_CONNECTIONS = 2


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of request; `fails`: its response has an error's status."""

    name: str
    model: str = DIRECT_MODEL
    stream: bool = False
    fails: bool = False

    @property
    def body(self) -> bytes:
        """The request's body."""
        return msgspec.json.encode({"model": self.model, "messages": MESSAGES, "stream": self.stream})


WHOLE = Kind(name="whole")
STREAMED = Kind(name="streamed", stream=True)
FAILING = (
    Kind(name="served by another provider", model=DETOUR_MODEL),
    Kind(name="failed", model=FAILING_MODEL, fails=True),
    Kind(name="failed streams", model=FAILING_MODEL, stream=True, fails=True),
    Kind(name="refused", model="unknown", fails=True),
)


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


class Soak:
    """The load on one gateway, and what came of it so far."""

    def __init__(self, gateway: Child, load: Load, secret: str) -> None:
        self.samples: list[Sample] = []
        self.responses: Counter[str] = Counter({kind.name: 0 for kind in (WHOLE, STREAMED, *FAILING)})
        self.unexpected = 0
        self._gateway = gateway
        self._load = load
        self._headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}

    async def run(self, seconds: float, connections: int) -> None:
        """Load the gateway piece by piece, and each kind of failure at least once."""
        began = time.monotonic()
        for number in count():
            if time.monotonic() - began >= seconds and number >= len(FAILING):
                return
            await asyncio.gather(
                self._piece(WHOLE, (connections + 1) // 2),
                self._piece(STREAMED, connections // 2),
                self._piece(FAILING[number % len(FAILING)], 1),
            )
            sample = Sample(seconds=time.monotonic() - began, memory_bytes=memory_bytes(self._gateway.pid, "VmRSS"))
            self.samples.append(sample)
            progress(
                f"{sample.seconds:5.0f} s, {self.responses.total()} responses, {sample.memory_bytes / MIB:.1f} MiB"
            )

    async def _piece(self, kind: Kind, connections: int) -> None:
        """Send requests of a kind for a while."""
        result = await self._load.run(
            self._gateway.url, self._headers, kind.body, connections=connections, seconds=PIECE_SECONDS
        )
        self.responses[kind.name] += result.failed if kind.fails else result.responded
        self.unexpected += result.responded if kind.fails else result.failed


def progress(line: str) -> None:
    """Print a line at once."""
    print(f"soak: {line}", flush=True)


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
        load = Soak(gateway, find_load(), bench.secret)
        scrapes = Scrapes(gateway.url, scrape_seconds)
        scraping = asyncio.create_task(scrapes.run())
        try:
            await load.run(minutes * 60, connections)
        finally:
            scraping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await scraping
        await scrapes.once()
    finally:
        await gateway.stop()
    return Outcome(
        samples=load.samples,
        responses=dict(load.responses),
        unexpected=load.unexpected,
        dropped=dropped_items(scrapes.text),
        pauses=msgspec.json.decode(pauses_path.read_bytes(), type=Pauses),
        longest_scrape_seconds=scrapes.longest_seconds,
    )


async def run(minutes: float, connections: int, scrape_seconds: float) -> Outcome:
    """Start upstream and OTLP endpoint around the gateway; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    progress(f"{cores.describe()}; load is made by {find_load().name}")
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
    if read.minutes <= 0 or read.connections < LEAST_CONNECTIONS or read.scrape_seconds <= 0:
        parser.error(f"--minutes and --scrape-seconds are above 0, --connections at least {LEAST_CONNECTIONS}")
    try:
        outcome = asyncio.run(run(read.minutes, read.connections, read.scrape_seconds))
    except KeyboardInterrupt:
        return 130
    except (ChildFailedError, aiohttp.ClientError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    for line in outcome.lines():
        progress(line)
    return 0 if all(each.is_met for each in outcome.criteria()) else 1


if __name__ == "__main__":
    sys.exit(main())
