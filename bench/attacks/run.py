"""Runs one attack beside a pinger and a client of another key, and makes its row.

All of them are processes of their own, on other cores than the gateway where there are several.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path

import aiohttp
import msgspec

from bench.attacks.attack import Attack
from bench.attacks.attacker import GO, READY, Done, wait_for
from bench.attacks.environment import STEADY_MODEL, Site
from bench.attacks.memory_watch import MemoryWatch
from bench.attacks.pinger import Pings
from bench.attacks.report import MIB, Row, longest_bucket, read_buckets
from bench.closed_load import LoadResult
from bench.core_wait import CoreWait
from bench.environment import DIRECT_MODEL
from bench.gateway import BODIES
from bench.load import PYTHON_LOAD
from demo.process import Child, run_to_end
from otel.catalogue.gateway import EVENT_LOOP_LAG

WARM_SECONDS = 0.5
ALONE_SECONDS = 2.0
LEAD_SECONDS = 0.7
"""Pinger and client begin so much earlier than the attack, and end as much later."""

SETTLE_SECONDS = 1.1
"""Longer than a scrape is shared."""

MOST_LEFT_BYTES = 32 * MIB
"""With more left of an attack, the next one gets a fresh gateway."""

_BODY = BODIES["whole"].replace(DIRECT_MODEL.encode(), STEADY_MODEL.encode())


class AttackRun:
    """Attacks one gateway after the other."""

    def __init__(self, site: Site, seconds: float) -> None:
        self._site = site
        self._seconds = seconds
        self._gateway: Child | None = None
        self._idle_bytes = 0
        self._alone: list[float] = []
        self._own_alone: list[float] = []

    async def attack(self, attack: Attack) -> Row:
        """Run one attack; raises `ChildFailedError`."""
        gateway = self._gateway or await self._fresh_gateway()
        memory, waited = MemoryWatch(gateway.pid), CoreWait(gateway.pid)
        memory.begin()
        watching = asyncio.create_task(memory.run())
        try:
            with tempfile.TemporaryDirectory(dir=self._site.folder) as name:
                acting = asyncio.create_task(self._act(gateway, attack, Path(name)))
                await wait_for(Path(name) / READY, lambda: acting.done() and acting.result())
                before, waited_before = await _lag_buckets(gateway.url), waited()
                whole_seconds = self._seconds + 2 * LEAD_SECONDS
                measuring = asyncio.gather(self._ping(gateway, whole_seconds), self._other(gateway, whole_seconds))
                await asyncio.sleep(LEAD_SECONDS)
                (Path(name) / GO).touch()
                pings, other = await measuring
                done = await acting
            share = (waited() - waited_before) / whole_seconds
        finally:
            watching.cancel()
        await asyncio.sleep(SETTLE_SECONDS)
        left_bytes = memory.read().resident - self._idle_bytes
        ended = gateway.exit_code is not None
        row = Row(
            name=attack.name,
            who=attack.who,
            over_idle_bytes=memory.peak_bytes - self._idle_bytes,
            left_bytes=left_bytes,
            health_longest=pings.longest_milliseconds,
            own_health_longest=pings.own_longest_milliseconds,
            health_p99=pings.p99_milliseconds,
            health_failed=pings.failed,
            pinger_late=pings.late_milliseconds,
            loop_milliseconds=_milliseconds(longest_bucket(before, await _lag_buckets(gateway.url))),
            core_wait_share=share,
            other_p99=other.p99_milliseconds,
            alone_p99=statistics.median(self._alone),
            own_other_p99=other.own_p99_milliseconds,
            own_alone_p99=statistics.median(self._own_alone),
            other_failed=other.failed,
            other_served=other.responded,
            ended=ended,
            did=done.describe(),
        )
        if ended or left_bytes > MOST_LEFT_BYTES:
            await self.stop()
        return row

    async def stop(self) -> None:
        """End the gateway."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            await gateway.stop()

    async def _fresh_gateway(self) -> Child:
        """Start a gateway, and measure what it holds and how fast it is while nobody attacks."""
        gateway = self._gateway = await self._site.start_server()
        await self._other(gateway, WARM_SECONDS)
        alone = await self._other(gateway, ALONE_SECONDS)
        self._alone.append(alone.p99_milliseconds)
        self._own_alone.append(alone.own_p99_milliseconds)
        self._idle_bytes = MemoryWatch(gateway.pid).read().resident
        return gateway

    async def _ping(self, gateway: Child, seconds: float) -> Pings:
        server = ("--url", gateway.url, "--server-pid", str(gateway.pid))
        output = await run_to_end(("bench.attacks.pinger", *server, "--seconds", str(seconds)))
        return msgspec.json.decode(output, type=Pings)

    async def _other(self, gateway: Child, seconds: float) -> LoadResult:
        headers = (f"authorization: Bearer {self._site.keys.steady}", "content-type: application/json")
        named = tuple(part for header in headers for part in ("--header", header))
        amounts = ("--body", _BODY.decode(), "--connections", "1", "--seconds", str(seconds), "--first")
        output = await run_to_end(
            (PYTHON_LOAD, "--url", gateway.url, "--server-pid", str(gateway.pid), *named, *amounts)
        )
        return msgspec.json.decode(output, type=LoadResult)

    async def _act(self, gateway: Child, attack: Attack, folder: Path) -> Done:
        keys = self._site.keys
        secrets = ("--key", keys.attacker, "--limited-key", keys.limited) if attack.who == "one key" else ()
        arguments = (
            attack.name,
            "--url",
            gateway.url,
            "--seconds",
            str(self._seconds),
            "--folder",
            str(folder),
            *secrets,
        )
        return msgspec.json.decode(await run_to_end(("bench.attacks.attacker", *arguments)), type=Done)


async def _lag_buckets(url: str) -> dict[float, float]:
    """Scrape the gateway's own lag of the event loop; empty where it does not respond."""
    timeout = aiohttp.ClientTimeout(total=3.0)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{url}/metrics") as response:
            return read_buckets(await response.text(), EVENT_LOOP_LAG)
    except (aiohttp.ClientError, TimeoutError):
        return {}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3
