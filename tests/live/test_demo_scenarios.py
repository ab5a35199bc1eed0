"""Each scenario of the demo visibly moves what `docs/scenarios.md` says, over real HTTP, and the counters stay exact with circuit breakers on.

One gateway plays all scenarios one after another, from the gentlest to the worst, because its
windows reach back five minutes.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.scenario_player import ScenarioPlayer
from demo.scenarios import SCENARIOS, TARGET
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import Series, TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.scenario_kinds import scenario_mix
from demo.traffic.schedule import ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.harness.exposition import scrape
from tests.reconcile.compare import reconcile
from tests.reconcile.report import table

pytestmark = pytest.mark.live

CADENCE = 0.1
SPEED = 6.0
DEADLINE_SECONDS = 30.0
ENOUGH_CALLS = 20


class Moment(NamedTuple):
    """What the gateway says at one moment of a scenario; `samples` of `/metrics`, `provider` of the summary."""

    phase: int
    samples: dict[Series, float]
    providers: dict[str, Any]
    lines: list[str]

    @property
    def target(self) -> dict[str, Any]:
        return self.providers[TARGET]

    def total(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (found, pairs), value in self.samples.items() if found == name and wanted <= set(pairs))


class Change:
    """What moved between two moments."""

    def __init__(self, before: Moment, after: Moment) -> None:
        self._before, self._after = before, after

    def of(self, name: str, **labels: str) -> float:
        return self._after.total(name, **labels) - self._before.total(name, **labels)

    def calls(self, **labels: str) -> float:
        return self.of("model_inference_requests_total", **labels)

    @property
    def mean_seconds(self) -> float:
        """The mean response time of the target."""
        count = self.of("provider_response_time_seconds_count", provider=TARGET)
        return self.of("provider_response_time_seconds_sum", provider=TARGET) / count if count else 0.0

    @property
    def failed_share(self) -> float:
        """The failed share of the target's attempts."""
        calls = self.calls(provider=TARGET)
        return self.calls(provider=TARGET, status="error") / calls if calls else 0.0

    @property
    def cost_per_call(self) -> float:
        calls = self.calls(status="success")
        return self.of("gatewayz_cost_by_provider") / calls if calls else 0.0


class ScenarioRun:
    """The running gateway and everything that was sent to it."""

    def __init__(self, ready: Environment, session: aiohttp.ClientSession) -> None:
        self.ready = ready
        self.counters = TrafficCounters(ready.models)
        self._session = session

    async def play(self, name: str) -> AsyncIterator[Moment]:
        """Play a scenario; give moments as long as somebody asks for more. At the end all responses are in."""
        scenario = SCENARIOS[name]
        stop = asyncio.Event()
        traffic = Traffic(
            gateway_url=self.ready.gateway_url,
            upstream_url=self.ready.upstream_url,
            keys=self.ready.keys,
            counters=self.counters,
            monotonic=time.monotonic,
            max_in_flight=128,
        )
        watch = ScenarioPlayer(
            scenario,
            cadence=CADENCE,
            session=self._session,
            gateway_url=self.ready.gateway_url,
            upstream_url=self.ready.upstream_url,
        )
        mix = scenario_mix(scenario, CADENCE)
        options = ScheduleOptions(seed=7, run=name, speed=SPEED, mix=mix, pace=Pace(scale=CADENCE))
        started_seconds = time.monotonic()
        sending = asyncio.create_task(traffic.run(schedule(read_trace(), options), stop))
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while True:
                    phase = await watch.step(time.monotonic() - started_seconds)
                    yield Moment(
                        scenario.phases.index(phase),
                        await scrape(self._session, self.ready.gateway_url),
                        await self._summary(),
                        await watch.lines(phase),
                    )
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await asyncio.wait_for(sending, DEADLINE_SECONDS)
            await ScenarioPlayer.step(watch, 0.0)

    async def _summary(self) -> dict[str, Any]:
        url = f"{self.ready.gateway_url}/prometheus/metrics/summary?category=providers"
        async with self._session.get(url) as response:
            return (await response.json())["providers"]


async def _first(moments: AsyncIterator[Moment], phase: int) -> Moment:
    """Return the first moment of a phase."""
    async for moment in moments:
        if moment.phase == phase:
            return moment
    raise AssertionError("it has no end")


async def _calm_then_trouble(moments: AsyncIterator[Moment]) -> tuple[Change, Moment]:
    """Return what moved while all was calm, and the first moment of trouble."""
    calm = await _first(moments, 0)
    trouble = await _first(moments, 1)
    return Change(calm, trouble), trouble


def _is_worse(moment: Moment, start: Moment) -> bool:
    """Return whether the target's rate of errors and its health have followed; its window still holds what came before."""
    rate = moment.target["error_rate_5m"] > start.target["error_rate_5m"]
    return bool(rate and moment.target["health_score"] < start.target["health_score"])


async def _latency_spike(run: ScenarioRun) -> None:
    async with aclosing(run.play("latency-spike")) as moments:
        calm, start = await _calm_then_trouble(moments)
        async for moment in moments:
            trouble = Change(start, moment)
            slower = trouble.mean_seconds > max(2.0 * CADENCE, 2.0 * calm.mean_seconds)
            if slower and moment.target["health_score"] < start.target["health_score"]:
                break
    assert trouble.calls(status="error") == 0
    assert moment.target["circuit_breaker"] == "closed"


async def _cost_spike(run: ScenarioRun) -> None:
    async with aclosing(run.play("cost-spike")) as moments:
        calm, start = await _calm_then_trouble(moments)
        async for moment in moments:
            trouble = Change(start, moment)
            if trouble.calls() >= ENOUGH_CALLS and trouble.cost_per_call > 2.0 * calm.cost_per_call:
                break
    assert trouble.of("tokens_used_total", token_type="output") > 0
    assert trouble.calls(status="error") == 0
    assert moment.target["cost_usd"] > start.target["cost_usd"]


async def _brownout(run: ScenarioRun) -> None:
    async with aclosing(run.play("brownout")) as moments:
        calm, start = await _calm_then_trouble(moments)
        async for moment in moments:
            trouble = Change(start, moment)
            enough = trouble.calls(provider=TARGET) >= ENOUGH_CALLS
            enough = enough and trouble.failed_share > max(0.05, 2 * calm.failed_share)
            if enough and trouble.mean_seconds > 1.5 * CADENCE and _is_worse(moment, start):
                break
    assert calm.failed_share < trouble.failed_share / 2
    assert trouble.failed_share < 0.6
    assert _is_worse(moment, start)
    assert trouble.of("gatewayz_circuit_breaker_transitions_total", state="open") == 0


async def _error_surge(run: ScenarioRun) -> None:
    async with aclosing(run.play("error-surge")) as moments:
        calm, start = await _calm_then_trouble(moments)
        async for moment in moments:
            trouble = Change(start, moment)
            failing = {name for name in moment.providers if trouble.calls(provider=name, status="error")}
            # The first failures may be in the last moment that counts as calm.
            surged = trouble.calls(status="error") > 4 * calm.calls(status="error")
            surged = surged and len(failing) >= 4 and moment.target["error_rate_5m"] > start.target["error_rate_5m"]
            if surged and trouble.of("fastapi_requests_total", status_code="502"):
                break
    assert trouble.of("fastapi_exceptions_total", exception_type="UpstreamFailedError") > 0
    assert moment.target["error_rate_5m"] > start.target["error_rate_5m"]


async def _outage(run: ScenarioRun) -> None:
    async with aclosing(run.play("outage")) as moments:
        _, start = await _calm_then_trouble(moments)
        async for moment in moments:
            trouble = Change(start, moment)
            is_out = moment.target["circuit_breaker"] == "open" and trouble.of(
                "fastapi_requests_total", status_code="503"
            )
            if is_out and moment.target["error_rate_5m"] > start.target["error_rate_5m"]:
                break
        assert moment.phase == 1
        assert any("is out" in line for line in moment.lines)
        assert any(TARGET in line and " open" in line for line in moment.lines)
        assert trouble.of("gatewayz_circuit_breaker_transitions_total", provider=TARGET, state="open") >= 1
        assert trouble.of("fastapi_exceptions_total", exception_type="ProvidersUnavailableError") > 0
        assert moment.target["error_rate_5m"] > start.target["error_rate_5m"]
        worst = await _first(moments, 2)
        assert worst.target["availability"] < start.target["availability"]
        assert worst.target["health_score"] < start.target["health_score"]
        async for moment in moments:
            if moment.target["circuit_breaker"] == "closed":
                break


async def _recovery(run: ScenarioRun) -> None:
    async with aclosing(run.play("recovery")) as moments:
        start = await _first(moments, 0)
        async for moment in moments:
            if moment.target["circuit_breaker"] == "open":
                break
        out = await _first(moments, 1)
        async for moment in moments:
            closed = moment.target["circuit_breaker"] == "closed"
            healthier = moment.target["health_score"] > out.target["health_score"]
            if closed and healthier and moment.target["error_rate_5m"] < out.target["error_rate_5m"]:
                break
    whole = Change(start, moment)
    for state in ("open", "half_open", "closed"):
        assert whole.of("gatewayz_circuit_breaker_transitions_total", provider=TARGET, state=state) >= 1, state


async def test_every_scenario_moves_its_metrics_and_the_counters_stay_exact(tmp_path: Path) -> None:
    plays = {
        "latency-spike": _latency_spike,
        "cost-spike": _cost_spike,
        "brownout": _brownout,
        "error-surge": _error_surge,
        "outage": _outage,
        "recovery": _recovery,
    }
    assert plays.keys() == SCENARIOS.keys()
    options = EnvironmentOptions(
        folder=tmp_path,
        script="steady",
        with_real_model=False,
        share_seconds=0.0,
        with_breakers=True,
        cadence=CADENCE,
    )
    async with AsyncExitStack() as stack:
        ready = await stack.enter_async_context(start_environment(options, print))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        run = ScenarioRun(ready, session)
        for name, play in plays.items():
            sys.stdout.write(f"{name} at {time.monotonic():.1f} s\n")
            await play(run)
        findings = await reconcile(
            run.counters,
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            database_path=ready.database_path,
            with_breakers=True,
        )
    assert findings.is_good, "\n".join(table(findings))
    assert len(findings.lines) > 80
    assert findings.notes
