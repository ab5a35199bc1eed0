"""The six alerts end to end: requests, gateway, Collector, Prometheus' rules, Alertmanager, webhook; firing, then resolved.

The rules are the shipped ones with their minutes made seconds. A real gateway is driven into all
six. What its anomaly detector has learned of the hours before is made by the detector itself, from
attempts that never happened, and kept where a restart would find it.
"""

import asyncio
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from app.anomaly.detector import AnomalyDetector
from app.anomaly.watch import STATE_NAME
from app.config.schema import AnomaliesConfig
from bench.environment import DETOUR_MODEL, DIRECT_MODEL, bench_environment
from compose.native.ports import LOOPBACK, free_ports
from compose.native.servers import ROOT, Choices
from compose.native.stack import make_stack
from tests.harness.polling import holds_within
from tests.stack.gateway_process import GatewayProcess

EXPECTED = {
    ("HighErrorRate", "Error rate > 5% for 5 minutes"),
    ("ProviderHealthDegraded", "Provider healthy health score below 0.7"),
    ("HighLatency", "Request latency p95 > 30 seconds"),
    ("CircuitBreakerOpen", "Circuit breaker open for healthy"),
    ("HighCostRate", "Cost rate exceeds $100/hour"),
    ("AnomalyDetected", "Anomaly detected: unusual_pattern"),
}
SECONDS_OF_A_MINUTE = [
    (r"\b(scrape|evaluation)_interval: \d+s", r"\1_interval: 1s"),
    (r"\binterval: 30s", "interval: 1s"),
    (r"\[1m:15s\]", "[3s:1s]"),
    (r"\[\d+m\]", "[15s]"),  # an increase must outlast Alertmanager's group_wait, as five minutes do
    (r"for: \d+m", "for: 5s"),
    (r"\)\) > 30\b", ")) > 0.5"),  # seconds of a response
]
FIRING_SECONDS = 300.0
"""The detector judges whole minutes, three at a time."""

LEARNED_MINUTES = 120
ATTEMPTS_PER_MINUTE = 240
RESOLVED_SECONDS = 150.0
"""Alertmanager tells of a group again after a minute (group_interval)."""

NEVER_OPENS = "enabled = false\n[[providers]]"
IMPATIENT = """enabled = true
open_seconds = 2.0
max_open_seconds = 4.0
[anomalies]
interval_seconds = 1.0
[probes]
provider_interval_seconds = 2.0
timeout_seconds = 2.0
[[providers]]"""
"""A breaker and probes that come to a conclusion within the test."""


class Webhook:
    """What Alertmanager told, by status."""

    def __init__(self) -> None:
        self.told: dict[str, dict[tuple[str, str], dict[str, Any]]] = {"firing": {}, "resolved": {}}

    async def take(self, request: web.Request) -> web.Response:
        """Take one notification."""
        for alert in (await request.json())["alerts"]:
            key = alert["labels"]["alertname"], alert["annotations"]["summary"]
            self.told[alert["status"]][key] = alert
        return web.Response()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen on a free port; yield the URL."""
        application = web.Application()
        application.router.add_post("/", self.take)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, 0).start()
            yield f"http://{LOOPBACK}:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()


class Traffic:
    """Requests four times a second, well or ill; `is_unhealthy` may change at any time."""

    def __init__(self, gateway_url: str, secret: str) -> None:
        self.is_unhealthy = self._was_unhealthy = False
        self._chat_url = f"{gateway_url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}

    def fall_ill(self) -> None:
        """From now on one provider fails, and the other is slow and dear."""
        self.is_unhealthy = self._was_unhealthy = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send until the end of the block; then raises what went wrong with a request."""
        tasks: list[asyncio.Task[None]] = []
        async with aiohttp.ClientSession() as session:
            pace = asyncio.create_task(self._run(session, tasks))
            try:
                yield
            finally:
                pace.cancel()
                done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [each for each in done if each is not None] == []

    async def _run(self, session: aiohttp.ClientSession, tasks: list[asyncio.Task[None]]) -> None:
        while True:
            # The provider "healthy" alone serves this model. It gets no request before it fails, so that all of its requests fail.
            if self.is_unhealthy:
                tasks.append(asyncio.create_task(self._ask(session, DIRECT_MODEL, "healthy", {"status": 500})))
            elif self._was_unhealthy:
                tasks.append(asyncio.create_task(self._ask(session, DIRECT_MODEL, "healthy", {})))
            slow_and_dear = {"delay_seconds": 0.8, "prompt_tokens": 100_000, "completion_tokens": 1}
            script = slow_and_dear if self.is_unhealthy else {}
            tasks.append(asyncio.create_task(self._ask(session, DETOUR_MODEL, "flaky", script)))
            await asyncio.sleep(0.25)

    async def _ask(self, session: aiohttp.ClientSession, model: str, provider: str, script: dict[str, Any]) -> None:
        messages = [{"role": "user", "content": "say something"}]
        body = msgspec.json.encode({"model": model, "messages": messages, "x_script": {provider: script}})
        async with session.post(self._chat_url, data=body, headers=self._headers) as response:
            await response.read()
            assert response.status in {200, 502, 503}


def in_seconds(text: str) -> str:
    """Return rules or a configuration with seconds for minutes."""
    for pattern, replacement in SECONDS_OF_A_MINUTE:
        text = re.sub(pattern, replacement, text)
    return text


def keep_learned(database_path: Path, now_seconds: float) -> None:
    """Let the detector see two hours of well traffic, and keep what it learned for the gateway that starts next."""
    detector = AnomalyDetector(
        [("flaky", DETOUR_MODEL), ("healthy", DETOUR_MODEL), ("healthy", DIRECT_MODEL)], AnomaliesConfig()
    )
    for minute in range(LEARNED_MINUTES, 0, -1):
        began_seconds = now_seconds - 60.0 * minute
        for number in range(ATTEMPTS_PER_MINUTE):
            detector.observe(
                "flaky",
                DETOUR_MODEL,
                "success",
                now_seconds=began_seconds + number * 60.0 / ATTEMPTS_PER_MINUTE,
                duration_seconds=0.01 + 0.001 * (number % 7),
                input_tokens=10,
                output_tokens=5,
            )
        assert detector.evaluate(began_seconds + 60.0) == []
    with sqlite3.connect(database_path) as database:
        row = (STATE_NAME, detector.dump().decode(), int(now_seconds * 1_000))
        database.execute("INSERT INTO detector_state (name, state, updated_unix_ms) VALUES (?, ?, ?)", row)


def choices(folder: Path, gateway_url: str, webhook_url: str) -> Choices:
    """Write the shipped rules and configuration in seconds."""
    rules = folder / "rules"
    rules.mkdir()
    shipped = ROOT / "dashboards" / "rules" / "gateway.yml"
    (rules / shipped.name).write_text(in_seconds(shipped.read_text()))
    prometheus = folder / "prometheus.yml"
    prometheus.write_text(in_seconds((ROOT / "compose" / "prometheus" / "prometheus.yml").read_text()))
    return Choices(
        collector_files=("base.yaml", "metrics.yaml"),
        prometheus_file=prometheus,
        rules=rules,
        gateway_address=gateway_url.removeprefix("http://"),
        webhook_url=webhook_url,
    )


async def test_each_alert_reaches_the_webhook_and_is_taken_back(
    binaries: dict[str, Path], tmp_path: Path, say: Any
) -> None:
    webhook = Webhook()
    async with AsyncExitStack() as ends:
        webhook_url = await ends.enter_async_context(webhook.serving())
        bench = await ends.enter_async_context(bench_environment(tmp_path))
        ports = free_ports()
        collector_url = f"http://{LOOPBACK}:{ports.collector_otlp_http}"
        otel = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector_url}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        gateway = GatewayProcess(bench, otel, {NEVER_OPENS: IMPATIENT})
        stack = make_stack(binaries, tmp_path / "stack", ports, choices(tmp_path, gateway.url, webhook_url))
        ends.push_async_callback(stack.stop)
        await stack.start("alertmanager", "prometheus", "otelcol")
        ends.push_async_callback(gateway.stop)
        keep_learned(gateway.database_path, time.time())
        await gateway.start()
        traffic = Traffic(gateway.url, bench.secret)
        await ends.enter_async_context(traffic.running())

        await asyncio.sleep(20.0)  # for longer than an alert and Alertmanager wait together
        assert webhook.told["firing"] == {}
        traffic.fall_ill()
        began_seconds = time.monotonic()

        async def all_firing() -> bool:
            return webhook.told["firing"].keys() >= EXPECTED

        assert await holds_within(all_firing, FIRING_SECONDS), webhook.told["firing"].keys()
        say(f"all six at the webhook after {time.monotonic() - began_seconds:.0f} s")
        traffic.is_unhealthy = False
        began_seconds = time.monotonic()

        async def all_resolved() -> bool:
            return webhook.told["resolved"].keys() >= EXPECTED

        assert await holds_within(all_resolved, RESOLVED_SECONDS), webhook.told["resolved"].keys()
        say(f"all six resolved after {time.monotonic() - began_seconds:.0f} s")
    # Prompts of a hundred thousand tokens are unusual within a minute; that half of the requests fail shows after two more, or not at all here.
    others = webhook.told["firing"].keys() - EXPECTED
    assert others <= {("AnomalyDetected", f"Anomaly detected: {kind}") for kind in ("error_surge", "latency_spike")}
    for alert in webhook.told["firing"].values():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{alert['labels']['alertname']}.md")
