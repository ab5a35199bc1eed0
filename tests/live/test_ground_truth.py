"""Ground truth: 2 500 requests of every outcome through real processes and sockets, and every number of the gateway equals an
independent count: the traffic program's counters, the ledger's file, and what the upstream says that it received.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import Series, TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Planned
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from otel.catalogue import CATALOGUE
from tests.harness.exposition import ACCEPT, read_exposition
from tests.reconcile.compare import COMPARED, FAILURES, ZERO, read_ledger, reconcile
from tests.reconcile.findings import Findings
from tests.reconcile.report import table

pytestmark = pytest.mark.live

REQUESTS = 2_500
SECONDS = 90.0
OUTCOMES = {
    "answer", "stream", "failover", "embeddings", "cache miss", "cache hit", "small plan", "left before", "left during",
    "broken stream", "silent stream", "502", "504", "429 upstream", "provider 4xx", "no usage", "other usage", "bad key",
    "unknown model", "bad body", "too large", "unknown path", "wrong method", "models",
}  # fmt: skip


def _plan(seed: int) -> Iterator[Planned]:
    options = ScheduleOptions(seed=seed, run=f"truth{seed}", speed=30.0, mix=EVEN_MIX, pace=Pace(scale=0.1))
    return schedule(read_trace(), options)


async def _send(ready: Environment, counters: TrafficCounters, plan: Iterator[Planned]) -> None:
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=64,
    )
    async with asyncio.timeout(SECONDS):
        await traffic.run(plan, asyncio.Event())


async def _reconcile(ready: Environment, counters: TrafficCounters, *, settle_seconds: float = 10.0) -> Findings:
    return await reconcile(
        counters,
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        database_path=ready.database_path,
        settle_seconds=settle_seconds,
    )


async def _exposition(ready: Environment) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{ready.gateway_url}/metrics", headers={"accept": ACCEPT}) as response,
    ):
        return await response.text()


async def test_every_number_equals_an_independent_count(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
    sys.stdout.write(f"SEED={seed} runs the same again\n")
    options = EnvironmentOptions(folder=tmp_path, script="steady", with_real_model=False, share_seconds=0.0)
    async with start_environment(options, print) as ready:
        counters = TrafficCounters(ready.models)
        await _send(ready, counters, islice(_plan(seed), REQUESTS))

        assert counters.requests == REQUESTS
        assert counters.mismatches == []
        _assert_every_outcome_came(counters)

        findings = await _reconcile(ready, counters)
        assert findings.is_good, "\n".join(table(findings))
        assert len(findings.lines) > 200

        text = await _exposition(ready)
        samples = read_exposition(text)
        assert _by_the_official_parser(text, samples) == samples
        _assert_histograms_are_whole(samples)
        _assert_nothing_moved_that_the_counters_do_not_know(samples)

        # The comparison itself must be able to fail: some requests that no counter has.
        others = TrafficCounters(ready.models)
        await _send(ready, others, (each for each in islice(_plan(seed + 1), 200) if each.kind == "answer"))
        assert others.requests
        assert not (await _reconcile(ready, counters, settle_seconds=0.0)).is_good

    # After the end: the last rows are written, everything ended by itself, nothing secret was logged.
    assert read_ledger(ready.database_path) == dict(counters.ledger + others.ledger)
    assert {child.name: child.exit_code for child in ready.children} == {"scripted upstream": 0, "gateway": 0}
    log = (tmp_path / "gateway.log").read_text()
    assert "Traceback" not in log
    assert not any(secret in log for secret in ready.keys.values() if secret)


def _assert_every_outcome_came(counters: TrafficCounters) -> None:
    assert counters.kinds.keys() == OUTCOMES
    assert min(counters.kinds.values()) >= 20, counters.kinds
    counted: Counter[tuple[str, str]] = Counter()
    for (name, labels), count in counters.counts.items():
        for _, value in labels:
            counted[name, value] += count
    for status in ("200", "400", "401", "404", "405", "413", "422", "429", "499", "502", "504"):
        assert counted["fastapi_requests_total", status], status
    for limit in ("key_requests", "key_tokens", "plan_requests", "plan_tokens", "upstream"):
        assert counted["rate_limited_requests", limit], limit
    for phase in ("before_first_byte", "after_first_byte"):
        assert counted["gatewayz_cancelled_calls_total", phase], phase
    for exception_type in ("UpstreamFailedError", "UpstreamTimeoutError"):
        assert counted["fastapi_exceptions_total", exception_type], exception_type
    for kind in ("success", "error", "cancelled"):
        assert counters.ledger[f"rows {kind}"], kind


def _by_the_official_parser(text: str, samples: Mapping[Series, float]) -> Mapping[Series, float]:
    """Read the exposition with prometheus_client, which appends `_total` to counters that are exposed without."""
    bare = {name for name, _ in samples}

    def exposed(name: str) -> str:
        return name if name in bare else name.removesuffix("_total")

    return {
        (exposed(sample.name), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _assert_histograms_are_whole(samples: Mapping[Series, float]) -> None:
    """Every count is that of its last bucket, and buckets never fall."""
    buckets: dict[Series, list[tuple[float, float]]] = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket"):
            rest = tuple(label for label in labels if label[0] != "le")
            buckets.setdefault((name.removesuffix("_bucket"), rest), []).append((float(dict(labels)["le"]), value))
    assert len({name for name, _ in buckets}) >= 7
    for (name, labels), found in buckets.items():
        counts = [count for _, count in sorted(found)]
        assert counts == sorted(counts), name
        assert counts[-1] == samples[f"{name}_count", labels], name
        assert max(found)[0] == float("inf"), name


def _assert_nothing_moved_that_the_counters_do_not_know(samples: Mapping[Series, float]) -> None:
    """Each catalogued counter that has moved is either compared, or known to count what only the process itself knows."""
    own_affairs = {
        "process_cpu_seconds_total",
        "gatewayz_telemetry_exported_total",
        "gatewayz_provider_probes_total",
    }
    counters = {spec.name for spec in CATALOGUE if spec.kind.prometheus_type == "counter"}
    moved = {name for (name, _), value in samples.items() if value and name in counters}
    assert moved <= {*COMPARED, *ZERO, FAILURES} | own_affairs
