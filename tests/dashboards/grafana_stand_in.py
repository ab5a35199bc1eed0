"""A stand-in of Grafana's HTTP API: the routes that the check uses, over the committed boards; what it answers can be broken.

It refuses what Grafana would: a data source that does not exist, and a query with a variable that
nobody replaced.
"""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from dashboards.grafana_check.check import documents

HEALTHY = {"status": "OK", "message": "Data source is working"}
USER = "admin:secret"
TOKEN = "glsa_stand_in"
DATA_SOURCES = [
    {"uid": "other", "name": "Another", "type": "prometheus"},
    {"uid": "prometheus", "name": "Prometheus", "type": "prometheus"},
    {"uid": "loki", "name": "Loki", "type": "loki"},
    {"uid": "tempo", "name": "Tempo", "type": "tempo"},
    {"uid": "alertmanager", "name": "Alertmanager", "type": "alertmanager"},
]


class GrafanaStandIn:
    """One stand-in. What a test changes: the attributes, before it starts the check."""

    def __init__(self) -> None:
        self.version = "13.1.7"
        self.data_sources = [dict(each) for each in DATA_SOURCES]
        self.health: dict[str, dict[str, str]] = {}
        """By uid, where it differs from healthy."""
        self.no_health_check = {"alertmanager": 404}
        """The status of the health check of data sources that have none."""
        self.unreachable: set[str] = set()
        """Uids of data sources that do not answer through the proxy."""
        self.boards = {document["uid"]: document for document in documents()}
        self.values = ["one", "two"]
        self.empty: set[str] = set()
        """Queries with one of these texts in them have no data."""
        self.errors: dict[str, str] = {}
        """The error of queries with one of these texts in them."""
        self.is_anonymous_enough = False
        self.asked: list[str] = []
        """The text of each query, in order."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen on a free port; yield the URL."""
        application = web.Application(middlewares=[self._authorized])
        application.router.add_get("/api/health", self._health_of_grafana)
        application.router.add_get("/api/datasources", self._listed)
        application.router.add_get("/api/datasources/uid/{uid}/health", self._health_of_data_source)
        application.router.add_get(
            "/api/datasources/uid/{uid}/resources/api/v1/label/{label}/values", self._label_values
        )
        application.router.add_get("/api/datasources/proxy/uid/{uid}/{path:.*}", self._proxied)
        application.router.add_get("/api/dashboards/uid/{uid}", self._board)
        application.router.add_post("/api/ds/query", self._query)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()

    @web.middleware
    async def _authorized(self, request: web.Request, handler: Any) -> web.StreamResponse:
        known = {f"Bearer {TOKEN}", f"Basic {base64.b64encode(USER.encode()).decode()}"}
        is_known = self.is_anonymous_enough or request.headers.get("authorization") in known
        if not is_known and request.path != "/api/health":
            return web.json_response({"message": "Unauthorized"}, status=401)
        response: web.StreamResponse = await handler(request)
        return response

    async def _health_of_grafana(self, _: web.Request) -> web.Response:
        return web.json_response({"database": "ok", "version": self.version})

    async def _listed(self, _: web.Request) -> web.Response:
        return web.json_response(self.data_sources)

    async def _health_of_data_source(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        if uid in self.no_health_check:
            return web.json_response({"message": "Plugin not found"}, status=self.no_health_check[uid])
        health = self.health.get(uid, HEALTHY)
        return web.json_response(health, status=200 if health["status"] == "OK" else 400)

    async def _label_values(self, request: web.Request) -> web.Response:
        if "match[]" not in request.query:
            return web.json_response({"message": "no selector"}, status=400)
        return web.json_response({"status": "success", "data": self.values})

    async def _proxied(self, request: web.Request) -> web.Response:
        if request.match_info["uid"] not in {each["uid"] for each in self.data_sources}:
            return web.json_response({"message": "Unable to find datasource"}, status=404)
        if request.match_info["uid"] in self.unreachable:
            return web.Response(text="bad gateway", status=502)
        if request.match_info["path"] != "api/search":
            return web.json_response({"status": "success"})
        text = request.query["q"]
        problem = self._problem(text)
        if problem:
            return web.Response(text=problem, status=400)
        return web.json_response({"traces": [] if self._is_empty(text) else [{"traceID": "1"}]})

    async def _board(self, request: web.Request) -> web.Response:
        board = self.boards.get(request.match_info["uid"])
        if board is None:
            return web.json_response({"message": "Dashboard not found"}, status=404)
        return web.json_response({"dashboard": board, "meta": {"provisioned": True}})

    async def _query(self, request: web.Request) -> web.Response:
        body = await request.json()
        results: dict[str, Any] = {}
        for target in body["queries"]:
            source = next((each for each in self.data_sources if each["uid"] == target["datasource"]["uid"]), None)
            text = target["expr"]
            problem = self._problem(text) or ("" if source else "data source not found")
            if problem:
                results[target["refId"]] = {"status": 400, "error": problem, "frames": []}
            else:
                values = [[], []] if self._is_empty(text) else [[1_700_000_000_000], [1.0]]
                results[target["refId"]] = {"status": 200, "frames": [{"data": {"values": values}}]}
        status = 200 if all(result["status"] == 200 for result in results.values()) else 400
        return web.json_response({"results": results}, status=status)

    def _problem(self, text: str) -> str:
        self.asked.append(text)
        if "${" in text or text == "":
            return f"parse error: {text}"
        return next((error for part, error in self.errors.items() if part in text), "")

    def _is_empty(self, text: str) -> bool:
        return any(part in text for part in self.empty)
