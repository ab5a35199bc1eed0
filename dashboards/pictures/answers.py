"""Sends a board's queries to Prometheus, Loki and Tempo as Grafana does, and returns all that the page draws.

Output: decoded JSON, in the servers' own form. `src/` draws it.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from dashboards.grafana.board_queries import BoardQuery, QueryKind, annotation_queries, panel_query, variable_queries
from dashboards.grafana.expansion import default_values, expand_all, time_values

MACROS: Final = {"__rate_interval": "1m", "__interval": "15s", "__auto": "1m"}
"""What Grafana makes of them for a step of 15 seconds and scrapes each 15 seconds."""

STEP_SECONDS: Final = 15
_ANNOTATION_STEP_SECONDS: Final = 30
_NANOSECONDS: Final = 1_000_000_000
_LINES: Final = 100
_TRACES: Final = 20
_AT_ONCE: Final = 4
_GRAPH: Final = {
    "total": "traces_service_graph_request_total",
    "failed": "traces_service_graph_request_failed_total",
    "seconds": "traces_service_graph_request_server_seconds_sum",
}
"""What Grafana reads for Tempo's service graph, by what it is drawn as."""


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """The base URLs of the servers."""

    prometheus: str
    loki: str
    tempo: str


class TimeRange(msgspec.Struct, frozen=True, kw_only=True):
    """Unix seconds; `start` and `end` are multiples of the step, so that all series share their times."""

    start: int
    end: int
    step: int = STEP_SECONDS


class RefusedQueryError(RuntimeError):
    """A server did not accept a query; the message has its place, its text and the reason."""


def range_until(now_seconds: float, seconds: int) -> TimeRange:
    """Return the range of about so many seconds that ends at the last whole step."""
    end = int(now_seconds) // STEP_SECONDS * STEP_SECONDS
    return TimeRange(start=end - seconds, end=end)


def values_of(document: Mapping[str, Any], shown: TimeRange) -> dict[str, str]:
    """Return what Grafana puts in the place of variables and macros when the board is opened."""
    return default_values(document) | MACROS | time_values(shown.start * 1000, shown.end * 1000)


async def board_answers(servers: Servers, document: Mapping[str, Any], shown: TimeRange) -> dict[str, Any]:
    """Return the board with its range, and the results of panels, annotations and variables; raises `RefusedQueryError`."""
    values = values_of(document, shown)
    async with aiohttp.ClientSession() as session:
        asking = _Asking(session, servers, shown)
        panels = [
            (panel["id"], panel_query(panel, target, values))
            for panel in document["panels"]
            for target in panel["targets"]
        ]
        found = await asyncio.gather(*(asking.result(query) for _, query in panels))
        results: dict[int, dict[str, Any]] = {}
        for (number, query), result in zip(panels, found, strict=True):
            results.setdefault(number, {})[query.target["refId"]] = result
        return {
            "document": {**document, "panels": expand_all(document["panels"], values)},
            "range": msgspec.to_builtins(shown),
            "results": results,
            "annotations": await asking.annotations(document, values),
            "values": {
                each.name: await asking.label_values(each.family, each.label) for each in variable_queries(document)
            },
        }


class _Asking:
    """Sends requests for one time range, a few at once."""

    def __init__(self, session: aiohttp.ClientSession, servers: Servers, shown: TimeRange) -> None:
        self._session = session
        self._servers = servers
        self._range = shown
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def result(self, query: BoardQuery) -> dict[str, Any]:
        """Return the answer to a panel's query, with its exemplars where the panel shows them."""
        match query.kind:
            case QueryKind.PROMQL:
                found = await self._promql(query)
                if query.target.get("exemplar"):
                    exemplars = await self._get(
                        query, f"{self._servers.prometheus}/api/v1/query_exemplars", **self._bounds(query.text)
                    )
                    found |= {"exemplars": exemplars["data"]}
                return found
            case QueryKind.LOGQL:
                lines = {"limit": query.target.get("maxLines", _LINES), "step": self._range.step}
                bounds = {"start": self._range.start * _NANOSECONDS, "end": self._range.end * _NANOSECONDS}
                return await self._get(
                    query, f"{self._servers.loki}/loki/api/v1/query_range", query=query.text, **bounds, **lines
                )
            case QueryKind.TRACEQL:
                bounds = {"start": self._range.start, "end": self._range.end}
                limit = query.target.get("limit", _TRACES)
                return await self._get(query, f"{self._servers.tempo}/api/search", q=query.text, limit=limit, **bounds)
            case QueryKind.SERVICE_MAP:
                return {"edges": await self._edges(query)}

    async def annotations(self, document: Mapping[str, Any], values: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return each annotation with its series."""
        queries = annotation_queries(document, values)
        return [
            {
                "name": annotation["name"],
                "color": annotation["iconColor"],
                "isValueTheTime": annotation["useValueForTime"],
                "result": (await self._promql(query, _ANNOTATION_STEP_SECONDS))["data"]["result"],
            }
            for annotation, query in zip(document["annotations"]["list"], queries, strict=True)
        ]

    async def label_values(self, family: str, label: str) -> list[str]:
        """Return the values that a variable offers."""
        url = f"{self._servers.prometheus}/api/v1/label/{label}/values"
        bounds = {"start": self._range.start, "end": self._range.end}
        async with self._session.get(url, params={"match[]": family, **bounds}) as response:
            response.raise_for_status()
            values: list[str] = (await response.json())["data"]
            return values

    async def _promql(self, query: BoardQuery, step: int | None = None) -> dict[str, Any]:
        base = f"{self._servers.prometheus}/api/v1"
        if query.is_instant:
            return await self._get(query, f"{base}/query", query=query.text, time=self._range.end)
        return await self._get(query, f"{base}/query_range", **self._bounds(query.text), step=step or self._range.step)

    async def _edges(self, query: BoardQuery) -> dict[str, Any]:
        seconds = self._range.end - self._range.start
        selector = query.target["serviceMapQuery"]
        return {
            measure: (
                await self._get(
                    query,
                    f"{self._servers.prometheus}/api/v1/query",
                    query=f"sum by (client, server) (increase({family}{selector}[{seconds}s]))",
                    time=self._range.end,
                )
            )["data"]["result"]
            for measure, family in _GRAPH.items()
        }

    def _bounds(self, text: str) -> dict[str, str | int]:
        return {"query": text, "start": self._range.start, "end": self._range.end}

    async def _get(self, sent: BoardQuery, url: str, /, **parameters: str | int) -> dict[str, Any]:
        async with self._places, self._session.get(url, params=parameters) as response:
            body = await response.text()
            if not response.ok:
                raise RefusedQueryError(f"{sent.place}: {sent.text}: {response.status}: {body[:300]}")
            found: dict[str, Any] = json.loads(body)
            return found
