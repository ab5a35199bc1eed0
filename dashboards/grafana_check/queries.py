"""Sends the queries of one board through Grafana: those of panels must have data, those of links and annotations an answer."""

from collections.abc import Mapping
from typing import Any, Final

from dashboards.grafana.board_queries import BoardQuery, QueryKind, annotation_queries, link_queries, panel_queries
from dashboards.grafana.expansion import expand
from dashboards.grafana.model import Source
from dashboards.grafana_check.client import GrafanaClient, Response
from dashboards.grafana_check.findings import Finding, Verdict

_POINTS: Final = 200
_LEAST_STEP_MS: Final = 15_000
_BACKEND_MACROS: Final = frozenset({"__range"})
"""Grafana's server replaces these itself, as it does for a browser."""


class QueryChecks:
    """The queries of one board. `quiet` names the panels that have no data while all is well."""

    def __init__(
        self,
        client: GrafanaClient,
        document: Mapping[str, Any],
        values: Mapping[str, str],
        quiet: frozenset[str],
        *,
        from_ms: int,
        to_ms: int,
    ) -> None:
        self._client = client
        self._document = document
        self._values = {name: value for name, value in values.items() if name not in _BACKEND_MACROS}
        self._quiet = quiet
        self._from_ms = from_ms
        self._to_ms = to_ms

    async def run(self) -> list[Finding]:
        """Send each query once; return what was found."""
        findings = await self._panels()
        asked: set[str] = set()
        others = [
            *annotation_queries(self._document, self._values),
            *link_queries(self._document, self._values),
        ]
        for query in others:
            if query.text not in asked:
                asked.add(query.text)
                problem, _ = await self._ask(query)
                verdict = Verdict.BAD if problem else Verdict.GOOD
                findings.append(Finding(f"{self._document['uid']}: links", query.place, verdict, problem))
        return findings

    async def _panels(self) -> list[Finding]:
        """Check that a query of each panel has data: not every series of a panel exists all the time."""
        answers: dict[str, list[tuple[str, bool]]] = {}
        for query in panel_queries(self._document, self._values):
            answers.setdefault(query.place.rpartition(" ")[0], []).append(await self._ask(query))
        findings = []
        for title, found in answers.items():
            problems = [problem for problem, _ in found if problem]
            verdict = Verdict.GOOD if any(has_data for _, has_data in found) else Verdict.EMPTY
            if problems or (verdict is Verdict.EMPTY and title not in self._quiet):
                verdict = Verdict.BAD
            detail = "; ".join(problems) or "no data in the time range"
            findings.append(Finding(f"{self._document['uid']}: panels", title, verdict, detail))
        return findings

    async def _ask(self, query: BoardQuery) -> tuple[str, bool]:
        """Return what is wrong with the answer, and whether it has data."""
        if query.kind is QueryKind.TRACEQL:
            return _search_result(await self._search(query))
        target = {**query.target, "intervalMs": self._step_ms(), "maxDataPoints": _POINTS}
        if query.kind is QueryKind.SERVICE_MAP:
            uid = expand(f"${{{Source.PROMETHEUS.variable}}}", self._values)
            source = {"type": Source.PROMETHEUS.value, "uid": uid}
            target = {"refId": "A", "datasource": source, "expr": query.text, "instant": True}
        return _query_result(await self._client.query([target], self._from_ms, self._to_ms), target["refId"])

    async def _search(self, query: BoardQuery) -> Response:
        """Search traces as the browser does: through Grafana's proxy, for its server has no query for it."""
        uid = query.target["datasource"]["uid"]
        limit = int(query.target.get("limit", 20))
        start, end = self._from_ms // 1000, self._to_ms // 1000
        path = f"/api/datasources/proxy/uid/{uid}/api/search"
        return await self._client.get(path, q=query.text, limit=limit, start=start, end=end)

    def _step_ms(self) -> int:
        return max(_LEAST_STEP_MS, (self._to_ms - self._from_ms) // _POINTS)


def _query_result(response: Response, ref_id: str) -> tuple[str, bool]:
    results = response.body.get("results", {}) if isinstance(response.body, dict) else {}
    result = results.get(ref_id, {})
    if result.get("error"):
        return str(result["error"]).replace("\n", " "), False
    if not response.is_ok or not result:
        return response.reason, False
    values = [frame.get("data", {}).get("values", []) for frame in result.get("frames", ())]
    return "", any(column for columns in values for column in columns)


def _search_result(response: Response) -> tuple[str, bool]:
    if not response.is_ok or not isinstance(response.body, dict):
        return response.reason, False
    return "", bool(response.body.get("traces"))
