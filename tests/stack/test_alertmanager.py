"""Alertmanager's own tool and server on the shipped files: they are valid, route by severity and team, and inhibit what they should."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml

from compose.native.ports import free_ports
from compose.native.servers import ROOT
from compose.native.stack import make_stack
from tests.harness.polling import holds_within
from tests.stack.command_output import command_output

FOLDER = ROOT / "compose" / "alertmanager"
FILES = sorted(path.name for path in FOLDER.glob("*.yml"))
KIND = {"critical": "page", "warning": "ticket"}
SETTLED_SECONDS = 30.0


def alert_rules() -> list[dict[str, Any]]:
    groups = [
        group
        for path in sorted((ROOT / "dashboards" / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
    ]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_valid(binaries: dict[str, Path], name: str) -> None:
    code, output = await command_output(binaries["amtool"], "check-config", FOLDER / name)
    assert code == 0, output


@pytest.mark.parametrize("name", FILES)
async def test_every_alert_goes_to_its_team_as_a_page_or_a_ticket(binaries: dict[str, Path], name: str) -> None:
    wanted = {
        (
            rule["labels"]["severity"],
            rule["labels"]["team"],
        ): f"{rule['labels']['team']}-{KIND[rule['labels']['severity']]}"
        for rule in alert_rules()
    }
    assert len(wanted) == 6
    for (severity, team), receiver in wanted.items():
        labels = (f"severity={severity}", f"team={team}")
        assert await routed(binaries, name, *labels) == receiver
    assert await routed(binaries, name, "alertname=Mine") == "unrouted"
    assert await routed(binaries, name, "severity=critical") == "unrouted"


async def routed(binaries: dict[str, Path], name: str, *labels: str) -> str:
    """Return the receiver of an alert with these labels."""
    arguments = ("config", "routes", "test", f"--config.file={FOLDER / name}", *labels)
    code, output = await command_output(binaries["amtool"], *arguments)
    assert code == 0, output
    return output.strip()


def notification(status: str) -> dict[str, Any]:
    alert = {
        "status": status,
        "labels": {
            "alertname": "CircuitBreakerOpen",
            "severity": "critical",
            "team": "gateway",
            "provider": "openrouter",
        },
        "annotations": {
            "summary": "Circuit breaker open for openrouter",
            "description": "No user traffic goes to openrouter, except trial calls.",
            "runbook_url": "https://wiki.example/CircuitBreakerOpen.md",
        },
        "startsAt": "2026-11-29T15:04:05Z",
        "endsAt": "2026-11-29T15:24:05Z",
        "generatorURL": "http://prometheus.example/graph?g0.expr=x",
    }
    return {
        "receiver": "gateway-page",
        "status": status,
        "alerts": [alert],
        "groupLabels": {"alertname": "CircuitBreakerOpen", "provider": "openrouter"},
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example",
    }


FIRING_TEXT = """Circuit breaker open for openrouter
No user traffic goes to openrouter, except trial calls.
Since 2026-11-29 15:04:05 UTC
What to do: https://wiki.example/CircuitBreakerOpen.md
The numbers: http://prometheus.example/graph?g0.expr=x

Team: gateway
Silence it: http://alertmanager.example/#/silences/new?filter=%7Balertname%3D%22CircuitBreakerOpen%22%2Cprovider%3D%22openrouter%22%7D"""


@pytest.mark.parametrize(
    ("status", "template", "text"),
    [
        ("firing", "gatewayz.title", "CRITICAL CircuitBreakerOpen openrouter"),
        ("resolved", "gatewayz.title", "RESOLVED CircuitBreakerOpen openrouter"),
        ("firing", "gatewayz.text", FIRING_TEXT),
        ("resolved", "gatewayz.text", "Over: Circuit breaker open for openrouter"),
        ("resolved", "gatewayz.text", "Since 2026-11-29 15:04:05 UTC, until 15:24:05"),
        ("firing", "gatewayz.html", '<a href="https://wiki.example/CircuitBreakerOpen.md">What to do</a>'),
    ],
)
async def test_a_notification_says_what_is_wrong_since_when_and_what_to_do(
    binaries: dict[str, Path], tmp_path: Path, status: str, template: str, text: str
) -> None:
    data = tmp_path / "data.json"
    data.write_text(json.dumps(notification(status)))
    code, output = await command_output(
        binaries["amtool"],
        "template",
        "render",
        f"--template.glob={FOLDER}/templates/*.tmpl",
        f'--template.text={{{{ template "{template}" . }}}}',
        f"--template.data={data}",
        f"--template.type={'html' if template.endswith('html') else 'text'}",
    )
    assert code == 0, output
    assert text in output


@pytest.fixture
async def alertmanager(binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[str]:
    """Run the shipped Alertmanager alone; yield its URL."""
    stack = make_stack(binaries, tmp_path / "stack", free_ports())
    try:
        await stack.start("alertmanager")
        yield stack.url("alertmanager")
    finally:
        await stack.stop("alertmanager")


SLOW = {"alertname": "ProviderSlow", "severity": "warning", "team": "gateway", "provider": "openrouter"}
OPEN = {"alertname": "CircuitBreakerOpen", "severity": "critical", "team": "gateway", "provider": "openrouter"}
PAGE = {"alertname": "AvailabilityBudgetBurn", "severity": "critical", "team": "gateway", "slo": "availability"}
TICKET = PAGE | {"severity": "warning"}
TEMPO_DOWN = {"alertname": "TargetDown", "severity": "warning", "team": "platform", "job": "tempo"}
FILLING = {
    "alertname": "CollectorQueueFilling",
    "severity": "warning",
    "team": "platform",
    "exporter": "otlp_grpc/tempo",
}
COLLECTOR_DOWN = TEMPO_DOWN | {"job": "otelcol"}
FULL = {
    "alertname": "TelemetryDropped",
    "severity": "warning",
    "team": "platform",
    "signal": "traces",
    "reason": "buffer_full",
}
INHIBITED = [
    (SLOW, True),
    (SLOW | {"alertname": "ProviderHealthDegraded"}, True),
    (SLOW | {"provider": "local"}, False),
    (OPEN, False),
    (PAGE, False),
    (TICKET, True),
    (TICKET | {"alertname": "FirstTokenBudgetBurn", "slo": "first_token"}, False),
    (TEMPO_DOWN, False),
    (FILLING, True),
    (FILLING | {"exporter": "otlp_http/loki"}, False),
    (FILLING | {"exporter": "otlp_http/prometheus"}, False),
    (COLLECTOR_DOWN, False),
    (FULL, True),
    (FULL | {"reason": "shutdown"}, True),
    (FULL | {"reason": "encoding"}, False),
    (FULL | {"reason": "held_limit"}, False),
    (FULL | {"reason": "rejected"}, False),
]


async def test_a_page_silences_what_it_explains_and_nothing_else(alertmanager: str) -> None:
    wanted = {frozenset(labels.items()): is_inhibited for labels, is_inhibited in INHIBITED}
    async with aiohttp.ClientSession() as session:
        body = msgspec.json.encode([{"labels": labels, "annotations": {}} for labels, _ in INHIBITED])
        headers = {"content-type": "application/json"}
        async with session.post(f"{alertmanager}/api/v2/alerts", data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
        found: dict[frozenset[tuple[str, str]], bool] = {}

        async def judged() -> bool:
            async with session.get(f"{alertmanager}/api/v2/alerts") as response:
                for alert in json.loads(await response.read()):
                    found[frozenset(alert["labels"].items())] = bool(alert["status"]["inhibitedBy"])
            return found == wanted

        assert await holds_within(judged, SETTLED_SECONDS), {
            key: found.get(key) for key in wanted if found.get(key) != wanted[key]
        }
