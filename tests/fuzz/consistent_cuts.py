"""A gateway under load whose scrapes and pushes are each a consistent cut: no event is counted in one metric and not yet in another.

Fixed tokens and prices for each attempt make the equalities exact, whatever has ended when a collection comes.
"""

import asyncio
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from bench import canned_server
from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import start_child
from otel.config.otlp import Signal
from tests.harness.exposition import ACCEPT, Series, read_exposition
from tests.harness.otlp_data import HistogramPoint
from tests.harness.otlp_receiver import OtlpReceiver

WORKERS: Final = 12
SCRAPERS: Final = 2
_TOKENS: Final = canned_server.EVENTS
"""Of the input and of the output of each response, as the upstream reports them."""

_NANO: Final = 1_000_000_000
_INPUT_NANOUSD, _OUTPUT_NANOUSD = 1_000, 3_000
_MOST_PROBLEMS: Final = 5
_CONFIG: Final = """
[server]
port = 0
[monitoring]
share_seconds = 0.0
[database]
url = "sqlite+aiosqlite:///{folder}/gateway.db"
[probes]
enabled = false
[breaker]
enabled = false
[[providers]]
name = "steady"
base_url = "{upstream}/v1"
[[providers]]
name = "left"
base_url = "{upstream}/v1"
[[providers]]
name = "dead"
base_url = "http://127.0.0.1:1/v1"
[[plans]]
name = "free"
{models}
"""
_MODELS: Final = {"steady": ("steady",), "detour": ("dead", "steady"), "failing": ("dead",), "left": ("left",)}
_LOAD: Final = (
    ("steady", False, False), ("steady", True, False), ("left", True, True), ("detour", False, False),
    ("failing", False, False), ("steady", True, False), ("left", False, True), ("unknown", False, False),
)  # fmt: skip
"""Model, whether it is streamed, whether the client leaves before the end of the response."""


class CutReport(msgspec.Struct):
    """What came of a run. `states` counts the different numbers of requests that scrapes and pushes showed."""

    scrapes: int = 0
    pushes: int = 0
    states: int = 0
    requests: int = 0
    successes: int = 0
    seconds: float = 0.0
    problems: list[str] = msgspec.field(default_factory=list)


async def watch_cuts(folder: Path, *, scrapes: int) -> CutReport:
    """Scrape a gateway so often while it is loaded and pushes, and check each scrape and each push."""
    report, started = CutReport(), time.monotonic()
    async with AsyncExitStack() as stack:
        receiver = stack.enter_context(_CheckingReceiver())
        upstream = await start_child("upstream", ("bench.canned_server",), log_path=folder / "upstream.log")
        stack.push_async_callback(upstream.stop)
        await upstream.wait_ready(canned_server.READY_LINE)
        config_path = folder / "gateway.toml"
        config_path.write_text(_config(folder, upstream.url))
        secret, _ = await create_key(config_path, "key", "free")
        gateway = await start_child(
            "gateway",
            ("app", "--config", str(config_path), "serve"),
            log_path=folder / "gateway.log",
            environ=os.environ
            | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "100"},
        )
        stack.push_async_callback(gateway.stop)
        await gateway.wait_ready(GATEWAY_READY_LINE)
        seen = await _scrape_under_load(gateway.url, secret, scrapes, report)
        await gateway.stop()
        seen |= receiver.states
        report.pushes, report.states = receiver.pushes, len(seen)
        report.problems += receiver.problems
    report.seconds = time.monotonic() - started
    return report


def differences(samples: Mapping[Series, float]) -> Iterator[str]:
    """Return where numbers of one cut do not agree."""
    requests = _by(samples, "fastapi_requests_total", "method", "path", "status_code")
    yield from _differ("responses", _by(samples, "fastapi_responses_total", "method", "path", "status_code"), requests)
    yield from _differ(
        "durations of requests",
        _by(samples, "fastapi_requests_duration_seconds_count", "method", "path"),
        _by(samples, "fastapi_requests_total", "method", "path"),
    )
    successes = _by(samples, "model_inference_requests_total", "provider", "model", only=("status", "success"))
    durations = _by(samples, "model_inference_duration_seconds_count", "provider", "model")
    yield from _differ("durations of attempts", durations, successes)
    inputs, outputs = (
        _by(samples, "tokens_used_total", "provider", "model", only=("token_type", each))
        for each in ("input", "output")
    )
    expected = {key: count * _TOKENS for key, count in successes.items() if key[0] == "steady"}
    for what, tokens in (("input", inputs), ("output", outputs)):
        yield from _differ(
            f"{what} tokens", {key: each for key, each in tokens.items() if key[0] == "steady"}, expected
        )
    prices = {
        key: inputs.get(key, 0) * _INPUT_NANOUSD + outputs.get(key, 0) * _OUTPUT_NANOUSD for key in inputs | outputs
    }
    costs = _by(samples, "gatewayz_cost_usd_total", "provider", "model", scale=_NANO)
    yield from _differ("cost of attempts", costs, prices)
    by_provider: dict[tuple[str, ...], int] = defaultdict(int)
    for (provider, _), price in prices.items():
        by_provider[(provider,)] += price
    yield from _differ(
        "cost by provider", _by(samples, "gatewayz_cost_by_provider", "provider", scale=_NANO), by_provider
    )


class _CheckingReceiver(OtlpReceiver):
    """An OTLP endpoint that checks each push of metrics."""

    def __init__(self) -> None:
        super().__init__()
        self.pushes = 0
        self.states: set[int] = set()
        self.problems: list[str] = []

    def take(self, signal: Signal, headers: Mapping[str, str], body: bytes, *, accept: bool) -> None:
        """Keep nothing but the newest push."""
        self.clear()
        super().take(signal, headers, body, accept=accept)
        if signal != "metrics":
            return
        samples = {
            (f"{name}_count" if isinstance(point, HistogramPoint) else name, labels): float(
                point.count if isinstance(point, HistogramPoint) else point
            )
            for name, metric in self.metrics.items()
            for labels, point in metric.points.items()
        }
        self.pushes += 1
        self.states.add(_requests(samples))
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems += [f"push {self.pushes}: {each}" for each in differences(samples)]


async def _scrape_under_load(url: str, secret: str, scrapes: int, report: CutReport) -> set[int]:
    """Return the numbers of requests that scrapes have shown."""
    seen: set[int] = set()
    samples: dict[Series, float] = {}
    numbers = iter(range(1, scrapes + 1))
    timeout = aiohttp.ClientTimeout(total=60.0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def scrape() -> None:
            nonlocal samples
            for number in numbers:
                async with session.get(f"{url}/metrics", headers={"accept": ACCEPT}) as response:
                    samples = read_exposition(await response.text())
                report.scrapes += 1
                seen.add(_requests(samples))
                if len(report.problems) < _MOST_PROBLEMS:
                    report.problems += [f"scrape {number}: {each}" for each in differences(samples)]

        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(_load(session, url, secret, number, stop))
            await asyncio.gather(*(scrape() for _ in range(SCRAPERS)))
            stop.set()
    report.requests = _requests(samples)
    report.successes = sum(
        _by(samples, "model_inference_requests_total", "provider", only=("status", "success")).values()
    )
    return seen


async def _load(session: aiohttp.ClientSession, url: str, secret: str, number: int, stop: asyncio.Event) -> None:
    """Send one request after the other, the last one to its end: a client that leaves changes what an attempt costs."""
    headers = {"authorization": f"Bearer {secret}"}
    for model, is_streamed, leaves in itertools.islice(itertools.cycle(_LOAD), number, None):
        if stop.is_set():
            return
        body = {"model": model, "messages": [{"role": "user", "content": "say something"}], "stream": is_streamed}
        async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
            if leaves:
                await response.content.readany()
                response.close()
            else:
                await response.read()


def _config(folder: Path, upstream: str) -> str:
    prices = f"input_usd_per_million = {_INPUT_NANOUSD / 1_000}, output_usd_per_million = {_OUTPUT_NANOUSD / 1_000}"
    models = "".join(
        f'[[models]]\nname = "{name}"\nroutes = ['
        + ", ".join(f'{{ provider = "{each}", upstream_model = "u", {prices} }}' for each in providers)
        + "]\n"
        for name, providers in _MODELS.items()
    )
    return _CONFIG.format(folder=folder, upstream=upstream, models=models)


def _requests(samples: Mapping[Series, float]) -> int:
    return sum(_by(samples, "fastapi_requests_total", "method").values())


def _by(
    samples: Mapping[Series, float], name: str, *keys: str, only: tuple[str, str] | None = None, scale: int = 1
) -> dict[tuple[str, ...], int]:
    """Return the sums of a sample by some of its labels, of the series with the label `only`, without zeros."""
    sums: dict[tuple[str, ...], int] = defaultdict(int)
    for (each, pairs), value in samples.items():
        labels = dict(pairs)
        if each == name and (only is None or labels[only[0]] == only[1]):
            sums[tuple(labels[key] for key in keys)] += round(value * scale)
    return {key: value for key, value in sums.items() if value}


def _differ(what: str, found: Mapping[tuple[str, ...], int], expected: Mapping[tuple[str, ...], int]) -> Iterator[str]:
    for key in sorted({*found, *expected}):
        if found.get(key, 0) != expected.get(key, 0):
            yield f"{what} of {'/'.join(key)}: {found.get(key, 0)} instead of {expected.get(key, 0)}"
