"""5 000 mixed requests: the console's interface, `/metrics` and Prometheus show the same numbers, though the console was killed.

The Collector's overlay sends everything to the console, and the metrics to Prometheus too.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from compose.native.ports import free_ports
from compose.native.servers import Choices
from compose.native.stack import make_stack
from demo.environment import EnvironmentOptions, start_environment
from demo.traffic.counters import MONEY, Series, TrafficCounters
from tests.harness.console_process import ConsoleProcess, running_console
from tests.harness.exposition import scrape
from tests.harness.polling import read_until, until
from tests.reconcile.compare import COMPARED, read_ledger, reconcile
from tests.reconcile.report import table
from tests.stack.console_api import RANGE, ConsoleApi
from tests.stack.mixed_traffic import REQUESTS, send
from tests.stack.prometheus_servers import Prometheus
from tests.stack.stores import Stores

FILES: Final = ("base.yaml", "metrics.yaml", "console.yaml")
SECONDS: Final = 300.0
NANO: Final = 1_000_000_000
PATIENCE: Final = "120s"
"""Far more than a start of the console takes, because the machine may be busy."""

MISSED: Final = 200
"""Requests that are served while there is no console."""

ATTEMPTS, COST, TOKENS = "model_inference_requests_total", "gatewayz_cost_usd_total", "tokens_used_total"
COUNTERS: Final = tuple(name for name in COMPARED if not name.endswith(("_count", "_sum")))
HISTOGRAMS: Final = (
    *(name.removesuffix("_count") for name in COMPARED if name.endswith("_count")),
    "gatewayz_overhead_seconds",
)
QUANTILE: Final = "provider_response_time_seconds"
WINDOW: Final = "120"


async def test_five_thousand_requests_are_the_same_in_a_console_that_was_killed(
    binaries: dict[str, Path], tmp_path: Path, seed: int, say: Callable[[str], None]
) -> None:
    with running_console(tmp_path) as console:
        environ = {"CONSOLE_OTLP_URL": console.otlp_url, "CONSOLE_PATIENCE": PATIENCE}
        stack = make_stack(binaries, tmp_path / "stack", free_ports(), Choices(collector_files=FILES), environ)
        options = EnvironmentOptions(
            folder=tmp_path,
            script="steady",
            with_real_model=False,
            share_seconds=0.0,
            environ={"OTEL_EXPORTER_OTLP_ENDPOINT": stack.url("otelcol"), "OTEL_METRIC_EXPORT_INTERVAL": "1000"},
        )
        try:
            await stack.start("prometheus", "otelcol")
            async with Stores(stack) as stores, start_environment(options, lambda _: None) as ready:
                counters = TrafficCounters(ready.models)
                seconds, missed = await asyncio.gather(
                    send(ready, counters, seed), _kill_in_the_middle(console, counters)
                )
                ended_seconds = time.time()
                findings = await reconcile(
                    counters,
                    gateway_url=ready.gateway_url,
                    upstream_url=ready.upstream_url,
                    database_path=ready.database_path,
                )
                assert findings.is_good, "\n".join(table(findings))
                async with aiohttp.ClientSession() as session, aiohttp.ClientSession(console.page_url) as to_console:
                    api = ConsoleApi(to_console)
                    samples = await scrape(session, ready.gateway_url)
                    spans = await _assert_requests(api, counters.attempts.total())
                    lines = await _assert_numbers(api, stores, samples)
                    await _assert_quantiles(
                        api, Prometheus("prometheus", stack.url("prometheus"), session), ended_seconds
                    )
                    await _assert_cost(api, samples, read_ledger(ready.database_path)["cost (nano-USD)"])
        finally:
            await stack.stop()
    say(
        f"{REQUESTS} mixed requests in {seconds:.1f} s ({REQUESTS / seconds:.0f}/s), {missed} of them without a console:"
        f" {lines} samples equal in the console, /metrics and Prometheus, {spans} spans, {REQUESTS} traces and request logs"
    )


async def _kill_in_the_middle(console: ConsoleProcess, counters: TrafficCounters) -> int:
    """Kill the console after two fifths of the requests; return how many were served until it listened again."""
    await until(lambda: counters.requests >= REQUESTS * 2 / 5, timeout_seconds=SECONDS)
    await asyncio.to_thread(console.kill)
    before = counters.requests
    await until(lambda: counters.requests >= before + MISSED, timeout_seconds=SECONDS)
    await asyncio.to_thread(console.start)
    return counters.requests - before


async def _assert_numbers(api: ConsoleApi, stores: Stores, samples: Mapping[Series, float]) -> int:
    """Every counter and bucket that requests move is the same three times; return how many there are."""
    names = {*COUNTERS, *(f"{name}_bucket" for name in HISTOGRAMS)}
    expected = _exact(samples, names)

    async def in_console() -> dict[Series, float]:
        found: dict[Series, float] = {}
        for name in COUNTERS:
            if any(key[0] == name for key in expected):
                found |= await api.values(name)
        for name in HISTOGRAMS:
            found |= await api.buckets(name)
        return _exact(found, names)

    async def in_prometheus() -> dict[Series, float]:
        return _exact(await stores.samples(), names)

    for read in (in_prometheus, in_console):
        found = await read_until(read, lambda found: found == expected, timeout_seconds=SECONDS)
        assert found == expected, f"{read.__name__}: {_differences(found, expected)}"
    # The window began before the gateway did, so what was counted in it is all of it.
    for name in (ATTEMPTS, COST, TOKENS):
        assert _exact(await api.values(name, "increase"), {name}) == {
            key: value for key, value in expected.items() if key[0] == name
        }
    assert len({key[0] for key in expected}) >= len(HISTOGRAMS) + 12
    return len(expected)


async def _assert_quantiles(api: ConsoleApi, prometheus: Prometheus, at_seconds: float) -> None:
    """The quantiles of the last minutes of the traffic are those of Prometheus at the same time."""
    query = f"histogram_quantile(0.95, sum by (le, provider) (rate({QUANTILE}_bucket[{WINDOW}s])))"
    at_seconds = int(at_seconds)
    chart = await api.get(
        "metrics/range",
        name=QUANTILE,
        fn="quantile",
        q="0.95",
        by="provider",
        window=WINDOW,
        step=WINDOW,
        to=str(at_seconds),
        range=RANGE["range"],
    )
    found = {each["labels"]["provider"]: each["values"][-1] for each in chart["series"] if each["values"][-1]}
    expected = {dict(labels)["provider"]: value for labels, value in (await prometheus.ask(query, at_seconds)).items()}
    assert len(expected) > 5
    # Not rounded: two that differ in their last bit may be on two sides of a half.
    assert found == pytest.approx(expected, rel=1e-9, abs=0)


async def _assert_cost(api: ConsoleApi, samples: Mapping[Series, float], ledger_nanousd: int) -> None:
    """The cost report has the tokens, attempts and nano-US-dollars of each provider and model, and the ledger's total."""
    report = await api.get("cost", period="range", **RANGE)
    assert round(report["total_usd"] * NANO) == round(report["requests_total_usd"] * NANO) == ledger_nanousd
    assert report["window"]["covered_from"] is None
    for label in ("provider", "model"):
        rows = {row["name"]: row for row in report[f"by_{label}"]}
        costs = {name: round(row["cost_usd"] * NANO) for name, row in rows.items()}
        assert _nonzero(costs) == {
            name: round(usd * NANO) for name, usd in _nonzero(_sums(samples, COST, label)).items()
        }
        for column, name, where in (
            ("requests", ATTEMPTS, {}),
            ("input_tokens", TOKENS, {"token_type": "input"}),
            ("output_tokens", TOKENS, {"token_type": "output"}),
        ):
            found = {row_name: row[column] or 0 for row_name, row in rows.items()}
            assert _nonzero(found) == _nonzero(_sums(samples, name, label, **where)), (column, label)


async def _assert_requests(api: ConsoleApi, attempts: int) -> int:
    """Each request has one line and one trace, with a span for itself and one for each attempt; return the spans."""

    async def stored() -> int:
        count: int = (await api.get("pipeline"))["store"]["spans"]
        return count

    async def lines() -> list[dict[str, Any]]:
        return await api.rows("requests")

    spans = REQUESTS + attempts
    assert await read_until(stored, lambda count: count >= spans, timeout_seconds=SECONDS) == spans
    # While log lines arrive a line may move to another page.
    is_whole = lambda rows: len(rows) == len({row["trace_id"] for row in rows}) == REQUESTS  # noqa: E731
    rows = await read_until(lines, is_whole, timeout_seconds=SECONDS)
    assert len(rows) == len({row["trace_id"] for row in rows}) == REQUESTS
    traces = [row["trace_id"] for row in await api.rows("traces") if row["kind"] == "server"]
    assert len(traces) == REQUESTS
    assert set(traces) == {row["trace_id"] for row in rows}
    return spans


def _exact(samples: Mapping[Series, float], names: set[str]) -> dict[Series, float]:
    """Return the samples of these names: money in nano-US-dollars, bounds of buckets as numbers."""
    return {
        (name, tuple((label, str(float(value)) if label == "le" else value) for label, value in labels)): (
            round(amount * NANO) if name in MONEY else amount
        )
        for (name, labels), amount in samples.items()
        if name in names
    }


def _differences(found: Mapping[Series, float], expected: Mapping[Series, float]) -> list[tuple[Series, Any, Any]]:
    keys = sorted(found.keys() | expected.keys())
    return [(key, found.get(key), expected.get(key)) for key in keys if found.get(key) != expected.get(key)][:20]


def _sums(samples: Mapping[Series, float], name: str, label: str, **where: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for (found, labels), value in samples.items():
        pairs = dict(labels)
        if found == name and where.items() <= pairs.items():
            sums[pairs[label]] = sums.get(pairs[label], 0.0) + value
    return sums


def _nonzero(amounts: Mapping[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in amounts.items() if amount}
