"""N requests in: exactly N counted in Prometheus, N traces in Tempo, N request logs in Loki, and the cost in Prometheus is the ledger's."""

import asyncio
import statistics
import time
from pathlib import Path

import aiohttp
import pytest

from compose.native.servers import Choices
from demo.environment import Environment, EnvironmentOptions, start_environment
from demo.traffic.counters import TrafficCounters
from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind
from tests.harness.exposition import scrape
from tests.harness.polling import holds_within
from tests.reconcile.compare import compare_ledger, compare_metrics, read_ledger, reconcile
from tests.reconcile.report import table
from tests.stack.mixed_traffic import REQUESTS, send
from tests.stack.money_and_causes import assert_causes, assert_money
from tests.stack.stores import Stores

SETTLE_SECONDS = 60.0
PROBES = 40
PROBE_INTERVAL_SECONDS = 0.4


def otlp_to(endpoint: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    """Let gateways that are started from now on push there."""
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **more}.items():
        monkeypatch.setenv(name, value)


async def test_five_thousand_mixed_requests_are_the_same_number_in_every_store(
    stack_with, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, say
) -> None:
    options = EnvironmentOptions(folder=tmp_path, script="steady", with_real_model=False, share_seconds=0.0)
    async with stack_with(Choices()) as stack, Stores(stack) as stores:
        otlp_to(stack.url("otelcol"), monkeypatch, OTEL_METRIC_EXPORT_INTERVAL="1000")
        async with start_environment(options, lambda _: None) as ready:
            counters = TrafficCounters(ready.models)
            seconds = await send(ready, counters, seed)
            assert counters.mismatches == []
            findings = await reconcile(
                counters,
                gateway_url=ready.gateway_url,
                upstream_url=ready.upstream_url,
                database_path=ready.database_path,
                settle_seconds=10.0,
            )
            assert findings.is_good, "\n".join(table(findings))

            async def is_all_there() -> bool:
                return (
                    await stores.total("fastapi_requests_total") == REQUESTS
                    and await stores.log_count() == REQUESTS
                    and len(await stores.traces()) == REQUESTS
                )

            arrived = await holds_within(is_all_there, SETTLE_SECONDS)
            samples = await stores.samples()
            lines = [
                *compare_metrics(counters, samples),
                *compare_ledger(counters, read_ledger(ready.database_path), samples),
            ]
            differences = [line for line in lines if not line.is_equal]
            assert differences == []
            assert len(lines) > 150
            for text in await assert_money(stores, counters, ready.database_path):
                say(text)
            say(await assert_causes(stores, counters))
            traces, logs = await stores.traces(), await stores.request_logs()
            assert arrived, (len(traces), len(logs))
            assert len(traces) == len(logs) == REQUESTS
            assert set(logs.values()) == {1}
            assert traces.keys() == logs.keys()
            attempts = counters.attempts.total()
            spans = await stores.span_counts(traces)
            exported = await stores.number('sum(gatewayz_telemetry_exported_total{signal="traces"})')
            say(
                f"spans: {REQUESTS} requests and {attempts} attempts; {spans} in Tempo; {exported:.0f} said to be exported"
            )
            assert spans == REQUESTS + attempts
            await _assert_names(stores, ready)
        say(
            f"{REQUESTS} mixed requests in {seconds:.1f} s ({REQUESTS / seconds:.0f}/s):"
            f" {len(lines)} series and sums equal in Prometheus, {len(traces)} traces, {logs.total()} request logs"
        )


async def _assert_names(stores: Stores, ready: Environment) -> None:
    """Every documented family that the gateway shows is in Prometheus under the same name, of one job each."""
    async with aiohttp.ClientSession() as session:
        shown = {name for name, _ in await scrape(session, ready.gateway_url)}
    parts = {
        name: spec.name
        for spec in CATALOGUE
        for name in (
            [f"{spec.name}{part}" for part in ("_bucket", "_sum", "_count")]
            if spec.kind is Kind.HISTOGRAM
            else [spec.name]
        )
    }
    # Each of the other servers has `process_*` of its own, under its own job.
    expected = {name for name in shown & parts.keys() if not name.startswith("process_")}
    assert len({parts[name] for name in expected}) >= 25
    names = "|".join(sorted(expected))
    jobs = {
        each["metric"]["__name__"]: float(each["value"][1])
        for each in await stores.prometheus(f'count by (__name__) (count by (__name__, job) ({{__name__=~"{names}"}}))')
    }
    assert jobs == dict.fromkeys(expected, 1.0)


async def test_how_long_a_request_takes_to_be_visible_in_each_store(
    stack_with, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say
) -> None:
    """With the gateway's own intervals: what an on-call engineer waits for."""
    options = EnvironmentOptions(folder=tmp_path, script="steady", with_real_model=False)
    async with stack_with(Choices()) as stack, Stores(stack) as stores:
        otlp_to(stack.url("otelcol"), monkeypatch)
        async with start_environment(options, lambda _: None) as ready, aiohttp.ClientSession() as session:
            url, model = f"{ready.gateway_url}/v1/chat/completions", ready.models[0].name
            body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
            headers = {"authorization": f"Bearer {ready.keys['main']}"}
            tasks: list[asyncio.Task[dict[str, float]]] = []
            for number in range(PROBES):
                async with session.post(url, json=body, headers=headers) as response:
                    assert response.status == 200
                    await response.read()
                    trace_id = response.headers["x-trace-id"]
                tasks.append(asyncio.create_task(_watch(stores, trace_id, number + 1)))
                await asyncio.sleep(PROBE_INTERVAL_SECONDS)  # a rate, not a wait for something
            delays = await asyncio.gather(*tasks)
    for store in ("Loki", "Tempo", "Prometheus"):
        seconds = sorted(each[store] for each in delays)
        median, p99 = statistics.median(seconds), seconds[int(0.99 * (len(seconds) - 1))]
        say(f"visible in {store:10} after {median:5.2f} s (median), {p99:5.2f} s (p99) of {PROBES} requests")
    assert all(each[store] < 30.0 for each in delays for store in each)


async def _watch(stores: Stores, trace_id: str, count: int) -> dict[str, float]:
    """Return after how many seconds each store shows the request; Prometheus shows that it counted at least so many."""
    began = time.monotonic()
    found: dict[str, float] = {}

    async def look(store: str, sees) -> None:
        assert await holds_within(sees, SETTLE_SECONDS), f"{store} does not show {trace_id}"
        found[store] = time.monotonic() - began

    async def is_counted() -> bool:
        return await stores.total("fastapi_requests_total") >= count

    await asyncio.gather(
        look("Loki", lambda: stores.has_log(trace_id)),
        look("Tempo", lambda: stores.has_trace(trace_id)),
        look("Prometheus", is_counted),
    )
    return found
