"""How long a scrape or a push of many series stops the event loop, in a process that is set up as the gateway's.

    python -m bench.event_loop [--counters 95000] [--histograms 5000] [--rounds 6]

All series have changed since the collection before. The work runs in a thread, as the gateway runs
it, while the event loop wakes every millisecond; a gap is what it woke late. The gap of a loop
whose thread sleeps shows what the machine itself adds. A push is encoded, compressed and sent to an
endpoint in another process. Rounds of sleep, scrape and push take turns.
"""

import argparse
import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import uvloop

from app.process.serve import SWITCH_INTERVAL_SECONDS
from bench.delivery import Endpoint
from bench.scrape import FAMILIES, build_ours, specs
from otel.catalogue.spec import Kind
from otel.config.otlp import OtlpConfig
from otel.delivery.encoding.metrics import PushEncoder
from otel.delivery.transport.http import HttpSender
from otel.delivery.transport.sender import Accepted
from otel.exposition import Exposition

PERIOD_SECONDS = 0.001
COLLECT_AFTER = (5_000, 20, 10)
"""The garbage collector's thresholds in `app/process/serve.py`."""

AIM_MILLISECONDS = 20.0


class Gap(NamedTuple):
    """How late the event loop woke, how long this process worked meanwhile, and at what."""

    milliseconds: float
    worked_milliseconds: float
    during: str


class _Late(NamedTuple):
    """One late wake."""

    seconds: float
    worked_seconds: float
    began: float
    ended: float


class Round(NamedTuple):
    """One piece of work: how long it took, its gaps, and how long the garbage collector stopped it at most.

    `own` is the longest gap of this process's own making: in others it waited for the processor.
    """

    seconds: float
    longest: Gap
    own: Gap
    collected_milliseconds: float


class Stages:
    """When each stage of the work began."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, str]] = []

    def begin(self, name: str) -> None:
        """Begin a stage, which ends the one before."""
        self.begun.append((time.perf_counter(), name))

    def between(self, start: float, end: float) -> str:
        """Return the stages that were going on then."""
        ends = [*(at for at, _ in self.begun[1:]), float("inf")]
        return ", ".join(name for (at, name), until in zip(self.begun, ends, strict=True) if at < end and until > start)


@contextmanager
def watched_collector() -> Iterator[list[tuple[float, float, int]]]:
    """Collect start, end and generation of each garbage collection."""
    seen: list[tuple[float, float, int]] = []
    started = 0.0

    def watch(phase: str, info: dict[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        else:
            seen.append((started, time.perf_counter(), info["generation"]))

    gc.callbacks.append(watch)
    try:
        yield seen
    finally:
        gc.callbacks.remove(watch)


async def measure(work: Callable[[Stages], None]) -> Round:
    """Run the work in a thread and watch the event loop meanwhile."""
    stages, gaps = Stages(), [_Late(0.0, 0.0, 0.0, 0.0)]
    with watched_collector() as collections:
        started = time.perf_counter()
        running = asyncio.get_running_loop().run_in_executor(None, work, stages)
        while not running.done():
            before, worked_before = time.perf_counter(), time.process_time()
            await asyncio.sleep(PERIOD_SECONDS)
            after = time.perf_counter()
            gaps.append(_Late(after - before - PERIOD_SECONDS, time.process_time() - worked_before, before, after))
        await running
        seconds = time.perf_counter() - started
    paused = max((until - at for at, until, _ in collections), default=0.0)

    def of(late: _Late) -> Gap:
        during = [stages.between(late.began, late.ended)]
        during += [
            f"garbage collection {number}" for at, to, number in collections if at < late.ended and to > late.began
        ]
        return Gap(late.seconds * 1000, late.worked_seconds * 1000, ", ".join(during))

    longest = max(gaps)
    own = max(gaps, key=lambda late: min(late.seconds, late.worked_seconds))
    return Round(seconds, of(longest), of(own), paused * 1000)


def works(
    counters: int, histograms: int, url: str
) -> tuple[dict[str, Callable[[Stages], None]], Callable[[int], None]]:
    """Return each piece of work by name, and what changes the series."""
    catalogue = specs()
    sizes = {Kind.COUNTER: counters // FAMILIES, Kind.HISTOGRAM: histograms // FAMILIES}
    reader, provider, record, _labels = build_ours(catalogue, sizes)
    exposition, encoder = Exposition(reader, catalogue), PushEncoder(time.time_ns)
    sender = HttpSender(
        OtlpConfig(signal="metrics", protocol="http/protobuf", endpoint=f"{url}/v1/metrics", compression="gzip"),
        user_agent="bench",
    )

    def sleep(stages: Stages) -> None:
        stages.begin("sleep")
        time.sleep(0.5)

    def scrape(stages: Stages) -> None:
        stages.begin("collect")
        reader.snapshot(0)
        stages.begin("write")
        reader._share_seconds = 3600  # noqa: SLF001  the benchmark's own reader: what was collected is written
        exposition.respond(method="GET", accept=None, accept_encoding="gzip")
        reader._share_seconds = 0  # noqa: SLF001  as above

    def push(stages: Stages) -> None:
        stages.begin("collect")
        data = reader.collect_for_push()
        stages.begin("encode")
        body = encoder.encode(data, is_last=False)
        stages.begin("compress")
        packed = sender.pack(body)
        stages.begin("send")
        outcome = sender.send(packed, 60.0)
        if not isinstance(outcome, Accepted):
            raise TypeError(f"the endpoint did not accept a push: {outcome}")
        encoder.acknowledged()
        stages.begin("release")
        del data, body, packed
        stages.begin("end")

    del provider  # the instruments hold it
    return {"sleep": sleep, "scrape": scrape, "push": push}, record


async def run(counters: int, histograms: int, rounds: int, url: str) -> dict[str, list[Round]]:
    """Return the rounds of each piece of work, which take turns; the first ones, which make all text, are first."""
    by_name, record = works(counters, histograms, url)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    measured: dict[str, list[Round]] = {name: [] for name in by_name}
    for _ in range(rounds):
        for name, work in by_name.items():
            record(1)
            measured[name].append(await measure(work))
    return measured


def lines(measured: dict[str, list[Round]]) -> list[str]:
    """Return what is printed of each piece of work."""
    printed = []
    for name, rounds in measured.items():
        printed.append(f"{name}: {statistics.median(each.seconds for each in rounds):.2f} s")
        printed.append(f"  longest gap of each round (ms)      {_row(each.longest.milliseconds for each in rounds)}")
        printed.append(
            f"  of them this process worked (ms)    {_row(each.longest.worked_milliseconds for each in rounds)}"
        )
        printed.append(f"  longest gap of its own making (ms)  {_row(_own(each) for each in rounds)}")
        printed.append(f"  the longest of these during         {max(rounds, key=_own).own.during}")
        printed.append(f"  longest garbage collection (ms)     {_row(each.collected_milliseconds for each in rounds)}")
    return printed


def _own(each: Round) -> float:
    return min(each.own.milliseconds, each.own.worked_milliseconds)


def _row(values: Iterable[float]) -> str:
    return " ".join(f"{value:6.1f}" for value in values)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counters", type=int, default=95_000)
    parser.add_argument("--histograms", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args(arguments)
    endpoint = Endpoint("http/protobuf")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            measured = runner.run(run(options.counters, options.histograms, options.rounds, endpoint.url))
    finally:
        endpoint.end()
    print(
        f"{options.counters} counters and {options.histograms} histograms, all changed; the aim is {AIM_MILLISECONDS:.0f} ms"
    )
    print("\n".join(lines(measured)))


if __name__ == "__main__":
    main()
