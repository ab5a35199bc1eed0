"""OTLP endpoint down, then a black hole, then 503, under load, then up: nothing may be lost or doubled, nothing felt.

    python -m bench.faults [--seconds 60] [--rate 50]    (or FAULT_SECONDS=60 FAULT_RATE=50)

A gateway process (`python -m app serve`), an upstream process, an OTLP receiver process, over
OTLP/HTTP and once more over gRPC. The load is an open loop for the whole time. Latency is compared
with the healthy phases of the same run; the noise is how much these differ among themselves, in
slices. Then a shutdown into a black hole, and an outage that is longer than a small buffer. The
exit code is 1 if anything is lost or doubled that the gateway has not itself counted as lost.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.process.exit_codes import EXIT_LOST
from bench import fault_checks as checks
from bench.environment import bench_environment
from bench.fault_latency import print_latency
from bench.fault_runs import Run, Settings, run_faults, run_shutdown, run_small_buffer
from bench.open_load import unanswered
from demo.process import ChildFailedError

SHUTDOWN_LIMIT_SECONDS = 5.0
SMALL_BUFFER_BYTES = 200_000
BATCH = 64
DROPPED = "gatewayz_telemetry_dropped_total"
RETRIES = "gatewayz_telemetry_retries_total"


def say(line: str) -> None:
    print(f"faults: {line}", flush=True)


def main() -> int:
    """Run everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", help="how long each fault lasts (default: FAULT_SECONDS, or 60)")
    parser.add_argument("--rate", help="requests per second (default: FAULT_RATE, or 50)")
    options = parser.parse_args()
    try:
        seconds = _number("FAULT_SECONDS", 60, options.seconds)
        per_second = _number("FAULT_RATE", 50, options.rate)
    except ValueError as error:
        say(str(error))
        return 2
    try:
        problems = asyncio.run(_all(seconds, per_second))
    except KeyboardInterrupt:
        say("stopped; nothing was judged")
        return 130
    except ChildFailedError as error:
        say(str(error))
        return 1
    for problem in problems:
        say(f"PROBLEM: {problem}")
    if not problems:
        say("nothing lost, nothing doubled, everything that was dropped is counted")
    return 1 if problems else 0


async def _all(seconds: float, per_second: float) -> list[str]:
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gatewayz-faults-") as folder:
        async with bench_environment(Path(folder)) as bench:
            for protocol in ("http/protobuf", "grpc"):
                settings = Settings(fault_seconds=seconds, per_second=per_second, protocol=protocol)
                say(f"{protocol}, {per_second:g} requests/s")
                run = await run_faults(bench, settings, say)
                print_latency(run)
                problems += _named(protocol, judge_faults(run))
                short = Settings(fault_seconds=min(seconds, 10.0), per_second=per_second, protocol=protocol)
                run = await run_shutdown(bench, short, say)
                problems += _named(f"{protocol}, shutdown", judge_shutdown(run))
                if run.exit_seconds > SHUTDOWN_LIMIT_SECONDS:
                    problems.append(f"{protocol}, shutdown: took {run.exit_seconds:.2f} s")
            short = Settings(fault_seconds=min(seconds, 20.0), per_second=per_second)
            say(f"down for {short.fault_seconds:g} s with a buffer of {SMALL_BUFFER_BYTES:,} bytes")
            run = await run_small_buffer(bench, short, SMALL_BUFFER_BYTES, say)
            problems += _named("small buffer", judge_small_buffer(run, SMALL_BUFFER_BYTES))
    return problems


def judge_faults(run: Run) -> list[str]:
    """Print what arrived of each signal; return what is wrong."""
    problems = _judge_end(run)
    tallies = checks.tallies(run.sent, run.received, run.output)
    print_tallies(tallies)
    problems += [f"{each.what}: {each.lost} lost, {each.doubled} doubled" for each in tallies if not each.is_exact]
    lines = checks.metric_lines(run.sent, run.received)
    wrong = [line for line in lines if not line.is_exact]
    print(f"  metrics: {len(lines)} series of the last push compared with the driver's counters, {len(wrong)} differ")
    problems += [f"{line.what}: sent {line.counters}, pushed {line.pushed}" for line in wrong]
    dropped = checks.self_reported(run.received, DROPPED)
    retries = checks.self_reported(run.received, RETRIES)
    print(f"  {DROPPED}: {_by_signal(dropped)}; {RETRIES}: {_by_signal(retries)}")
    state_lines = [line for line in checks.written_lines(run.output) if '"logger":"otel.delivery"' in line]
    print(f"  {len(state_lines)} log lines about the delivery; ended in {run.exit_seconds:.2f} s\n", flush=True)
    if any(dropped.values()):
        problems.append(f"dropped: {_by_signal(dropped)}")
    if not all(retries.values()):
        problems.append(f"no fault was noticed by some signal; retries: {_by_signal(retries)}")
    if any(checks.reported_lost(run.output).values()):
        problems.append(f"lost at the end: {_by_signal(checks.reported_lost(run.output))}")
    return problems


def judge_shutdown(run: Run) -> list[str]:
    """Compare what the gateway says that it lost at its end with what is missing at the receiver."""
    problems = _judge_end(run)
    said = checks.reported_lost(run.output)
    spans = sum(1 + each.attempts for each in run.sent)
    missing = {
        "traces": spans - run.received.spans,
        "logs": len(checks.written_lines(run.output)) - run.received.log_records,
        "metrics": 1,  # the last push
    }
    print(f"  ended in {run.exit_seconds:.2f} s; said lost: {_by_signal(said)}; missing: {_by_signal(missing)}\n")
    problems += [
        f"{signal}: said {said[signal]} lost, {missing[signal]} are missing"
        for signal in checks.SIGNALS
        if said[signal] != missing[signal]
    ]
    if not said["traces"] or not said["logs"]:
        problems.append("the black hole swallowed nothing: the run shows nothing")
    return problems + _doubles(run)


def judge_small_buffer(run: Run, buffer_bytes: int) -> list[str]:
    """Compare what the gateway counted as dropped with what is missing at the receiver."""
    problems = _judge_end(run)
    dropped = checks.self_reported(run.received, DROPPED)
    said = checks.reported_lost(run.output)  # a line that was logged after the last push was collected
    missing = {
        "traces": sum(1 + each.attempts for each in run.sent) - run.received.spans,
        "logs": len(checks.written_lines(run.output)) - run.received.log_records,
        "metrics": 0,
    }
    older = checks.out_of_order(run.sent, run.received.server_spans)
    peak = max(run.queued_bytes.values())
    print(
        f"  {DROPPED}: {_by_signal(dropped)}; said at the end: {_by_signal(said)}; missing: {_by_signal(missing)};"
        f" queue's peak {peak:,} bytes;"
        f" {older} requests arrived that are older than a dropped one\n"
    )
    problems += [
        f"{signal}: {dropped[signal]} counted as dropped, {said[signal]} said at the end, {missing[signal]} are missing"
        for signal in checks.SIGNALS
        if dropped[signal] + said[signal] != missing[signal]
    ]
    if not dropped["traces"] or not dropped["logs"]:
        problems.append("the bound was not reached: the run shows nothing")
    if older > 2 * BATCH:
        problems.append(f"{older} requests arrived although younger ones were dropped: not the oldest went first")
    if peak > buffer_bytes:
        problems.append(f"the queue held {peak} bytes, its bound is {buffer_bytes}")
    lines = [line for line in checks.metric_lines(run.sent, run.received) if not line.is_exact]
    problems += [f"{line.what}: sent {line.counters}, pushed {line.pushed}" for line in lines]
    return problems + _doubles(run)


def _judge_end(run: Run) -> list[str]:
    """What every run must have: whole responses, and a gateway that ended well."""
    problems = []
    if count := unanswered(run.sent):
        problems.append(f"{count} of {len(run.sent)} requests were not served as they should")
    lost_any = any(checks.reported_lost(run.output).values())
    expected_code = EXIT_LOST if lost_any else 0
    if run.exit_code != expected_code or "gateway: stopped" not in run.output or "Traceback" in run.output:
        problems.append(f"the gateway ended with exit code {run.exit_code} instead of {expected_code}")
    return problems


def _doubles(run: Run) -> list[str]:
    tallies = checks.tallies(run.sent, run.received, run.output)
    return [f"{each.what}: {each.doubled} doubled" for each in tallies if each.doubled]


def print_tallies(tallies: Sequence[checks.Tally]) -> None:
    """Print expected, arrived, lost and doubled per kind of item."""
    print(f"  {'at the receiver':<16}{'expected':>10}{'arrived':>10}{'lost':>7}{'doubled':>9}")
    for each in tallies:
        print(f"  {each.what:<16}{each.expected:>10}{each.arrived:>10}{each.lost:>7}{each.doubled:>9}")


def _by_signal(counts: dict[str, int]) -> str:
    return ", ".join(f"{signal} {counts.get(signal, 0)}" for signal in checks.SIGNALS)


def _named(name: str, problems: list[str]) -> list[str]:
    return [f"{name}: {problem}" for problem in problems]


def _number(name: str, default: float, option: str | None) -> float:
    text = option or os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError(f"{name} takes a number above 0, not {text!r}")
    return value


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    say(f"{time.monotonic() - began:.0f} s in all")
    sys.exit(code)
