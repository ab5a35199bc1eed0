"""RUN: one run of the demo: the stage, the traffic, the comparison.

Comes in: settings, a screen, an event that says when to stop. Goes out: an exit code: 0 if every number agrees. Whatever happens, the stage's
processes have ended when it returns.
"""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Final

from demo.arrivals import read_trace
from demo.books import Books
from demo.reconcile import Findings, read_ledger, reconcile
from demo.schedule import ScheduleOptions, schedule
from demo.screen import Screen, ledger_line, places, summary, table
from demo.settings import Settings
from demo.stage import Stage, StageOptions, stage
from demo.traffic import Traffic

REAL_EVERY_SECONDS: Final = 1.2
EXPECTED_REAL_ANSWERS: Final = 20
"""In a run of `FULL_RUN_SECONDS` or more, from the real model where it is installed."""

FULL_RUN_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 60.0


async def run(settings: Settings, screen: Screen, folder: Path, *, stop: asyncio.Event, watched: asyncio.Event) -> int:
    """Run the demo until its time is over or `stop` is set; return the exit code. `watched` is set when somebody looks at `stop`."""
    options = StageOptions(folder=folder, port=settings.port, seed=settings.seed)
    async with stage(options, lambda text: screen.say(f"demo: {text}")) as ready:
        screen.say(f"demo: ready; replaying real traffic at {settings.speed:g} times its pace, SEED={settings.seed}")
        screen.say("\n".join(places(ready.gateway_url, ready.keys["main"], ready.has_real_model)))
        watched.set()
        books = Books(ready.models)
        elapsed_seconds = await _send(settings, screen, ready, books, stop)
        findings = await reconcile(
            books,
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            database_path=ready.database_path,
        )
        screen.say("\n".join(table(findings)))
        screen.say("\n".join(summary(books, elapsed_seconds=elapsed_seconds, in_hand=0)))
        screen.say(ledger_line(await asyncio.to_thread(read_ledger, ready.database_path), findings))
    return _exit_code(settings, screen, books, findings, ready)


async def _send(settings: Settings, screen: Screen, ready: Stage, books: Books, stop: asyncio.Event) -> float:
    """Send traffic until it should end and the answers are in; return how long it was sent."""
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        books=books,
        monotonic=time.monotonic,
    )
    plan = schedule(
        read_trace(),
        ScheduleOptions(
            seed=settings.seed,
            run=f"demo{settings.seed}",
            speed=settings.speed,
            real_every_seconds=REAL_EVERY_SECONDS if ready.has_real_model else None,
        ),
    )
    started_seconds = time.monotonic()
    sending = asyncio.create_task(traffic.run(plan, stop))
    try:
        await _watch(screen, ready, traffic, stop=stop, sending=sending, seconds=settings.seconds)
        elapsed_seconds = time.monotonic() - started_seconds
        if traffic.in_hand:
            screen.say(f"demo: traffic stopped; waiting for the answers of {traffic.in_hand} requests in hand")
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
    seconds: float | None,
) -> None:
    """Refresh the screen until the traffic should stop: its time is over, somebody said so, or a process is gone."""
    books = traffic.books
    started_seconds = time.monotonic()
    ends_seconds = None if seconds is None else started_seconds + seconds
    while not stop.is_set() and not sending.done():
        wait_seconds = screen.every_seconds
        if ends_seconds is not None:
            wait_seconds = max(0.0, min(wait_seconds, ends_seconds - time.monotonic()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                await stop.wait()
        screen.refresh(books, elapsed_seconds=time.monotonic() - started_seconds, in_hand=traffic.in_hand)
        gone = [child.name for child in ready.children if child.exit_code is not None]
        if gone and not stop.is_set():
            books.surprises.append(f"{', '.join(gone)} ended during the run")
            stop.set()
        if ends_seconds is not None and time.monotonic() >= ends_seconds:
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
