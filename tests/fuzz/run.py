"""One run: rounds of tame and of wild inputs against a fresh gateway, each round reconciled, and a verdict."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from tests.fuzz.drive import Driver, Failure, ResponseCounters
from tests.fuzz.environment import FuzzEnvironment, start_environment
from tests.fuzz.gauge import Gauge, Reading
from tests.fuzz.generate import make_batch
from tests.fuzz.inputs import Input
from tests.fuzz.shrink import shrink
from tests.fuzz.verdict import SETTLE_SECONDS, count_problems, end_problems, log_problems, quiet, wild_problems

BATCH_SIZE: Final = 2_500
TAME_WORKERS: Final = 16
WILD_WORKERS: Final = 24
_PROGRESS_SECONDS: Final = 5.0


class Report(msgspec.Struct):
    """What came of a run."""

    seed: int
    seconds: float = 0.0
    inputs: int = 0
    kinds: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    voices: Counter[str] = msgspec.field(default_factory=Counter)
    problems: list[str] = msgspec.field(default_factory=list)
    figures: dict[str, str] = msgspec.field(default_factory=dict)


async def fuzz(folder: Path, *, inputs: int, seed: int, say: Callable[[str], None], stop: asyncio.Event) -> Report:
    """Run until so many inputs were sent, one of them showed a defect, or `stop` is set."""
    report = Report(seed)
    counters = ResponseCounters()
    started = time.monotonic()
    async with start_environment(folder) as ready:
        gauge = Gauge(ready)
        start = await gauge.read()
        progress = asyncio.create_task(_progress(counters, gauge, inputs, say))
        try:
            await _rounds(ready, gauge, counters, report, inputs=inputs, stop=stop)
            report.problems += [await _explain(ready, failure, seed) for failure in counters.failures[:3]]
            await _end(ready, gauge, start, report)
        except (aiohttp.ClientError, TimeoutError) as error:
            last = counters.failures[0].problem if counters.failures else "nothing else"
            report.problems.append(
                f"the gateway does not respond: {type(error).__name__} {error}; exit code {ready.gateway.exit_code};"
                f" before: {last}; its last lines: {ready.gateway.last_lines()}"
            )
        finally:
            progress.cancel()
        found, report.voices = log_problems(ready.log_path, ready)
        report.problems += [*found, *gauge.problems, *ready.receiver.oddities]
        report.problems += [f"a canary or a key in {leak}" for leak in ready.leaks.found]
        report.figures |= {"span names": str(dict(ready.receiver.span_names))}
    report.seconds = time.monotonic() - started
    report.inputs, report.kinds, report.statuses = counters.inputs, counters.sent, counters.statuses
    return report


async def _end(ready: FuzzEnvironment, gauge: Gauge, start: Reading, report: Report) -> None:
    """Check the gateway at rest, and that it stops in good order."""
    for upstream in ready.upstreams:
        await upstream.stop()
    report.problems += await end_problems(ready, gauge, start)
    report.figures = _figures(ready, gauge, start, await gauge.read())
    exit_code = await ready.gateway.stop()
    if exit_code:
        report.problems.append(f"the gateway stopped with exit code {exit_code}")


async def _rounds(
    ready: FuzzEnvironment,
    gauge: Gauge,
    counters: ResponseCounters,
    report: Report,
    *,
    inputs: int,
    stop: asyncio.Event,
) -> None:
    """Send batch after batch; the next one is made while one is sent."""
    driver = Driver(ready.port, ready.keys, counters, stop)
    sizes = [min(BATCH_SIZE, inputs - done) for done in range(0, inputs, BATCH_SIZE)]

    def make(number: int) -> asyncio.Task[tuple[list[Input], list[Input]]]:
        return asyncio.create_task(asyncio.to_thread(make_batch, report.seed, number, sizes[number], ready.keys))

    before = await gauge.read()
    coming = make(0)
    for number in range(len(sizes)):
        tame, wild = await coming
        if number + 1 < len(sizes):
            coming = make(number + 1)
        after_tame, found = await _tame_round(gauge, driver, counters, tame, before)
        before, found_wild = await _wild_round(gauge, driver, counters, wild, after_tame)
        report.problems += [f"batch {number}: {each}" for each in (*found, *found_wild)]
        if stop.is_set() or counters.failures or report.problems or ready.gateway.exit_code is not None:
            break
    coming.cancel()


async def _tame_round(
    gauge: Gauge, driver: Driver, counters: ResponseCounters, inputs: list[Input], before: Reading
) -> tuple[Reading, list[str]]:
    """Send tame inputs; return the reading after them, and where it is not exactly what they were answered."""
    seen = Counter(counters.counted)
    await driver.send(inputs, workers=TAME_WORKERS)

    def is_settled(now: Reading) -> bool:
        return quiet(now) and not count_problems(before, now, counters, seen)

    after = await gauge.settle(is_settled, SETTLE_SECONDS)
    # An input that failed was perhaps counted and not answered; it is reported for itself.
    return after, [] if counters.failures else count_problems(before, after, counters, seen)


async def _wild_round(
    gauge: Gauge, driver: Driver, counters: ResponseCounters, inputs: list[Input], before: Reading
) -> tuple[Reading, list[str]]:
    """Send wild inputs; return the reading after them, and what of it cannot be."""
    seen, not_seen = Counter(counters.counted), counters.not_seen
    await driver.send(inputs, workers=WILD_WORKERS)
    after = await gauge.settle(quiet, SETTLE_SECONDS)
    responded = Counter(
        {status: count - seen[key, status] for (key, status), count in counters.counted.items() if key == "wild"}
    )
    return after, wild_problems(before, after, responded, counters.not_seen - not_seen)


async def _explain(ready: FuzzEnvironment, failure: Failure, seed: int) -> str:
    """Describe a failure with the smallest input that still shows it."""
    small = await shrink(ready.port, ready.keys, failure)
    payload = repr(ready.keys.hide(small.payload))
    what = f"seed {seed}, kind {failure.made.kind!r}, leave {small.leave!r}, {len(small.payload)} bytes"
    return f"{failure.problem}\n  {what}:\n  {payload[:6_000]}"


def _figures(ready: FuzzEnvironment, gauge: Gauge, start: Reading, end: Reading) -> dict[str, str]:
    return {
        "requests counted": f"{end.total('fastapi_requests_total'):g}",
        "upstream attempts": f"{end.total('model_inference_requests_total'):g}",
        "request logs received": str(ready.receiver.loggers["gatewayz.request"]),
        "spans received": str(ready.receiver.span_names.total()),
        "series": f"{len(start.samples)} at the start, {gauge.most_series} at the most; {gauge.scrapes} scrapes parsed",
        "resident MiB": " -> ".join(
            f"{each.total('process_resident_memory_bytes') / 2**20:.0f}" for each in (start, end)
        ),
        "open fds": " -> ".join(f"{each.total('process_open_fds'):g}" for each in (start, end)),
    }


async def _progress(counters: ResponseCounters, gauge: Gauge, inputs: int, say: Callable[[str], None]) -> None:
    """Say every few seconds how far it is."""
    started = time.monotonic()
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        seconds = time.monotonic() - started
        say(f"fuzz: {counters.inputs} of {inputs} inputs, {counters.inputs / seconds:.0f} a second, {gauge.most_series} series, "
            f"{len(counters.failures)} failures")  # fmt: skip
