"""The data sources that the boards read: which are chosen, and whether they work.

A data source is chosen as Grafana does for the boards' variables: by its uid in the provisioning,
by its name, else the first of its type.
"""

from collections.abc import Mapping
from typing import Any, Final

from dashboards.grafana_check.client import GrafanaClient, GrafanaError, Response
from dashboards.grafana_check.findings import Finding, Verdict

TYPES: Final = ("prometheus", "loki", "tempo", "alertmanager")
PROBES: Final[Mapping[str, str]] = {
    "prometheus": "/api/v1/status/buildinfo",
    "loki": "/loki/api/v1/labels",
    "tempo": "/api/echo",
    "alertmanager": "/api/v2/status",
}
"""What a data source without a health check of its own is asked through Grafana."""

_HEALTH_STATUSES: Final = frozenset({200, 400})
"""Of a health check: healthy, and not. Any other status says that the data source has none."""


async def chosen_data_sources(client: GrafanaClient) -> dict[str, str]:
    """Return the uid of the data source of each type that there is; raises `GrafanaError` where they are not listed."""
    response = await client.get("/api/datasources")
    if not response.is_ok:
        raise GrafanaError(f"/api/datasources: {response.reason}")
    chosen: dict[str, str] = {}
    for kind in TYPES:
        own = [each for each in response.body if each["type"] == kind]
        own.sort(key=lambda each, kind=kind: (each["uid"] != kind, each["name"].lower() != kind, each["name"]))  # type: ignore[misc]
        if own:
            chosen[kind] = own[0]["uid"]
    return chosen


async def check_health(client: GrafanaClient, chosen: Mapping[str, str]) -> list[Finding]:
    """Return whether each data source answers."""
    findings = []
    for kind in TYPES:
        if kind not in chosen:
            findings.append(Finding("data sources", kind, Verdict.BAD, "there is none; mount provisioning/datasources"))
            continue
        what = f"{kind} ({chosen[kind]})"
        response = await client.get(f"/api/datasources/uid/{chosen[kind]}/health")
        if response.status not in _HEALTH_STATUSES:
            response = await client.get(f"/api/datasources/proxy/uid/{chosen[kind]}{PROBES[kind]}")
            is_good = response.is_ok
        else:
            is_good = _is_healthy(response)
        findings.append(Finding("data sources", what, Verdict.GOOD if is_good else Verdict.BAD, response.reason))
    return findings


def _is_healthy(response: Response) -> bool:
    body: Any = response.body
    return response.is_ok and isinstance(body, dict) and str(body.get("status")).upper() == "OK"
