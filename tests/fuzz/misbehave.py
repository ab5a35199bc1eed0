"""One run of misbehaving clients against a gateway process with a scripted upstream and an OTLP receiver, and what does not add up after it."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from app.config.load import load_config
from demo.environment import Environment, EnvironmentOptions, start_environment
from tests.fuzz.client_actors import Actors, Observations
from tests.fuzz.client_acts import acts
from tests.fuzz.client_counts import pushed_differences, request_lines, rows, served_differences
from tests.fuzz.series import SeriesBounds, read_text
from tests.harness.exposition import ACCEPT
from tests.harness.otlp_receiver import OtlpReceiver

AT_ONCE: Final = 32
SETTLE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.2


class ClientReport(msgspec.Struct):
    """What came of a run."""

    seed: int
    clients: int
    seconds: float = 0.0
    requests_sent: int = 0
    requests_served: int = 0
    calls: int = 0
    behaviours: Counter[str] = msgspec.field(default_factory=Counter)
    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    problems: list[str] = msgspec.field(default_factory=list)


async def misbehave(folder: Path, *, clients: int, seed: int, say: Callable[[str], None]) -> ClientReport:
    """Let so many clients misbehave, then compare all that the gateway tells of them."""
    report = ClientReport(seed, clients)
    started = time.monotonic()
    with OtlpReceiver() as receiver:
        options = EnvironmentOptions(
            folder=folder,
            seed=seed,
            script="steady",
            with_real_model=False,
            share_seconds=0.0,
            environ={
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_METRIC_EXPORT_INTERVAL": "2000",
                # Every request leaves a trace, whatever flags its client sends.
                "OTEL_TRACES_SAMPLER": "always_on",
            },
        )
        async with start_environment(options, say) as ready:
            seen = Observations()
            port = int(ready.gateway_url.rpartition(":")[2])
            await Actors(port, seen).play(acts(clients, seed, ready.keys), at_once=AT_ONCE)
            report.problems += seen.problems
            samples, found = await _settle(ready, seen)
            report.problems += found
            bounds = SeriesBounds(load_config(folder / "gateway.toml"))
            report.problems += [f"a series outside the bounded set: {each}" for each in bounds.unexpected(samples)[:5]]
            exit_code = await ready.children[-1].stop()
            if exit_code:
                report.problems.append(f"the gateway stopped with exit code {exit_code}")
        lines, calls = request_lines(ready.log_path.read_text().splitlines()), rows(ready.database_path)
        report.problems += pushed_differences(samples, lines, calls, receiver)
    report.requests_sent, report.requests_served, report.calls = seen.requests, len(lines), len(calls)
    report.behaviours, report.statuses = seen.behaviours, Counter(line["status"] for line in lines)
    report.seconds = time.monotonic() - started
    return report


async def _settle(
    ready: Environment, seen: Observations
) -> tuple[dict[tuple[str, tuple[tuple[str, str], ...]], float], list[str]]:
    """Compare until all agrees or the time is over: what just ended may still be on its way to the log or the ledger."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{ready.gateway_url}/metrics", headers={"accept": ACCEPT}) as response:
                samples = read_text(await response.text())
            lines = request_lines(ready.log_path.read_text().splitlines())
            found = list(served_differences(samples, lines, rows(ready.database_path), seen))
            async with session.get(f"{ready.upstream_url}/_upstream/counters") as response:
                if in_flight := (await response.json())["in_flight"]:
                    found.append(f"{in_flight} requests are still in flight at the upstream")
            if not found or asyncio.get_running_loop().time() > deadline:
                return samples, found
            await asyncio.sleep(_POLL_SECONDS)
