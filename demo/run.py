"""One run of the demo: start the environment, send traffic, compare the counts.

All processes have ended when `run` returns.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from demo.console import PORT as CONSOLE_PORT
from demo.counted import counted
from demo.environment import Environment, EnvironmentOptions, PortInUseError, check_port, start_environment
from demo.gateway_config import REAL_MODEL
from demo.output.screen import Screen, places, summary
from demo.scenario_player import ScenarioPlayer
from demo.scenarios import cadence_of
from demo.settings import Settings
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Planned
from demo.traffic.scenario_kinds import scenario_mix
from demo.traffic.schedule import ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.reconcile.compare import read_ledger, reconcile
from tests.reconcile.findings import Findings
from tests.reconcile.report import ledger_line, table
from tests.reconcile.unexpected_clients import UnexpectedClients

REAL_EVERY_SECONDS: Final = 1.2
EXPECTED_REAL_RESPONSES: Final = 20
"""In a run of `FULL_RUN_SECONDS` or more, from the real model where it is installed."""

FULL_RUN_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 60.0
_SCENARIO_STEP_SECONDS: Final = 0.25
_WATCH_SECONDS: Final = 2.0


async def run(settings: Settings, screen: Screen, folder: Path, *, stop: asyncio.Event, watched: asyncio.Event) -> int:
    """Run the demo until its time is over or `stop` is set; return the exit code. `watched` is set once `stop` has an effect."""
    options = _environment_options(settings, folder)
    async with start_environment(options, lambda text: screen.say(f"demo: {text}")) as ready:
        screen.say(f"demo: ready; replaying real traffic at {settings.speed:g} times its pace, SEED={settings.seed}")
        screen.say("\n".join(places(ready.gateway_url, ready.visitor_key, ready.has_real_model, ready.console_url)))
        watched.set()
        counters = TrafficCounters(ready.models, allows_slow_database=True)
        elapsed_seconds = await _send(settings, screen, ready, counters, stop)
        findings = await reconcile(
            counters,
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            database_path=ready.database_path,
            with_breakers=options.with_breakers,
            unexpected=UnexpectedClients(ready.log_path, ready.database_path, ready.own_key_ids, ready.models),
        )
        screen.say("\n".join(table(findings, shows_all=settings.shows_all)))
        screen.say("\n".join(summary(counters, elapsed_seconds=elapsed_seconds, in_flight=0)))
        if counters.slow_lookups:
            screen.say(
                f"demo: {counted(counters.slow_lookups, 'request')} got 503 because the database was slow to find their key"
            )
        screen.say(ledger_line(await asyncio.to_thread(read_ledger, ready.database_path), findings))
    return _exit_code(settings, screen, counters, findings, ready)


def _environment_options(settings: Settings, folder: Path) -> EnvironmentOptions:
    """Return what to start: a scenario needs circuit breakers, and providers that do nothing of their own accord."""
    console_port = _console_port(settings)
    if settings.scenario is None:
        return EnvironmentOptions(folder=folder, port=settings.port, seed=settings.seed, console_port=console_port)
    return EnvironmentOptions(
        folder=folder,
        port=settings.port,
        seed=settings.seed,
        script="steady",
        with_breakers=True,
        cadence=cadence_of(settings.speed),
        console_port=console_port,
    )


def _console_port(settings: Settings) -> int | None:
    """Return where the console's page is; None where telemetry goes elsewhere and there is no console."""
    if settings.has_endpoint or settings.console_port is not None:
        return None if settings.has_endpoint else settings.console_port
    try:
        check_port(CONSOLE_PORT)
    except PortInUseError:
        return 0
    return CONSOLE_PORT


def _plan(settings: Settings, ready: Environment) -> Iterator[Planned]:
    options = ScheduleOptions(
        seed=settings.seed,
        run=f"demo{settings.seed}",
        speed=settings.speed,
        real_every_seconds=REAL_EVERY_SECONDS if ready.has_real_model else None,
    )
    if settings.scenario is not None:
        cadence = cadence_of(settings.speed)
        mix = scenario_mix(settings.scenario, cadence)
        options = msgspec.structs.replace(options, mix=mix, pace=Pace(scale=cadence))
    return schedule(read_trace(), options)


async def _send(
    settings: Settings, screen: Screen, ready: Environment, counters: TrafficCounters, stop: asyncio.Event
) -> float:
    """Send traffic until the end, wait for the responses, and return how long it was sent."""
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
    )
    started_seconds = time.monotonic()
    sending = asyncio.create_task(traffic.run(_plan(settings, ready), stop))
    try:
        time_is_over = await _watch(screen, ready, traffic, stop=stop, sending=sending, settings=settings)
        elapsed_seconds = time.monotonic() - started_seconds
        await _end_delays(ready)
        if not time_is_over:
            # Interrupted by its user: the real model, which cannot be hurried, does not finish its responses.
            traffic.drop(REAL_MODEL)
        if traffic.in_flight:
            screen.say(
                f"demo: traffic stopped; waiting for the responses to {counted(traffic.in_flight, 'request')} in flight"
            )
        await asyncio.wait({sending}, timeout=DRAIN_SECONDS)
        if not sending.done():
            counters.mismatches.append(
                f"{counted(traffic.in_flight, 'request')} had no response within {DRAIN_SECONDS:g} s"
            )
    finally:
        sending.cancel()
        await asyncio.wait({sending})
    return elapsed_seconds


async def _watch(
    screen: Screen,
    ready: Environment,
    traffic: Traffic,
    *,
    stop: asyncio.Event,
    sending: "asyncio.Task[None]",
    settings: Settings,
) -> bool:
    """Refresh the screen until the traffic should stop: its time is over, a signal came, or a process has ended.

    Return whether its time is over.
    """
    started_seconds = time.monotonic()
    ends_seconds = None if settings.seconds is None else started_seconds + settings.seconds
    refresh_seconds = started_seconds + screen.every_seconds
    is_over = False
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WATCH_SECONDS)) as session:
        scenario = _scenario_player(settings, ready, session)
        while not stop.is_set() and not sending.done():
            step_seconds = refresh_seconds if scenario is None else time.monotonic() + _SCENARIO_STEP_SECONDS
            wake_seconds = min(step_seconds, refresh_seconds, ends_seconds or math.inf)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, wake_seconds - time.monotonic())):
                    await stop.wait()
            elapsed_seconds = time.monotonic() - started_seconds
            is_over = ends_seconds is not None and time.monotonic() >= ends_seconds
            more: list[str] = []
            if scenario is not None:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    phase = await scenario.step(elapsed_seconds)
                    if is_over or stop.is_set() or time.monotonic() >= refresh_seconds:
                        more = scenario.lines(phase, await scenario.providers())
            if is_over or stop.is_set() or time.monotonic() >= refresh_seconds:
                screen.refresh(
                    traffic.counters, elapsed_seconds=elapsed_seconds, in_flight=traffic.in_flight, more=more
                )
                refresh_seconds = time.monotonic() + screen.every_seconds
            _stop_if_ended(ready, traffic.counters, stop)
            if is_over:
                stop.set()
    return is_over


async def _end_delays(ready: Environment) -> None:
    """Have the scripted upstream respond at once, so that requests in flight end soon and as planned."""
    timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{ready.upstream_url}/_upstream/end"),
        ):
            pass


def _scenario_player(settings: Settings, ready: Environment, session: aiohttp.ClientSession) -> ScenarioPlayer | None:
    if settings.scenario is None:
        return None
    return ScenarioPlayer(
        settings.scenario,
        cadence=cadence_of(settings.speed),
        session=session,
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
    )


def _stop_if_ended(ready: Environment, counters: TrafficCounters, stop: asyncio.Event) -> None:
    """Stop a run when one of its processes has ended."""
    ended = [child.name for child in ready.children if child.exit_code is not None]
    if ended and not stop.is_set():
        counters.mismatches.append(f"{', '.join(ended)} ended during the run")
        stop.set()


def _exit_code(
    settings: Settings, screen: Screen, counters: TrafficCounters, findings: Findings, ready: Environment
) -> int:
    """Return 0 if everything agrees."""
    is_full = settings.seconds is not None and settings.seconds >= FULL_RUN_SECONDS
    if ready.has_real_model and is_full and counters.real_responses < EXPECTED_REAL_RESPONSES:
        screen.say(
            f"demo: only {counters.real_responses} answers from the real model, {EXPECTED_REAL_RESPONSES} were expected"
        )
        return 1
    return 0 if findings.is_good else 1
