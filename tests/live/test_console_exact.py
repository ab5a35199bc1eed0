"""What a console stores of a gateway's telemetry equals what the gateway reports, also when it was killed in the middle.

Every sample of a counter or histogram on `/metrics` is the last value of its series in the
console's file; each request has one trace and one line, and their costs add up to the metric's and
the ledger's.
"""

import asyncio
import os
import random
import sys
import time
from itertools import islice
from pathlib import Path

import aiohttp
import msgspec
import pytest

from console.store.read_metrics import read_families, read_histograms, read_numbers, read_series
from console.store.readers import Readers
from console.store.rows import Family
from console.store.rows import Series as StoredSeries
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import Series, TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from otel.catalogue import CATALOGUE
from tests.harness.console_process import ConsoleProcess, running_console
from tests.harness.exposition import scrape
from tests.harness.polling import until
from tests.reconcile.compare import read_ledger

pytestmark = pytest.mark.live

REQUESTS = 450
SECONDS = 90.0
COUNTS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM spans WHERE kind = 2)"
NANO = 1_000_000_000
PUSH = {"OTEL_METRIC_EXPORT_INTERVAL": "500"}
MOVED_BY_REQUESTS = (
    "fastapi_",
    "model_",
    "tokens_",
    "credits_",
    "gatewayz_cost",
    "gatewayz_attempt",
    "provider_response",
    "cache_",
    "rate_limited",
)


def exact(samples: dict[Series, float]) -> dict[Series, float]:
    """Return the samples of counters and histograms that requests move; a scrape and a job move others."""
    kinds = {spec.name: spec for spec in CATALOGUE if not spec.kind.is_observable and not spec.convention}
    names = {
        f"{name}{suffix}"
        for name in kinds
        if name.startswith(MOVED_BY_REQUESTS) and not name.endswith("_in_progress")
        for suffix in ("", "_bucket", "_sum", "_count")
    }
    return {series: value for series, value in samples.items() if series[0] in names}


def stored(console: ConsoleProcess) -> dict[Series, float]:
    """Return the last value of each series in the console's file, as samples of the text format."""
    readers = Readers(console.data)
    found: dict[Series, float] = {}
    with readers.connection(SECONDS) as connection:
        for family in read_families(connection):
            for series in read_series(connection, family.id):
                read = read_numbers if family.kind in {"gauge", "sum"} else read_histograms
                *_, last = read(connection, [series.id], 0, 2**63 - 1)
                found.update(_samples(family, series, last))
    readers.close()
    return found


def _samples(family: Family, series: StoredSeries, point: msgspec.Struct) -> dict[Series, float]:
    labels = {key: str(value) for key, value in series.attributes.items()}

    def key(suffix: str, **more: str) -> Series:
        return f"{family.name}{suffix}", tuple(sorted({**labels, **more}.items()))

    if not hasattr(point, "counts"):
        return {} if point.value is None else {key(""): point.value}
    total = 0
    found = {key("_count"): point.count, key("_sum"): point.sum}
    for bound, count in zip((*series.bounds, float("inf")), point.counts, strict=True):
        total += count
        found[key("_bucket", le="+Inf" if bound == float("inf") else repr(bound))] = total
    return found


def normal(samples: dict[Series, float]) -> dict[Series, float]:
    """Return samples with bounds as numbers."""
    return {
        (name, tuple((key, repr(float(value)) if key == "le" else value) for key, value in labels)): pytest.approx(
            value
        )
        for (name, labels), value in samples.items()
    }


async def _send(ready: Environment, counters: TrafficCounters, seed: int) -> None:
    options = ScheduleOptions(seed=seed, run=f"console{seed}", speed=30.0, mix=EVEN_MIX, pace=Pace(scale=0.1))
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=64,
    )
    async with asyncio.timeout(SECONDS):
        await traffic.run(islice(schedule(read_trace(), options), REQUESTS), asyncio.Event())


async def _kill_in_the_middle(console: ConsoleProcess, counters: TrafficCounters) -> None:
    """Kill the console after a third of the requests, and start it again after two thirds."""
    await until(lambda: counters.requests >= REQUESTS / 3, timeout_seconds=SECONDS)
    await asyncio.to_thread(console.kill)
    await until(lambda: counters.requests >= REQUESTS * 2 / 3, timeout_seconds=SECONDS)
    await asyncio.to_thread(console.start)


async def test_the_console_has_the_gateways_numbers_though_it_was_killed(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    sys.stdout.write(f"SEED={seed} runs the same again\n")
    with running_console(tmp_path) as console:
        options = EnvironmentOptions(
            folder=tmp_path,
            script="steady",
            with_real_model=False,
            share_seconds=0.0,
            environ={**PUSH, "OTEL_EXPORTER_OTLP_ENDPOINT": console.otlp_url},
        )
        async with start_environment(options, print) as ready:
            counters = TrafficCounters(ready.models)
            await asyncio.gather(_send(ready, counters, seed), _kill_in_the_middle(console, counters))
            assert counters.requests == REQUESTS
            assert counters.mismatches == []
            async with aiohttp.ClientSession() as session:
                samples = exact(await scrape(session, ready.gateway_url))

            def is_delivered() -> bool:
                return console.rows(COUNTS) == [(REQUESTS, REQUESTS)] and normal(exact(stored(console))) == normal(
                    samples
                )

            # What waited while the console was away comes once it is back; a busy machine takes its time.
            await until(is_delivered, lambda: console.rows(COUNTS), timeout_seconds=SECONDS)
        # The gateway has stopped, and its last push changes nothing.
        assert len(samples) > 500
        assert normal(exact(stored(console))) == normal(samples)
        cost_nanousd = read_ledger(ready.database_path)["cost (nano-USD)"]
        assert console.rows("SELECT count(*), count(DISTINCT trace_id), sum(cost_nanousd) FROM requests") == [
            (REQUESTS, REQUESTS, cost_nanousd)
        ]
        assert console.rows("SELECT count(*), count(DISTINCT trace_id) FROM spans WHERE kind = 2") == [
            (REQUESTS, REQUESTS)
        ]
        attempts = sum(value for (name, _), value in samples.items() if name == "model_inference_requests_total")
        assert console.rows("SELECT count(*) FROM spans WHERE attempt_status IN ('success', 'error')") == [(attempts,)]
        # What the page shows of it.
        async with (
            aiohttp.ClientSession(console.page_url) as session,
            session.get("/api/cost?period=range&range=3600") as response,
        ):
            report = await response.json()
        assert round(report["requests_total_usd"] * NANO) == cost_nanousd
        assert round(report["total_usd"] * NANO) == cost_nanousd
        by_provider = {
            dict(labels)["provider"]: round(value * NANO)
            for (name, labels), value in samples.items()
            if name == "gatewayz_cost_by_provider" and value
        }
        assert {
            row["name"]: round(row["cost_usd"] * NANO) for row in report["by_provider"] if row["cost_usd"]
        } == by_provider
