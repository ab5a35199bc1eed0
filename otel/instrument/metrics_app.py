"""Every monitoring endpoint as one ASGI application: to mount, to serve alone, or in front of another application.

    GET /metrics, /prometheus/metrics/{all,system,providers,models,business,performance,summary,docs}

Below a mount at `/metrics` the mount's own path is `/metrics` too.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from otel.catalogue.naming import DOCUMENTED, Naming
from otel.catalogue.spec import Category
from otel.exposition import Exposition, ExpositionResponse
from otel.exposition.pages import MonitoringPages, PageError
from otel.exposition.scrape_request import presents_token, problem_json
from otel.instrument.asgi import Receive, Scope, Send

METRICS_PATH: Final = "/metrics"
PREFIX: Final = "/prometheus/metrics"
PAGES: Final = frozenset({METRICS_PATH, *(f"{PREFIX}/{page}" for page in ("all", *Category, "summary", "docs"))})
_READS: Final = ("GET", "HEAD")


class MetricsApp:
    """Serves what `exposition` collects; with a `token` only to clients that present it as a bearer token."""

    def __init__(self, exposition: Exposition, *, token: str | None = None, naming: Naming = DOCUMENTED) -> None:
        if token is not None and not token.strip():
            raise ValueError("the monitoring token is empty: pass None to serve every client")
        self._pages = MonitoringPages(exposition, naming=naming)
        self._token = None if token is None else token.strip().encode()

    def serves(self, scope: Scope) -> bool:
        """Whether a request's path is one of the endpoints."""
        return _page(scope) in PAGES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; accept the lifespan, which does nothing, and close any WebSocket."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await _send(scope, send, await self._respond(scope))
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _respond(self, scope: Scope) -> ExpositionResponse:
        page = _page(scope)
        if page not in PAGES:
            return _problem(HTTPStatus.NOT_FOUND, f"The endpoints are {', '.join(sorted(PAGES))}.")
        if scope["method"] not in _READS:
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "Use GET or HEAD.", {"Allow": ", ".join(_READS)})
        if self._token is not None and not presents_token(scope["headers"], self._token):
            challenge = {"WWW-Authenticate": 'Bearer realm="monitoring"'}
            return _problem(HTTPStatus.UNAUTHORIZED, "The monitoring endpoints need a bearer token.", challenge)
        try:
            return await self._served(scope, page.rpartition("/")[2])
        except PageError as error:
            return _problem(error.status, error.detail, error.headers)

    async def _served(self, scope: Scope, page: str) -> ExpositionResponse:
        query: bytes = scope.get("query_string", b"")
        if page == "docs":
            return self._pages.docs
        if page == "summary":
            return await self._pages.summary(query)
        return await self._pages.families(scope["headers"], query, Category(page) if page in set(Category) else None)


def _page(scope: Scope) -> str:
    """Return the endpoint's path, as if the application were served at the root."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root_path and (path == root_path or path.startswith(f"{root_path}/")):
        path = path[len(root_path) :]
    path = path.rstrip("/")
    return METRICS_PATH if not path and root_path.endswith(METRICS_PATH) else path


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> ExpositionResponse:
    """Return an error as problem+json (RFC 9457)."""
    body = problem_json(status, detail)
    length = {"Content-Type": "application/problem+json", "Content-Length": str(len(body))}
    return ExpositionResponse(status, {**length, **(headers or {})}, body)


async def _send(scope: Scope, send: Send, response: ExpositionResponse) -> None:
    headers = [(key.lower().encode(), value.encode("latin-1")) for key, value in response.headers.items()]
    await send({"type": "http.response.start", "status": int(response.status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
