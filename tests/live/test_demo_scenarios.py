"""Each scenario of the demo visibly moves what `docs/scenarios.md` says, over real HTTP, and the counters stay exact with circuit breakers on.

One gateway plays all scenarios one after another, from the gentlest to the worst, because its
windows reach back five minutes.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
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
from tests.harness.polling import DEADLINE_SECONDS
from tests.reconcile.compare import reconcile
from tests.reconcile.report import table

pytestmark = pytest.mark.live

CADENCE = 0.1
SPEED = 6.0
ENOUGH_CALLS = 20


class Moment(NamedTuple):
    """What the gateway says at one moment of a scenario; `samples` of `/metrics`, then `providers` of the summary, as `lines`, too."""

    phase: int
    samples: dict[Series, float]
    providers: Mapping[str, Mapping[str, Any]]
    lines: list[str]

    @property
    def target(self) -> Mapping[str, Any]:
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

    async def play(self, name: str) -> AsyncGenerator[Moment]:
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
                    samples = await scrape(self._session, self.ready.gateway_url)
                    providers = await watch.providers()
                    yield Moment(scenario.phases.index(phase), samples, providers, watch.lines(phase, providers))
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            await asyncio.wait_for(sending, DEADLINE_SECONDS)
            await ScenarioPlayer.step(watch, 0.0)


async def _until(moments: AsyncIterator[Moment], signs: Callable[[Moment], Mapping[str, object]]) -> Moment:
    """Return the first moment that shows all signs at once. Raises `AssertionError` that names what the last one lacked."""
    lacking: list[str] = ["a moment"]
    try:
        async for moment in moments:
            lacking = [name for name, is_shown in signs(moment).items() if not is_shown]
            if not lacking:
                return moment
    except TimeoutError:
        pass
    raise AssertionError(f"the last moment lacked: {', '.join(lacking)}")


async def _first(moments: AsyncIterator[Moment], phase: int) -> Moment:
    """Return the first moment of a phase."""
    return await _until(moments, lambda moment: {f"phase {phase}": moment.phase == phase})


async def _calm_then_trouble(moments: AsyncIterator[Moment]) -> tuple[Change, Moment]:
    """Return what moved while all was calm, and the last calm moment: nothing of the trouble is before it."""
    calm: list[Moment] = []
    async for moment in moments:
        if moment.phase == 0:
            calm.append(moment)
        elif len(calm) >= 2:
            break
        else:
            calm.clear()
    return Change(calm[0], calm[-1]), calm[-1]


def _is_worse(moment: Moment, start: Moment) -> bool:
    """Return whether the target's rate of errors and its health have followed; its window still holds what came before."""
    rate = moment.target["error_rate_5m"] > start.target["error_rate_5m"]
    return bool(rate and moment.target["health_score"] < start.target["health_score"])


async def _latency_spike(run: ScenarioRun) -> None:
    async with aclosing(run.play("latency-spike")) as moments:
        calm, start = await _calm_then_trouble(moments)

        def signs(moment: Moment) -> Mapping[str, object]:
            mean_seconds = Change(start, moment).mean_seconds
            return {
                "a mean twice as long": mean_seconds > max(2.0 * CADENCE, 2.0 * calm.mean_seconds),
                "a lower health score": moment.target["health_score"] < start.target["health_score"],
            }

        moment = await _until(moments, signs)
    assert Change(start, moment).calls(status="error") == 0
    assert moment.target["circuit_breaker"] == "closed"


async def _cost_spike(run: ScenarioRun) -> None:
    async with aclosing(run.play("cost-spike")) as moments:
        calm, start = await _calm_then_trouble(moments)

        def signs(moment: Moment) -> Mapping[str, object]:
            trouble = Change(start, moment)
            return {
                "enough calls": trouble.calls() >= ENOUGH_CALLS,
                "twice the cost of a call": trouble.cost_per_call > 2.0 * calm.cost_per_call,
                "tokens": trouble.of("tokens_used_total", token_type="output") > 0,
                "cost of the target": moment.target["cost_usd"] > start.target["cost_usd"],
            }

        moment = await _until(moments, signs)
    assert Change(start, moment).calls(status="error") == 0


async def _brownout(run: ScenarioRun) -> None:
    async with aclosing(run.play("brownout")) as moments:
        calm, start = await _calm_then_trouble(moments)

        def signs(moment: Moment) -> Mapping[str, object]:
            trouble = Change(start, moment)
            return {
                "enough calls": trouble.calls(provider=TARGET) >= ENOUGH_CALLS,
                "more failures": trouble.failed_share > max(0.05, 2 * calm.failed_share),
                "a longer mean": trouble.mean_seconds > 1.5 * CADENCE,
                "a higher rate of errors and a lower health score": _is_worse(moment, start),
            }

        trouble = Change(start, await _until(moments, signs))
    assert trouble.failed_share < 0.6
    assert trouble.of("gatewayz_circuit_breaker_transitions_total", state="open") == 0


async def _error_surge(run: ScenarioRun) -> None:
    async with aclosing(run.play("error-surge")) as moments:
        calm, start = await _calm_then_trouble(moments)

        def signs(moment: Moment) -> Mapping[str, object]:
            trouble = Change(start, moment)
            failing = {name for name in moment.providers if trouble.calls(provider=name, status="error")}
            return {
                "more errors": trouble.calls(status="error") > 4 * calm.calls(status="error"),
                "four failing providers": len(failing) >= 4,
                "a higher rate of errors": moment.target["error_rate_5m"] > start.target["error_rate_5m"],
                "responses 502": trouble.of("fastapi_requests_total", status_code="502"),
                "their exceptions": trouble.of("fastapi_exceptions_total", exception_type="UpstreamFailedError"),
            }

        await _until(moments, signs)


async def _outage(run: ScenarioRun) -> None:
    opened = "gatewayz_circuit_breaker_transitions_total"
    async with aclosing(run.play("outage")) as moments:
        _, start = await _calm_then_trouble(moments)

        def signs(moment: Moment) -> Mapping[str, object]:
            trouble = Change(start, moment)
            return {
                "an open breaker": moment.target["circuit_breaker"] == "open",
                "its transition": trouble.of(opened, provider=TARGET, state="open") >= 1,
                "responses 503": trouble.of("fastapi_requests_total", status_code="503"),
                "their exceptions": trouble.of("fastapi_exceptions_total", exception_type="ProvidersUnavailableError"),
                "a higher rate of errors": moment.target["error_rate_5m"] > start.target["error_rate_5m"],
                "the phase as a line": any("is out" in line for line in moment.lines),
                "the breaker as a line": any(TARGET in line and " open" in line for line in moment.lines),
            }

        await _until(moments, signs)
        await _until(
            moments,
            lambda moment: {
                "a lower availability": moment.target["availability"] < start.target["availability"],
                "a lower health score": moment.target["health_score"] < start.target["health_score"],
            },
        )
        await _until(moments, lambda moment: {"a closed breaker": moment.target["circuit_breaker"] == "closed"})


async def _recovery(run: ScenarioRun) -> None:
    async with aclosing(run.play("recovery")) as moments:
        start = await _first(moments, 0)
        await _until(moments, lambda moment: {"an open breaker": moment.target["circuit_breaker"] == "open"})
        out = await _first(moments, 1)

        def signs(moment: Moment) -> Mapping[str, object]:
            whole = Change(start, moment)
            transitions = {
                f"a transition to {state}": whole.of(
                    "gatewayz_circuit_breaker_transitions_total", provider=TARGET, state=state
                )
                for state in ("open", "half_open", "closed")
            }
            return {
                **transitions,
                "a closed breaker": moment.target["circuit_breaker"] == "closed",
                "a higher health score": moment.target["health_score"] > out.target["health_score"],
                "a lower rate of errors": moment.target["error_rate_5m"] < out.target["error_rate_5m"],
            }

        await _until(moments, signs)


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
