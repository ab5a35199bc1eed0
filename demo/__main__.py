"""DEMO: `python -m demo`, run by `make demo`: a gateway at work, from nothing to a table that proves its numbers.

Comes in: DEMO_SECONDS (ends by itself), PORT, SPEED, SEED from the environment, and Ctrl-C. Goes out: a summary that refreshes, the table of
the reconciliation, an exit code: 0 if every number agrees, 1 if not, 2 if a setting makes no sense. It leaves no process running.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from demo.arrivals import DEFAULT_SPEED, read_trace
from demo.books import Books
from demo.child import ROOT, ChildFailedError
from demo.reconcile import Findings, read_ledger, reconcile
from demo.schedule import ScheduleOptions, schedule
from demo.screen import Screen, places, summary, table, usd
from demo.stage import PortInUseError, Stage, StageOptions, stage
from demo.traffic import Traffic

REAL_EVERY_SECONDS: Final = 1.2
EXPECTED_REAL_ANSWERS: Final = 20
"""In a run of `FULL_RUN_SECONDS` or more, from the real model where it is installed."""

FULL_RUN_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 60.0
_MAX_PORT: Final = 65_535


class SettingError(ValueError):
    """An environment variable that makes no sense; the message names it and what it takes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a person can set. `seconds` None: until Ctrl-C."""

    seconds: float | None
    port: int
    speed: float
    seed: int


def read_settings(environ: Mapping[str, str], *, new_seed: int) -> Settings:
    """Read the environment; raises `SettingError`."""
    seconds = _number(environ, "DEMO_SECONDS", None, "a number of seconds above 0")
    port = _number(environ, "PORT", 8000.0, f"a port, 0 (any free one) to {_MAX_PORT}", zero=True)
    speed = _number(environ, "SPEED", DEFAULT_SPEED, "a factor above 0")
    seed = _number(environ, "SEED", float(new_seed), "a whole number", zero=True)
    if port is None or speed is None or seed is None or port > _MAX_PORT or not port.is_integer():
        raise SettingError(f"PORT takes a port, 0 (any free one) to {_MAX_PORT}")
    if not seed.is_integer():
        raise SettingError("SEED takes a whole number")
    return Settings(seconds=seconds, port=int(port), speed=speed, seed=int(seed))


def _number(
    environ: Mapping[str, str], name: str, default: float | None, allowed: str, *, zero: bool = False
) -> float | None:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not (number >= 0 if zero else number > 0) or number == float("inf"):
        raise SettingError(f"{name} takes {allowed}")
    return number


async def run(settings: Settings, screen: Screen, folder: Path, stop: asyncio.Event) -> int:
    """Run the demo until its time is over or `stop` is set; return the exit code."""
    options = StageOptions(folder=folder, port=settings.port, seed=settings.seed)
    async with stage(options, lambda text: screen.say(f"demo: {text}")) as ready:
        screen.say(f"demo: ready; replaying real traffic at {settings.speed:g} times its pace, SEED={settings.seed}")
        screen.say("\n".join(places(ready.gateway_url, ready.keys["main"], ready.has_real_model)))
        books = Books(ready.models)
        elapsed_seconds = await _send(settings, screen, ready, books, stop)
        findings = await reconcile(
            books,
            gateway_url=ready.gateway_url,
            upstream_url=ready.upstream_url,
            database_path=ready.database_path,
        )
        ledger = await asyncio.to_thread(read_ledger, ready.database_path)
        screen.say("\n".join(table(findings)))
        screen.say("\n".join(summary(books, elapsed_seconds=elapsed_seconds, in_hand=0)))
        screen.say(
            f"  {'ledger':<12}{sum(count for name, count in ledger.items() if name in _ROWS):,} calls,"
            f" {usd(ledger['cost (nano-USD)'])}: the sum of gatewayz_cost_by_provider to the nano-dollar"
            if not findings.differences
            else "  the gateway's counts do not agree with the traffic program's"
        )
    return _exit_code(settings, screen, books, findings, ready)


_ROWS: Final = frozenset({"rows success", "rows error", "rows cancelled"})


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
    ends_seconds = None if settings.seconds is None else started_seconds + settings.seconds
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
    elapsed_seconds = time.monotonic() - started_seconds
    if traffic.in_hand:
        screen.say(f"demo: traffic stopped; waiting for the answers of {traffic.in_hand} requests in hand")
    await asyncio.wait({sending}, timeout=DRAIN_SECONDS)
    if not sending.done():
        books.surprises.append(f"{traffic.in_hand} requests were not answered within {DRAIN_SECONDS:g} s")
        sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    return elapsed_seconds


def _exit_code(settings: Settings, screen: Screen, books: Books, findings: Findings, ready: Stage) -> int:
    """Return 0 if everything agrees, and say what does not."""
    is_full = settings.seconds is not None and settings.seconds >= FULL_RUN_SECONDS
    if ready.has_real_model and is_full and books.real_answers < EXPECTED_REAL_ANSWERS:
        screen.say(
            f"demo: only {books.real_answers} answers from the real model, {EXPECTED_REAL_ANSWERS} were expected"
        )
        return 1
    return 0 if findings.is_good else 1


async def _main(settings: Settings, screen: Screen, folder: Path) -> int:
    """Let the first signal stop the traffic and the second end everything at once."""
    stop = asyncio.Event()
    running = asyncio.create_task(run(settings, screen, folder, stop))

    def on_signal() -> None:
        if stop.is_set():
            running.cancel()
            return
        screen.say("demo: stopping (once more to end at once)")
        stop.set()
        # Before the traffic starts nothing looks at `stop`.
        if not folder.joinpath("gateway.toml").exists():
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        return await running
    except asyncio.CancelledError:
        screen.say("demo: ended before its numbers could be compared")
        return 1


def main() -> int:
    """Run the demo with the settings of the environment."""
    screen = Screen(sys.stdout, is_terminal=sys.stdout.isatty())
    try:
        settings = read_settings(os.environ, new_seed=random.SystemRandom().randrange(1_000_000))
    except SettingError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    runs = ROOT / ".demo"
    runs.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=runs))
    try:
        exit_code = asyncio.run(_main(settings, screen, folder))
    except (PortInUseError, ChildFailedError) as error:
        print(f"demo: {error}", file=sys.stderr)
        exit_code = 1
    if exit_code == 0:
        shutil.rmtree(folder)
    else:
        print(f"demo: logs and database are in {folder}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
