"""`python -m tests.fuzz`: 100 000 hostile inputs against a running gateway, then 6 500 misbehaving clients, then 1 000 scrapes under load.

At the end 10 000 hostile OTLP requests go to a console. FUZZ_INPUTS=, MISBEHAVING_CLIENTS=,
CUT_SCRAPES=, CONSOLE_INPUTS= and FUZZ_SEED= set the numbers and the seed.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.consistent_cuts import CutReport, watch_cuts
from tests.fuzz.console_fuzz import ConsoleReport, fuzz_console
from tests.fuzz.misbehave import ClientReport, misbehave
from tests.fuzz.run import Report, fuzz

DEFAULT_INPUTS = 100_000
DEFAULT_CLIENTS = 6_500
DEFAULT_SCRAPES = 1_000
DEFAULT_CONSOLE_INPUTS = 10_000


class Numbers(NamedTuple):
    """How much each part sends."""

    inputs: int
    clients: int
    scrapes: int
    console_inputs: int


def say(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _main(numbers: "Numbers", seed: int, folder: Path) -> int:
    inputs, clients, scrapes, console_inputs = numbers
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    say(f"fuzz: {inputs} inputs, FUZZ_SEED={seed}")
    (folder / "inputs").mkdir()
    (folder / "clients").mkdir()
    (folder / "cuts").mkdir()
    report = await fuzz(folder / "inputs", inputs=inputs, seed=seed, say=say, stop=stop)
    for line in lines(report):
        say(line)
    if report.problems:
        return 1
    if stop.is_set():
        say("fuzz: interrupted; no defect was found until then")
        return 130
    say(f"fuzz: {clients} misbehaving clients, FUZZ_SEED={seed}")
    client_report = await misbehave(folder / "clients", clients=clients, seed=seed, say=say)
    for line in client_lines(client_report):
        say(line)
    if client_report.problems:
        return 1
    say(f"fuzz: {scrapes} scrapes under load")
    cut_report = await watch_cuts(folder / "cuts", scrapes=scrapes)
    for line in cut_lines(cut_report):
        say(line)
    if cut_report.problems:
        return 1
    say(f"fuzz: {console_inputs} OTLP requests to a console, FUZZ_SEED={seed}")
    (folder / "console").mkdir()
    console_report = await fuzz_console(folder / "console", inputs=console_inputs, seed=seed)
    for line in console_lines(console_report):
        say(line)
    return 1 if console_report.problems else 0


def lines(report: Report) -> list[str]:
    """Return the report as text."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.kinds.most_common())
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    found = [f"PROBLEM: {problem}" for problem in report.problems]
    return [
        f"fuzz: {report.inputs} inputs in {report.seconds:.0f} s, seed {report.seed}",
        f"  kinds: {kinds}",
        f"  responses: {statuses}",
        f"  log lines: {dict(report.voices)}",
        *(f"  {name}: {value}" for name, value in report.figures.items()),
        *found,
        f"fuzz: {len(report.problems)} problems" if report.problems else "fuzz: no problem",
    ]


def client_lines(report: ClientReport) -> list[str]:
    """Return the report on misbehaving clients as text."""
    behaviours = ", ".join(f"{name} {count}" for name, count in report.behaviours.most_common())
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(report.statuses.items()))
    return [
        f"fuzz: {report.clients} misbehaving clients in {report.seconds:.0f} s, seed {report.seed}",
        f"  clients: {behaviours}",
        f"  requests: {report.requests_sent} sent whole or in part, {report.requests_served} served, {report.calls} calls",
        f"  statuses: {statuses}",
        *(f"PROBLEM: {problem}" for problem in report.problems),
        f"fuzz: {len(report.problems)} problems" if report.problems else "fuzz: every count agrees",
    ]


def cut_lines(report: CutReport) -> list[str]:
    """Return the report on scrapes and pushes under load as text."""
    return [
        f"fuzz: {report.scrapes} scrapes and {report.pushes} pushes of {report.requests} requests in {report.seconds:.0f} s",
        f"  different numbers of requests that they showed: {report.states}; successful attempts: {report.successes}",
        *(f"PROBLEM: {problem}" for problem in report.problems),
        f"fuzz: {len(report.problems)} problems" if report.problems else "fuzz: each is a consistent cut",
    ]


def console_lines(report: ConsoleReport) -> list[str]:
    """Return the report on a console's endpoint as text."""
    return [
        f"  kinds: {', '.join(f'{kind} {count}' for kind, count in report.kinds.most_common())}",
        f"  responses: {', '.join(f'{status}: {count}' for status, count in sorted(report.statuses.items()))}",
        f"  left in the file: {', '.join(f'{count} {name}' for name, count in report.stored.items())}",
        *(f"PROBLEM: {problem}" for problem in report.problems),
        f"fuzz: {len(report.problems)} problems" if report.problems else "fuzz: no problem",
    ]


def number(name: str, default: int) -> int:
    """Return a positive number from the environment; ends the program for anything else."""
    text = os.environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        sys.exit(f"fuzz: {name}={text!r} is not a positive whole number")
    return int(text)


if __name__ == "__main__":
    # Takes no arguments; `--help` prints how it is set.
    argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__).parse_args()
    run_folder = Path(tempfile.mkdtemp(prefix="gatewayz-fuzz-"))
    try:
        code = asyncio.run(
            _main(
                Numbers(
                    number("FUZZ_INPUTS", DEFAULT_INPUTS),
                    number("MISBEHAVING_CLIENTS", DEFAULT_CLIENTS),
                    number("CUT_SCRAPES", DEFAULT_SCRAPES),
                    number("CONSOLE_INPUTS", DEFAULT_CONSOLE_INPUTS),
                ),
                number("FUZZ_SEED", random.SystemRandom().randrange(1, 2**31)),
                run_folder,
            )
        )
    finally:
        shutil.rmtree(run_folder, ignore_errors=True)
    sys.exit(code)
