"""Plays the demo's traffic so that every query of the reference has a result whose value is known.

    every kind of request, twice -> calls to a provider that is down, until its circuit breaker opens -> the gateway ends

The first half makes every series exist. The second half, from a quiet moment on, is what is measured.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from compose.native.stack import Stack
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.gateway_config import CLOSED_PROVIDER, FREE_PLAN, LIMITED_PLANS, VISITOR_PLAN
from demo.process import run_to_end
from demo.traffic.arrivals import read_trace, replay
from demo.traffic.outcomes import Pace, failure, success
from demo.traffic.plan import Planned
from demo.traffic.request_template import RequestTemplate, chat, providers_of
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.harness.exposition import Series, scrape
from tests.harness.polling import until
from tests.reconcile.compare import reconcile
from tests.reconcile.report import table
from tests.reference.played import Played, RecordingCounters
from tests.stack.stores import Stores

REQUESTS: Final = 500
"""In each half; twenty or so of each kind."""

FAILURES_IN_A_ROW: Final = 80
"""More than any provider has by chance: one breaker opens, and only when it is to."""

_SPEED: Final = 60.0
_MODEL_OF_CLOSED: Final = "delta-1b"
_SECONDS: Final = 60.0
_JOB_SECONDS: Final = 2.0
"""More than a job's interval and its run: one that ends so late began after the last request."""

_PATIENT_BREAKERS: Final = {
    "GATEWAYZ_BREAKER__ENABLED": "true",
    "GATEWAYZ_BREAKER__CONSECUTIVE_FAILURES": str(FAILURES_IN_A_ROW),
    "GATEWAYZ_BREAKER__MINIMUM_ATTEMPTS": "1000000",
    "GATEWAYZ_BREAKER__OPEN_SECONDS": "3600",
    "GATEWAYZ_BREAKER__MAX_OPEN_SECONDS": "3600",
    "GATEWAYZ_BREAKER__MAX_PAUSE_SECONDS": "0",
    "GATEWAYZ_JOBS__BUSINESS_SECONDS": "1",
    "GATEWAYZ_JOBS__MODEL_USAGE_SECONDS": "1",
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
}


async def play(stack: Stack, stores: Stores, folder: Path, seed: int, say: Callable[[str], None]) -> Played:
    """Play the traffic against a gateway that pushes to the stack; raises AssertionError where the gateway counts otherwise."""
    options = EnvironmentOptions(
        folder=folder,
        script="steady",
        with_real_model=False,
        share_seconds=0.0,
        environ={**_PATIENT_BREAKERS, "OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol")},
    )
    async with start_environment(options, say) as ready, aiohttp.ClientSession() as session:
        await _create_trial(folder)
        counters = RecordingCounters(ready.models)
        await _send(ready, counters, islice(_plan(seed, "first"), REQUESTS))
        say(f"{counters.requests} requests of every kind; now each series exists")
        quiet_ms, before, shown_before, measured_from = await _pause(ready, counters, stores, session)
        await _send(ready, counters, islice(_plan(seed, "second"), REQUESTS))
        failed = counters.attempts[CLOSED_PROVIDER]
        await _send(ready, counters, _to_closed(seed, FAILURES_IN_A_ROW - failed), most_at_once=1)
        await _reconciled(ready, counters)
        await _jobs_have_run(session, ready)
        shown_after = await scrape(session, ready.gateway_url)
        say(f"{counters.requests} requests; the gateway shows what the traffic program counted")
        log_path = ready.log_path
        ended_ms = round(time.time() * 1_000)
        await _stored_since(stores, ended_ms)
    # The gateway has sent its last metrics, and the Collector passes on what it has before it ends: from now on nothing moves.
    await stack.stop("otelcol")
    return Played(
        quiet_ms=quiet_ms,
        ended_ms=ended_ms,
        before=before,
        after=Counter(counters.counts),
        shown_before=shown_before,
        shown_after=shown_after,
        seen=tuple(counters.seen),
        measured_from=measured_from,
        keys_by_plan=dict.fromkeys((FREE_PLAN, VISITOR_PLAN, *(plan.name for plan in LIMITED_PLANS)), 1),
        trials=1,
        open_breakers=frozenset({CLOSED_PROVIDER}),
        unreachable=frozenset({CLOSED_PROVIDER}),
        log_lines=tuple(
            msgspec.json.decode(line) for line in log_path.read_bytes().splitlines() if line.startswith(b"{")
        ),
    )


async def _create_trial(folder: Path) -> None:
    arguments = ("keys", "create", "--name", "trial", "--plan", FREE_PLAN, "--trial-days", "7")
    await run_to_end(("app", "--config", str(folder / "gateway.toml"), *arguments))


async def _pause(
    ready: Environment, counters: RecordingCounters, stores: Stores, session: aiohttp.ClientSession
) -> tuple[int, Counter[Series], dict[Series, float], int]:
    """Wait until Prometheus has it all, and two samples of each series after that; return the moment and the counts."""
    await _reconciled(ready, counters)

    async def has_all() -> bool:
        return await stores.total("fastapi_requests_total") == counters.requests

    await until(has_all, "Prometheus has every request", timeout_seconds=_SECONDS)
    quiet_ms = round(time.time() * 1_000)
    shown = await scrape(session, ready.gateway_url)

    await _stored_since(stores, quiet_ms + 2_000)
    return quiet_ms, Counter(counters.counts), shown, len(counters.seen)


async def _stored_since(stores: Stores, since_ms: int) -> None:
    """Wait until Prometheus has a newer sample of each series than this."""

    async def has_newer() -> bool:
        return await stores.number("1000 * min(timestamp(fastapi_app_info))") > since_ms

    await until(has_newer, "Prometheus has newer samples", timeout_seconds=_SECONDS)


def _plan(seed: int, run: str) -> Iterator[Planned]:
    """Return the same kinds in the same order for each run; prompts and tags differ."""
    options = ScheduleOptions(seed=seed, run=f"{run}{seed}", speed=_SPEED, mix=EVEN_MIX, pace=Pace(scale=0.02))
    return schedule(read_trace(), options)


def _to_closed(seed: int, number: int) -> Iterator[Planned]:
    """Return calls whose first provider does not listen, and whose second responds."""
    rng = random.Random(seed)
    closed, second = providers_of(_MODEL_OF_CLOSED)
    for count, arrival in enumerate(islice(replay(read_trace(), _SPEED), number)):
        template = RequestTemplate(number=count, arrival=arrival, rng=rng, pace=Pace(), run=f"closed{seed}")
        response = success(second, arrival.input_tokens, arrival.output_tokens, stream=False, delays=(0.0, 0.0))
        yield chat(template, "failover", _MODEL_OF_CLOSED, [failure(closed, rng), response], stream=False)


async def _send(
    ready: Environment, counters: RecordingCounters, plan: Iterator[Planned], most_at_once: int = 16
) -> None:
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=most_at_once,
    )
    async with asyncio.timeout(180.0):
        await traffic.run(plan, asyncio.Event())
    assert counters.mismatches == []


async def _reconciled(ready: Environment, counters: RecordingCounters) -> None:
    findings = await reconcile(
        counters,
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        database_path=ready.database_path,
        settle_seconds=20.0,
    )
    assert findings.is_good, "\n".join(table(findings))


async def _jobs_have_run(session: aiohttp.ClientSession, ready: Environment) -> None:
    """Wait until the figures that come from the database have been computed after the last request."""
    ended_seconds = time.time()

    async def have_run() -> bool:
        samples = await scrape(session, ready.gateway_url)
        runs = {
            labels[0][1]: stamp
            for (name, labels), stamp in samples.items()
            if name == "gatewayz_job_last_success_timestamp_seconds"
        }
        return min(runs["model_usage"], runs["business"]) > ended_seconds + _JOB_SECONDS

    wait: Callable[[], Awaitable[bool]] = have_run
    await until(wait, "the jobs have run", timeout_seconds=_SECONDS)
