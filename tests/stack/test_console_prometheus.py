"""The console's charts equal what a real Prometheus computes from the same OTLP requests."""

import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from compose.native.ports import free_ports
from compose.native.servers import Choices
from compose.native.stack import make_stack
from console.query.chart import read_chart
from console.query.chart_query import ChartQuery
from console.query.view import View
from tests.harness.console import NOW_S, SECOND_NS, ConsoleClock, OpenConsole, metrics, open_console, resource
from tests.harness.console_metrics import at, counter, exponential, gauge, histogram
from tests.harness.polling import until
from tests.stack.prometheus_servers import Prometheus

SECONDS = 900
STEP = 60
RESTARTS = 0.04
ENDS = 0.1
PROVIDERS = ("a", "b")
BOUNDS = (0.1, 0.5, 1.0, 5.0)
FINE = (1,) * 8
"""In each bucket from the start. Prometheus leaves empty ones out, and adds histograms that differ in them wrongly: of the increases
6, 7, 7, 5, 13, 9, 9 and 6 over a restart, the sum of all, 62, was right, and its second bucket had 18, of the first and the fourth as well."""


@asynccontextmanager
async def both(binaries: dict[str, Path], folder: Path) -> AsyncIterator[tuple[OpenConsole, Prometheus, str]]:
    stack = make_stack(binaries, folder / "stack", free_ports(), Choices())
    try:
        await stack.start("prometheus")
        async with aiohttp.ClientSession() as session:
            prometheus = Prometheus("prometheus", stack.url("prometheus"), session)
            with open_console(folder, clock=ConsoleClock(time.time())) as console:
                yield console, prometheus, f"{stack.url('prometheus')}/api/v1/otlp/v1/metrics"
    finally:
        await stack.stop()


def pushes(rng: random.Random, now_s: int) -> list[list[Metric]]:
    """Return pushes about every 15 s: counters with resets, gauges that end, histograms that restart."""
    totals = dict.fromkeys(PROVIDERS, 0)
    buckets = {provider: [0] * (len(BOUNDS) + 1) for provider in PROVIDERS}
    fine = list(FINE)
    found = []
    since_now, started = -SECONDS, -SECONDS - 1.0
    base = now_s - NOW_S
    while since_now < 0:
        if rng.random() < RESTARTS:
            totals, started, fine = dict.fromkeys(PROVIDERS, 0), since_now - 0.5, list(FINE)
            buckets = {provider: [0] * (len(BOUNDS) + 1) for provider in PROVIDERS}
        for provider in PROVIDERS:
            totals[provider] += rng.randrange(30)
            for _ in range(rng.randrange(12)):
                buckets[provider][rng.randrange(len(BOUNDS) + 1)] += 1
        for _ in range(rng.randrange(12)):
            fine[rng.randrange(8)] += 1
        time_s, start_s = base + since_now, base + started
        ended = rng.random() < ENDS
        gauges = ((time_s, None if ended else rng.random(), {"provider": each}) for each in PROVIDERS)
        counts = ((time_s, totals[each], {"provider": each}) for each in PROVIDERS)
        observed = ((time_s, list(buckets[each]), {"provider": each}) for each in PROVIDERS)
        smooth = exponential("con_fine", (time_s, list(fine), {}), scale=1)
        smooth.exponential_histogram.data_points[0].start_time_unix_nano = at(start_s)
        found.append(
            [
                counter("con_requests", *counts, started=start_s),
                gauge("con_in_flight", *gauges),
                histogram("con_seconds", *observed, bounds=BOUNDS, started=start_s),
                smooth,
            ]
        )
        since_now += rng.choice((5, 14, 15, 15, 16, 40))
    return found


CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "sum by (provider) (rate(con_requests[90s]))",
        {"name": "con_requests", "by": ("provider",), "window_seconds": 90.0},
    ),
    ("sum(rate(con_requests[300s]))", {"name": "con_requests", "window_seconds": 300.0}),
    ("sum by (provider) (con_in_flight)", {"name": "con_in_flight", "by": ("provider",)}),
    ("sum(con_in_flight)", {"name": "con_in_flight"}),
    ("sum by (provider) (con_requests)", {"name": "con_requests", "function": "value", "by": ("provider",)}),
    (
        "histogram_quantile(0.95, sum by (le, provider) (rate(con_seconds_bucket[120s])))",
        {"name": "con_seconds", "by": ("provider",), "window_seconds": 120.0, "quantiles": (0.95,)},
    ),
    (
        "histogram_quantile(0.5, sum by (le) (rate(con_seconds_bucket[240s])))",
        {"name": "con_seconds", "window_seconds": 240.0, "quantiles": (0.5,)},
    ),
    (
        "sum(rate(con_seconds_sum[120s])) / sum(rate(con_seconds_count[120s]))",
        {"name": "con_seconds", "function": "average", "window_seconds": 120.0},
    ),
    (
        "histogram_quantile(0.9, sum(rate(con_fine[180s])))",
        {"name": "con_fine", "window_seconds": 180.0, "quantiles": (0.9,)},
    ),
    (
        "histogram_quantile(0.2, sum(rate(con_fine[180s])))",
        {"name": "con_fine", "window_seconds": 180.0, "quantiles": (0.2,)},
    ),
    ("sum(histogram_count(rate(con_fine[180s])))", {"name": "con_fine", "function": "rate", "window_seconds": 180.0}),
)


async def test_charts_are_those_of_a_real_prometheus(
    binaries: dict[str, Path], tmp_path: Path, say: Callable[[str], None]
) -> None:
    now_s = int(time.time())
    seed = random.SystemRandom().randrange(1_000_000)
    say(f"seed {seed}")
    async with both(binaries, tmp_path) as (console, prometheus, url), aiohttp.ClientSession() as session:
        origin = resource(service__name="shop", service__instance__id="1")
        for push in pushes(random.Random(seed), now_s):
            request = metrics(*push, origin=origin)
            await console.send(request)
            headers = {"content-type": "application/x-protobuf"}
            async with session.post(url, data=request.SerializeToString(), headers=headers) as response:
                assert response.status == 200, await response.text()
        await until(lambda: prometheus.ask("count(con_requests)", now_s), "the pushes are there")
        compared = 0
        for query, choices in CASES:
            found = _console(console, now_s, choices)
            expected = await _prometheus(prometheus, query, now_s)
            assert found.keys() == expected.keys(), query
            for labels, values in expected.items():
                assert found[labels] == pytest.approx(values, rel=1e-9, abs=1e-12), f"{query} {labels}"
                compared += len(values)
        say(f"{compared} values are equal")
        assert compared > 150


def _console(console: OpenConsole, now_s: int, choices: dict[str, Any]) -> dict[tuple[str, ...], dict[int, float]]:
    """Return the values by time, by the labels that were grouped by."""
    query = ChartQuery(
        begin_ns=(now_s - SECONDS) * SECOND_NS, end_ns=now_s * SECOND_NS, step_seconds=float(STEP), **choices
    )
    with console.store.readers.connection() as connection:
        chart = read_chart(View(connection, now_s * SECOND_NS), query)
    assert chart is not None
    return {
        tuple(value for name, value in each.labels.items() if name != "quantile"): {
            round(at_s): value for at_s, value in zip(chart.times, each.values, strict=True) if value is not None
        }
        for each in chart.series
    }


async def _prometheus(server: Prometheus, query: str, now_s: int) -> dict[tuple[str, ...], dict[int, float]]:
    times = {"start": str(now_s - SECONDS + STEP), "end": str(now_s), "step": str(STEP)}
    data = await server.get("query_range", query=query, **times)
    found = {
        tuple(each["metric"].values()): {
            round(at_s): value for at_s, text in each["values"] if math.isfinite(value := float(text))
        }
        for each in data["result"]
    }
    return {labels: values for labels, values in found.items() if values}
