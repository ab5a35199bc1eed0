"""The steps of the check, in the order in which one needs the other: Grafana, its data sources, boards, variables, queries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dashboards.generate import JSON_FOLDER
from dashboards.grafana.board_queries import variable_queries
from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.expansion import default_values, time_values
from dashboards.grafana.model import Source
from dashboards.grafana_check.client import GrafanaClient, GrafanaError
from dashboards.grafana_check.data_sources import check_health, chosen_data_sources
from dashboards.grafana_check.findings import Finding, Verdict
from dashboards.grafana_check.queries import QueryChecks

VERSIONS: Final = ("12.", "13.")
"""Of Grafana, that the boards are made for."""


async def check(client: GrafanaClient, *, from_ms: int, to_ms: int) -> list[Finding]:
    """Return what was found; raises `GrafanaError` where nothing can be."""
    findings = [await _version(client)]
    data_sources = await chosen_data_sources(client)
    findings += await check_health(client, data_sources)
    chosen = {source.variable: data_sources[source.value] for source in Source if source.value in data_sources}
    for document in documents():
        own = await _board(client, document)
        findings += own
        if any(finding.verdict is Verdict.BAD for finding in own):
            continue
        values = default_values(document) | chosen | time_values(from_ms, to_ms)
        findings += await _variables(client, document, values[Source.PROMETHEUS.variable])
        quiet = quiet_panels(document["uid"])
        findings += await QueryChecks(client, document, values, quiet, from_ms=from_ms, to_ms=to_ms).run()
    return findings


def documents() -> Iterator[dict[str, Any]]:
    """Yield the boards as they are committed."""
    for path in sorted(Path(JSON_FOLDER).rglob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def quiet_panels(uid: str) -> frozenset[str]:
    """Return the titles of a board's panels that have no data while all is well."""
    return frozenset(
        panel.title for board in DASHBOARDS if board.uid == uid for panel in board.panels if panel.empty_when_well
    )


async def _version(client: GrafanaClient) -> Finding:
    response = await client.get("/api/health")
    if not response.is_ok or not isinstance(response.body, dict):
        raise GrafanaError(f"{client.url}/api/health: {response.reason}; is this Grafana?")
    version = str(response.body.get("version", "unknown"))
    is_good = response.body.get("database") == "ok" and version.startswith(VERSIONS)
    detail = f"database {response.body.get('database')}; the boards are made for Grafana 12 and 13"
    return Finding("Grafana", f"version {version}", Verdict.GOOD if is_good else Verdict.BAD, detail)


async def _board(client: GrafanaClient, document: dict[str, Any]) -> list[Finding]:
    """Check that a board is loaded as it is committed."""
    response = await client.get(f"/api/dashboards/uid/{document['uid']}")
    if not response.is_ok:
        detail = f"{response.reason}; mount provisioning/ and the JSON folder"
        return [Finding("boards", document["uid"], Verdict.BAD, detail)]
    found = response.body.get("dashboard", {})
    titles = [panel.get("title") for panel in found.get("panels", ())]
    wanted = [panel["title"] for panel in document["panels"]]
    if found.get("title") != document["title"] or titles != wanted:
        missing = ", ".join(sorted(set(wanted) - set(titles))) or "none, but the order differs"
        return [Finding("boards", document["uid"], Verdict.BAD, f"not as committed; panels missing: {missing}")]
    return [Finding("boards", document["uid"], Verdict.GOOD)]


async def _variables(client: GrafanaClient, document: dict[str, Any], prometheus: str) -> list[Finding]:
    """Check that each choice has values, by the request that Grafana's own editor makes."""
    findings = []
    for variable in variable_queries(document):
        path = f"/api/datasources/uid/{prometheus}/resources/api/v1/label/{variable.label}/values"
        response = await client.get(path, **{"match[]": variable.family})
        values = response.body.get("data") if response.is_ok and isinstance(response.body, dict) else None
        detail = f"no value of {variable.label} in {variable.family}" if response.is_ok else response.reason
        verdict = Verdict.GOOD if values else Verdict.BAD
        findings.append(Finding(f"{document['uid']}: variables", variable.name, verdict, detail))
    return findings
