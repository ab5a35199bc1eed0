"""The guide's six alerts on their whole way: samples, Prometheus' rules, Alertmanager, webhook; firing, and then resolved.

The rules are the shipped ones with their minutes made seconds. The gateway is played by a page of samples, so that all six fall ill at once.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from compose.native.ports import LOOPBACK, free_ports
from compose.native.servers import ROOT, Choices
from compose.native.stack import make_stack
from tests.stack.stores import until

EXPECTED = {
    ("HighErrorRate", "Error rate > 5% for 5 minutes"),
    ("ProviderHealthDegraded", "Provider openrouter health score below 0.7"),
    ("HighLatency", "Request latency p95 > 1 second"),
    ("CircuitBreakerOpen", "Circuit breaker open for openrouter"),
    ("HighCostRate", "Cost rate exceeds $100/hour"),
    ("AnomalyDetected", "Anomaly detected: latency_spike"),
}
FIRING_SECONDS = 60.0
RESOLVED_SECONDS = 120.0
"""Alertmanager tells of a group again after a minute (group_interval)."""


class Page:
    """The samples of a gateway that is well, or ill; each scrape finds counters that have moved on."""

    def __init__(self) -> None:
        self.is_ill = False
        self._scrapes = 0
        self._errors = 0
        self._slow = 0
        self._cost_usd = 0.0
        self._anomalies = 0

    def fall_ill(self) -> None:
        """From now on everything goes wrong."""
        self.is_ill = True
        self._anomalies += 1

    async def answer(self, _: web.Request) -> web.Response:
        """Answer a scrape."""
        self._scrapes += 1
        if self.is_ill:
            self._errors += 50
            self._slow += 50
            self._cost_usd += 1.0
        fine = 50 * self._scrapes
        lines = [
            'fastapi_app_info{app_name="gatewayz",version="1"} 1',
            f'fastapi_requests_total{{path="/v1/models",status_code="200"}} {fine}',
            f'fastapi_requests_total{{path="/v1/models",status_code="502"}} {self._errors}',
            f'fastapi_requests_duration_seconds_bucket{{path="/v1/models",le="0.5"}} {fine}',
            f'fastapi_requests_duration_seconds_bucket{{path="/v1/models",le="1.0"}} {fine}',
            f'fastapi_requests_duration_seconds_bucket{{path="/v1/models",le="2.5"}} {fine + self._slow}',
            f'fastapi_requests_duration_seconds_bucket{{path="/v1/models",le="+Inf"}} {fine + self._slow}',
            f'fastapi_requests_duration_seconds_count{{path="/v1/models"}} {fine + self._slow}',
            f'gatewayz_provider_health_score{{provider="openrouter"}} {0.3 if self.is_ill else 0.98}',
            'gatewayz_provider_health_score{provider="local"} 1',
            f'gatewayz_circuit_breaker_state{{provider="openrouter",state="open"}} {int(self.is_ill)}',
            f'gatewayz_circuit_breaker_state{{provider="openrouter",state="closed"}} {int(not self.is_ill)}',
            'gatewayz_circuit_breaker_state{provider="local",state="open"} 0',
            f'gatewayz_cost_by_provider{{provider="openrouter"}} {self._cost_usd}',
            f'gatewayz_detected_anomalies{{type="latency_spike"}} {self._anomalies}',
            'gatewayz_detected_anomalies{type="error_surge"} 0',
        ]
        return web.Response(text="\n".join(lines) + "\n", headers={"content-type": "text/plain; version=0.0.4"})


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
async def serving(method: str, path: str, handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    """Serve one path on a free port; yield the address."""
    application = web.Application()
    application.router.add_route(method, path, handler)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        yield f"{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def in_seconds(folder: Path) -> Choices:
    """Write the rules and the configuration with seconds for minutes."""
    rules = folder / "rules"
    rules.mkdir()
    for path in (ROOT / "dashboards" / "rules").glob("*.yml"):
        text = path.read_text().replace("interval: 30s", "interval: 1s").replace("[1m:15s]", "[3s:1s]")
        text = re.sub(r"\[\d+m\]", "[15s]", text)  # an increase must outlast group_wait, as five minutes do
        (rules / path.name).write_text(re.sub(r"for: \d+m", "for: 3s", text))
    text = (ROOT / "compose" / "prometheus" / "prometheus.scrape-only.yml").read_text()
    text = re.sub(r"(interval|timeout): \d+s", r"\1: 1s", text)
    prometheus = folder / "prometheus.yml"
    prometheus.write_text(text)
    return Choices(prometheus_file=prometheus, rules=rules)


async def test_each_alert_of_the_guide_reaches_the_webhook_and_is_taken_back(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    page, webhook = Page(), Webhook()
    async with serving("GET", "/metrics", page.answer) as gateway, serving("POST", "/", webhook.take) as hook:
        choices = in_seconds(tmp_path)
        choices = Choices(
            prometheus_file=choices.prometheus_file,
            rules=choices.rules,
            gateway_address=gateway,
            webhook_url=f"http://{hook}/",
        )
        stack = make_stack(binaries, tmp_path / "stack", free_ports(), choices)
        try:
            await stack.start("alertmanager", "prometheus")
            await asyncio.sleep(8.0)  # well for longer than any alert waits
            assert webhook.told["firing"] == {}
            page.fall_ill()

            async def all_firing() -> bool:
                return webhook.told["firing"].keys() >= EXPECTED

            assert await until(all_firing, FIRING_SECONDS), webhook.told["firing"].keys()
            page.is_ill = False

            async def all_resolved() -> bool:
                return webhook.told["resolved"].keys() >= EXPECTED

            assert await until(all_resolved, RESOLVED_SECONDS), webhook.told["resolved"].keys()
        finally:
            await stack.stop()
    assert webhook.told["firing"].keys() == EXPECTED
    for alert in webhook.told["firing"].values():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["runbook_url"].startswith("docs/alerts.md#")
