"""RUN: one run of the demo: the stage, the traffic, the comparison.

Comes in: settings, a screen, an event that says when to stop. Goes out: an exit code: 0 if every
number agrees. Whatever happens, the stage's processes have ended when it returns.
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

from demo.books import Books
from demo.environment import Stage, StageOptions, stage
from demo.gateway_config import REAL_MODEL
from demo.others import Others
from demo.output.findings import Findings
from demo.output.screen import Screen, ledger_line, places, summary, table
from demo.reconcile import read_ledger, reconcile
from demo.scenario_watch import ScenarioWatch
from demo.scenarios import cadence_of
from demo.settings import Settings
from demo.traffic.arrivals import read_trace
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Planned
from demo.traffic.scenario_kinds import scenario_mix
from demo.traffic.schedule import ScheduleOptions, schedule
from demo.traffic.traffic import Traffic

REAL_EVERY_SECONDS: Final = 1.2
EXPECTED_REAL_ANSWERS: Final = 20
"""In a run of `FULL_RUN_SECONDS` or more, from the real model where it is installed."""

FULL_RUN_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 60.0
_SCENARIO_STEP_SECONDS: Final = 0.25
_WATCH_SECONDS: Final = 2.0


async def run(settings: Settings, screen: Screen, folder: Path, *, stop: asyncio.Event, watched: asyncio.Event) -> int:
    """Run the demo until its time is over or `stop` is set; return the exit code. `watched` is set when somebody looks at `stop`."""
    options = _stage_options(settings, folder)
    async with stage(options, lambda text: screen.say(f"demo: {text}")) as ready:
        screen.say(f"demo: ready; replaying real traffic at {settings.speed:g} times its pace, SEED={settings.seed}")
        screen.say("\n".join(places(ready.gateway_url, ready.visitor_key, ready.has_real_model)))
        watched.set()
        books = Books(ready.models, allows_slow_database=True)
        elapsed_seconds = await _send(settings, screen, ready, books, stop)
        findings = await reconcile(
            books,
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            database_path=ready.database_path,
            with_breakers=options.with_breakers,
            others=Others(ready.log_path, ready.database_path, ready.own_key_ids, ready.models),
        )
        screen.say("\n".join(table(findings, shows_all=settings.shows_all)))
        screen.say("\n".join(summary(books, elapsed_seconds=elapsed_seconds, in_hand=0)))
        if books.slow_lookups:
            screen.say(
                f"demo: {books.slow_lookups} requests were answered 503, because the database was slow to find their key"
            )
        screen.say(ledger_line(await asyncio.to_thread(read_ledger, ready.database_path), findings))
    return _exit_code(settings, screen, books, findings, ready)


def _stage_options(settings: Settings, folder: Path) -> StageOptions:
    """Return what to start: a scenario needs circuit breakers, and providers that do nothing of their own accord."""
    if settings.scenario is None:
        return StageOptions(folder=folder, port=settings.port, seed=settings.seed)
    return StageOptions(
        folder=folder,
        port=settings.port,
        seed=settings.seed,
        script="steady",
        with_breakers=True,
        cadence=cadence_of(settings.speed),
    )


def _plan(settings: Settings, ready: Stage) -> Iterator[Planned]:
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


async def _send(settings: Settings, screen: Screen, ready: Stage, books: Books, stop: asyncio.Event) -> float:
    """Send traffic until it should end and the answers are in; return how long it was sent."""
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        books=books,
        monotonic=time.monotonic,
    )
    started_seconds = time.monotonic()
    sending = asyncio.create_task(traffic.run(_plan(settings, ready), stop))
    try:
        time_is_over = await _watch(screen, ready, traffic, stop=stop, sending=sending, settings=settings)
        elapsed_seconds = time.monotonic() - started_seconds
        await _end_delays(ready)
        if not time_is_over:
            # A person waits: the real model, which cannot be told to be quick, does not finish its answer.
            traffic.drop(REAL_MODEL)
        if traffic.in_hand:
            screen.say(f"demo: traffic stopped; waiting for the responses to {traffic.in_hand} requests in flight")
        await asyncio.wait({sending}, timeout=DRAIN_SECONDS)
        if not sending.done():
            books.surprises.append(f"{traffic.in_hand} requests were not answered within {DRAIN_SECONDS:g} s")
    finally:
        sending.cancel()
        await asyncio.wait({sending})
    return elapsed_seconds


async def _watch(
    screen: Screen,
    ready: Stage,
    traffic: Traffic,
    *,
    stop: asyncio.Event,
    sending: "asyncio.Task[None]",
    settings: Settings,
) -> bool:
    """Refresh the screen until the traffic should stop: its time is over, a signal came, or a process is gone.

    Return whether its time is over.
    """
    started_seconds = time.monotonic()
    ends_seconds = None if settings.seconds is None else started_seconds + settings.seconds
    refresh_seconds = started_seconds + screen.every_seconds
    is_over = False
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_WATCH_SECONDS)) as session:
        scenario = _scenario_watch(settings, ready, session)
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
                        more = await scenario.lines(phase)
            if is_over or stop.is_set() or time.monotonic() >= refresh_seconds:
                screen.refresh(traffic.books, elapsed_seconds=elapsed_seconds, in_hand=traffic.in_hand, more=more)
                refresh_seconds = time.monotonic() + screen.every_seconds
            _stop_if_gone(ready, traffic.books, stop)
            if is_over:
                stop.set()
    return is_over


async def _end_delays(ready: Stage) -> None:
    """Have the scripted upstream give its responses at once, so that what is in flight ends soon, and as planned."""
    timeout = aiohttp.ClientTimeout(total=_WATCH_SECONDS)
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(f"{ready.upstream_url}/_upstream/end"),
        ):
            pass


def _scenario_watch(settings: Settings, ready: Stage, session: aiohttp.ClientSession) -> ScenarioWatch | None:
    if settings.scenario is None:
        return None
    return ScenarioWatch(
        settings.scenario,
        cadence=cadence_of(settings.speed),
        session=session,
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
    )


def _stop_if_gone(ready: Stage, books: Books, stop: asyncio.Event) -> None:
    """Stop a run that has lost one of its processes."""
    gone = [child.name for child in ready.children if child.exit_code is not None]
    if gone and not stop.is_set():
        books.surprises.append(f"{', '.join(gone)} ended during the run")
        stop.set()


def _exit_code(settings: Settings, screen: Screen, books: Books, findings: Findings, ready: Stage) -> int:
    """Return 0 if everything agrees, and say what does not."""
    is_full = settings.seconds is not None and settings.seconds >= FULL_RUN_SECONDS
    if ready.has_real_model and is_full and books.real_answers < EXPECTED_REAL_ANSWERS:
        screen.say(
            f"demo: only {books.real_answers} answers from the real model, {EXPECTED_REAL_ANSWERS} were expected"
        )
        return 1
    return 0 if findings.is_good else 1
