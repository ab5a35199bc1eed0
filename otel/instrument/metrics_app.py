"""Every monitoring endpoint as one ASGI application: to mount, to serve alone, or in front of another application.

    GET /metrics, /prometheus/metrics/{all,system,providers,models,business,performance,summary,docs}

Below a mount at `/metrics` the mount's own path is `/metrics` too. Collecting and rendering run in
threads, so that no scrape stalls the event loop.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from otel.catalogue.naming import DOCUMENTED, Naming
from otel.catalogue.spec import Category
from otel.exposition import Exposition, ExpositionResponse
from otel.exposition.collect_threads import CollectThreads, TooManyCollectionsError
from otel.exposition.reference import reference
from otel.exposition.scrape_request import list_header, presents_token, problem_json, query_fields
from otel.exposition.summary import summarise
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
        self._exposition = exposition
        self._naming = naming
        self._token = None if token is None else token.strip().encode()
        self._threads: CollectThreads | None = None
        self._docs = reference(exposition.specs).encode()

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
        if page.endswith("/docs"):
            return _whole(self._docs, "text/markdown; charset=utf-8")
        try:
            fields = query_fields(scope.get("query_string", b""))
        except ValueError as error:
            return _problem(HTTPStatus.BAD_REQUEST, str(error))
        return await self._collect(scope, page, fields)

    async def _collect(self, scope: Scope, page: str, fields: list[tuple[str, str]]) -> ExpositionResponse:
        if page.endswith("/summary"):
            return await self._summary(next((value for key, value in fields if key == "category"), None))
        return await self._expose(scope, page, tuple(value for key, value in fields if key == "name[]"))

    async def _expose(self, scope: Scope, page: str, names: tuple[str, ...]) -> ExpositionResponse:
        last = page.rpartition("/")[2]
        category = Category(last) if last in set(Category) else None
        headers = scope["headers"]
        accept, accept_encoding = list_header(headers, b"accept"), list_header(headers, b"accept-encoding")
        return await self._in_thread(
            lambda: self._exposition.respond(
                method="GET", accept=accept, accept_encoding=accept_encoding, category=category, names=names
            )
        )

    async def _summary(self, wanted: str | None) -> ExpositionResponse:
        if wanted is not None and wanted not in set(Category):
            return _problem(HTTPStatus.BAD_REQUEST, f"The categories are {', '.join(Category)}.")
        category = None if wanted is None else Category(wanted)
        return await self._in_thread(
            lambda: _whole(
                msgspec.json.encode(summarise(self._exposition.reader.snapshot(), category, self._naming.family)),
                "application/json",
            )
        )

    async def _in_thread(self, work: Callable[[], ExpositionResponse]) -> ExpositionResponse:
        if self._threads is None:
            # It belongs to the event loop that serves.
            self._threads = CollectThreads()
        try:
            return await self._threads.run(work)
        except TooManyCollectionsError:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many scrapes wait already.", {"Retry-After": "1"})


def _page(scope: Scope) -> str:
    """Return the endpoint's path, as if the application were served at the root."""
    path, root_path = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    if root_path and (path == root_path or path.startswith(f"{root_path}/")):
        path = path[len(root_path) :]
    path = path.rstrip("/")
    return METRICS_PATH if not path and root_path.endswith(METRICS_PATH) else path


def _whole(body: bytes, content_type: str) -> ExpositionResponse:
    return ExpositionResponse(HTTPStatus.OK, {"Content-Type": content_type, "Content-Length": str(len(body))}, body)


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
