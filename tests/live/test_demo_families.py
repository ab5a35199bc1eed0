"""The demo moves every documented family; each category endpoint shows its own and nothing else; the summary knows all that can be known.

The demo's own traffic, with what the gateway does by the clock shortened.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.environment import EnvironmentOptions, start_environment
from demo.gateway_config import CLOSED_PROVIDER, EMBEDDING_MODEL
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Category
from tests.harness.exposition import ACCEPT, read_exposition
from tests.harness.polling import DEADLINE_SECONDS

pytestmark = pytest.mark.live

TRULY_UNKNOWN = {
    # Embeddings have no first token, and a provider at an address where nothing listens never responded.
    f"models.{EMBEDDING_MODEL}.time_to_first_token_p95_seconds",
    f"providers.{CLOSED_PROVIDER}.response_p95_seconds",
}
DOCUMENTED = {spec.name for spec in CATALOGUE if spec.documented}
PUSH_ONLY = {
    "gatewayz_telemetry_dropped_total",
    "gatewayz_telemetry_exported_total",
    "gatewayz_telemetry_overflow_total",
    "gatewayz_telemetry_queued_bytes",
    "gatewayz_telemetry_queued_items",
    "gatewayz_telemetry_retries_total",
}
"""Families about the push, which the demo has none of, and about series that it has not too many of."""
FULL_POOL_ONLY = {"gatewayz_pool_wait_seconds"}
"""No pool of the demo is ever full."""
EXPOSED = {spec.name for spec in CATALOGUE} - PUSH_ONLY - FULL_POOL_ONLY


async def _families(session: aiohttp.ClientSession, path: str) -> set[str]:
    """Return the families that have a sample."""
    async with session.get(path, headers={"accept": ACCEPT}) as response:
        assert response.status == 200
        names = {name for name, _ in read_exposition(await response.text())}
    return {spec.name for spec in CATALOGUE if {spec.name, f"{spec.name}_count"} & names}


def _unknown(summary: dict[str, Any], path: str = "") -> Iterator[str]:
    """Return where a summary says null."""
    for key, value in summary.items():
        if isinstance(value, dict):
            yield from _unknown(value, f"{path}{key}.")
        elif value is None:
            yield path + key


async def _summary(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/prometheus/metrics/summary") as response:
        assert response.status == 200
        summary: dict[str, Any] = await response.json()
        return summary


async def test_every_documented_family_has_samples_where_it_belongs(tmp_path: Path) -> None:
    assert len(DOCUMENTED) == 25
    assert DOCUMENTED <= EXPOSED
    options = EnvironmentOptions(folder=tmp_path, with_real_model=False, share_seconds=0.0, cadence=0.2)
    async with start_environment(options, print) as ready, aiohttp.ClientSession(ready.gateway_url) as session:
        stop = asyncio.Event()
        traffic = Traffic(
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            keys=ready.keys,
            counters=TrafficCounters(ready.models),
            monotonic=time.monotonic,
            max_in_flight=64,
        )
        plan = schedule(read_trace(), ScheduleOptions(seed=4, run="families", speed=10.0, pace=Pace(scale=0.1)))
        sending = asyncio.create_task(traffic.run(plan, stop))
        missing, unknown = EXPOSED, {"everything"}
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while missing or not unknown <= TRULY_UNKNOWN:
                    await asyncio.sleep(0.1)
                    missing = EXPOSED - await _families(session, "/metrics")
                    unknown = set(_unknown(await _summary(session)))
        except TimeoutError:
            pytest.fail(f"no samples: {sorted(missing)}; null: {sorted(unknown - TRULY_UNKNOWN)}")
        finally:
            stop.set()
            await sending
        everything = await _families(session, "/metrics")
        assert {spec.name for spec in CATALOGUE} - everything <= PUSH_ONLY | FULL_POOL_ONLY
        for category in Category:
            own = {spec.name for spec in CATALOGUE if category in spec.categories}
            assert await _families(session, f"/prometheus/metrics/{category.value}") == own & everything, category
            assert own & DOCUMENTED, category
    assert traffic.counters.mismatches == []
