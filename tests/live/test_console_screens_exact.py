"""The console's numbers after mixed requests over HTTP equal those of the gateway's `/metrics`, to the nano-dollar and the bucket.

The console is stopped and started again on its file in the middle.
"""

import asyncio
import math
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from console.http.build import build_console_app
from console.query.histogram_growth import read_histogram_growth
from console.query.view import View
from console.receive.http_app import OtlpApp
from console.store.limits import Limits
from console.store.store import Store
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters
from demo.traffic.outcomes import Pace
from demo.traffic.schedule import EVEN_MIX, ScheduleOptions, schedule
from demo.traffic.sender import Traffic
from tests.harness.exposition import Series, scrape
from tests.harness.polling import until
from tests.harness.served_asgi import free_port, serve_asgi

pytestmark = pytest.mark.live

REQUESTS = int(os.environ.get("CONSOLE_REQUESTS", "240"))
"""More of them take minutes."""
SEED = 13
NANO = 10**9
ATTEMPTS, COST, TOKENS = "model_inference_requests_total", "gatewayz_cost_usd_total", "tokens_used_total"
HISTOGRAMS = (
    "fastapi_requests_duration_seconds",
    "provider_response_time_seconds",
    "model_inference_duration_seconds",
    "gatewayz_time_to_first_token_seconds",
    "gatewayz_overhead_seconds",
)


class Console:
    """A console in this process; its OTLP port stays the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = free_port()
        self.lines: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Console"]:
        self.store = Store(self.path, Limits(), unix_s=time.time, print_line=self.lines.append)
        app = build_console_app(self.store, version="0", token=None, print_line=self.lines.append)
        transport = httpx.ASGITransport(app)
        try:
            async with (
                serve_asgi(OtlpApp(self.store, token=None, unix_s=time.time), self.port),
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as self._client,
            ):
                yield self
        finally:
            app.close()
            self.store.close()
        assert self.lines == []

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        response = await self._client.get(path, params={"range": 3_600, **params})
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def trace(self, trace_id: str) -> dict[str, Any]:
        response = await self._client.get(f"/api/traces/{trace_id}")
        found: dict[str, Any] = response.json()
        return found

    async def latest(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the newest value of each series of a counter."""
        chart = await self.get("/api/metrics/range", name=name, fn="value", by="*", step=3_600, limit=100)
        return {
            tuple(sorted((key, text) for key, text in each["labels"].items() if not key.startswith("resource."))): each[
                "values"
            ][-1]
            for each in chart["series"]
        }

    async def rows(self, path: str) -> list[dict[str, Any]]:
        """Return every row of a paged list."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=500, **cursor)
            found += page["rows"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


@pytest.fixture(scope="module")
async def run(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Console, dict[Series, float], TrafficCounters]]:
    folder = tmp_path_factory.mktemp("exact")
    console = Console(folder / "console.sqlite")
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{console.port}",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    (folder / "gateway").mkdir()
    options = EnvironmentOptions(
        folder=folder / "gateway", script="steady", with_real_model=False, share_seconds=0.0, environ=environ
    )
    plan = schedule(
        read_trace(), ScheduleOptions(seed=SEED, run="exact", speed=30.0, mix=EVEN_MIX, pace=Pace(scale=0.1))
    )
    async with start_environment(options, lambda _: None) as ready, aiohttp.ClientSession() as session:
        counters = TrafficCounters(ready.models)
        async with console.running():
            await _send(ready, counters, islice(plan, REQUESTS // 2))
        await _send(ready, counters, islice(plan, REQUESTS // 4))
        async with console.running():
            await _send(ready, counters, islice(plan, REQUESTS // 4))

            async def has_all() -> dict[Series, float] | None:
                samples = await scrape(session, ready.gateway_url)
                latest = await console.latest(ATTEMPTS)
                has_metrics = _expected(samples, ATTEMPTS).items() <= latest.items()
                # Each signal is sent on its own: logs may be here before the spans that they belong to.
                requests = await console.rows("/api/requests")
                has_rows = len(requests) >= counters.requests and all(row["has_trace"] for row in requests)
                served = [row for row in await console.rows("/api/traces") if row["kind"] == "server"]
                return samples if has_metrics and has_rows and len(served) >= counters.requests else None

            samples = await until(has_all, "the console has everything", timeout_seconds=120)
            yield console, samples, counters


async def _send(ready: Environment, counters: TrafficCounters, plan: Any) -> None:
    traffic = Traffic(
        gateway_url=ready.gateway_url,
        upstream_url=ready.upstream_url,
        keys=ready.keys,
        counters=counters,
        monotonic=time.monotonic,
        max_in_flight=64,
    )
    async with asyncio.timeout(60 + REQUESTS / 5):
        await traffic.run(plan, asyncio.Event())


def _expected(samples: dict[Series, float], name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {labels: value for (sample, labels), value in samples.items() if sample == name}


def _by(samples: dict[Series, float], name: str, key: str, **where: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for labels, value in _expected(samples, name).items():
        if where.items() <= dict(labels).items():
            sums[dict(labels)[key]] += value
    return {value: amount for value, amount in sums.items() if amount}


async def test_every_request_has_its_one_line_and_its_trace(run) -> None:
    console, samples, counters = run
    assert counters.requests == REQUESTS
    rows = await console.rows("/api/requests")
    assert len(rows) == REQUESTS == sum(_expected(samples, "fastapi_requests_total").values())
    assert len({row["trace_id"] for row in rows}) == REQUESTS
    assert all(row["has_trace"] for row in rows)
    traces = await console.rows("/api/traces")
    assert len([row for row in traces if row["kind"] == "server"]) == REQUESTS


async def test_statuses_of_the_request_log_are_those_of_the_counter(run) -> None:
    console, samples, _ = run
    by_status: dict[str, float] = defaultdict(float)
    for row in await console.rows("/api/requests"):
        by_status[str(row["status"])] += 1
    assert by_status == _by(samples, "fastapi_requests_total", "status_code")


async def test_every_counter_of_attempts_and_failures_is_equal(run) -> None:
    console, samples, _ = run
    for name in (ATTEMPTS, "fastapi_requests_total", "cache_hits_total", "rate_limited_requests"):
        assert (await console.latest(name)).items() >= _expected(samples, name).items(), name


@pytest.mark.parametrize("key", ["provider", "model"])
async def test_cost_and_tokens_by_provider_and_model_are_equal(run, key: str) -> None:
    console, samples, _ = run
    rows = {row["name"]: row for row in (await console.get("/api/cost", period="range"))[f"by_{key}"]}
    costs = {name: round(row["cost_usd"] * NANO) for name, row in rows.items() if row["cost_usd"]}
    assert costs == {name: round(usd * NANO) for name, usd in _by(samples, COST, key).items()}
    for kind in ("input", "output"):
        found = {name: row[f"{kind}_tokens"] for name, row in rows.items() if row[f"{kind}_tokens"]}
        assert found == _by(samples, TOKENS, key, token_type=kind)
    attempts = {name: row["requests"] for name, row in rows.items() if row["requests"]}
    assert attempts == _by(samples, ATTEMPTS, key)


async def test_the_total_from_counters_is_the_total_of_the_request_lines(run) -> None:
    console, samples, _ = run
    report = await console.get("/api/cost", period="range")
    total = round(sum(_expected(samples, COST).values()) * NANO)
    assert round(report["total_usd"] * NANO) == total == round(report["requests_total_usd"] * NANO)
    assert report["window"]["covered_from"] is None
    for by in ("by_plan", "by_key", "by_source"):
        assert round(sum(row["cost_usd"] for row in report[by]) * NANO) == total


async def test_failures_by_kind_are_equal(run) -> None:
    console, samples, _ = run
    expected = {
        tuple(dict(labels)[key] for key in ("provider", "model", "error_kind")): count
        for labels, count in _expected(samples, "gatewayz_attempt_failures_total").items()
        if count
    }
    groups = (await console.get("/api/failures"))["groups"]
    assert {(each["provider"], each["model"], each["error_kind"]): each["counted"] for each in groups} == expected
    assert {(each["provider"], each["model"], each["error_kind"]): each["count"] for each in groups} == expected


@pytest.mark.parametrize("name", HISTOGRAMS)
async def test_every_bucket_is_equal(run, name: str) -> None:
    console, samples, _ = run
    expected: dict[tuple[tuple[str, str], ...], dict[float, float]] = defaultdict(dict)
    for labels, value in _expected(samples, f"{name}_bucket").items():
        bound = dict(labels)["le"]
        expected[tuple(pair for pair in labels if pair[0] != "le")][math.inf if bound == "+Inf" else float(bound)] = (
            value
        )
    now_ns = time.time_ns()
    with console.store.readers.connection() as connection:
        found = read_histogram_growth(View(connection, now_ns), name, now_ns - 3_600 * NANO, now_ns)
    buckets = {
        tuple(sorted((key, text) for key, text in growth.labels.items() if not key.startswith("resource."))): dict(
            growth.distribution  # type: ignore[arg-type]  # the gateway sends classic histograms
        )
        for growth in found
    }
    assert {labels: counts for labels, counts in expected.items() if any(counts.values())} == buckets


async def test_the_trace_of_a_failover_names_each_attempt(run) -> None:
    console, _, _ = run
    row = next(row for row in await console.rows("/api/requests") if row["attempts"] == 2 and row["outcome"] == "ok")
    trace = await console.trace(row["trace_id"])
    first, second = trace["attempts"]
    assert (first["status"], second["status"]) == ("error", "success")
    assert first["error_kind"] is not None
    assert any(line["logger"] == "gatewayz.request" for line in trace["logs"])
    cost = sum(round((each["cost_usd"] or 0) * NANO) for each in trace["attempts"])
    assert cost == round(row["cost_usd"] * NANO) == round(trace["request"]["cost_usd"] * NANO)
