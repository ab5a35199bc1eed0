"""Serves the paths that users try first: `/`, `/docs`, `/health` and `/prometheus/metrics` list the endpoints.

The responses are fixed and show nothing of the configuration. They do not count as traffic.
"""

from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, route
from litestar.enums import HttpMethod

_GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)
_API: Final = {
    "POST /v1/chat/completions": "a chat completion, whole or streamed; needs an API key",
    "POST /v1/embeddings": "embeddings; needs an API key",
    "GET /v1/models": "the models; needs an API key",
}
_HEALTH: Final = {
    "GET /health/live": "200 as long as the process responds",
    "GET /health/ready": "200, or 503 while the database is unavailable",
}
_MONITORING: Final = {
    "GET /metrics": "every metric, in Prometheus' text format or OpenMetrics",
    "GET /prometheus/metrics/all": "the same",
    "GET /prometheus/metrics/{category}": "the metrics of one category",
    "GET /prometheus/metrics/summary": "numbers in JSON",
    "GET /prometheus/metrics/docs": "the metrics reference",
}
_BASE_URL: Final = "Clients of the OpenAI API take a base URL that ends in /v1."
_INDEX: Final = {"base_url": _BASE_URL, "endpoints": {**_API, **_HEALTH, **_MONITORING}}


def index_router() -> Router:
    """Return the routes."""

    @route(["/", "/docs"], http_method=_GET_AND_HEAD)
    async def index(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List every endpoint."""
        return _page(request, _INDEX)

    @route("/health", http_method=_GET_AND_HEAD)
    async def health(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return that the process runs, and links to more."""
        return _page(request, {"status": "live", "endpoints": _HEALTH})

    @route("/prometheus/metrics", http_method=_GET_AND_HEAD)
    async def monitoring(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List the monitoring endpoints."""
        return _page(request, {"endpoints": _MONITORING})

    return Router("/", route_handlers=[index, health, monitoring], tags=["index"])


def _page(request: Request[Any, Any, Any], content: object) -> Response[bytes]:
    body = msgspec.json.encode(content)
    headers = {"Content-Length": str(len(body))}
    return Response(
        b"" if request.method == HttpMethod.HEAD else body,
        status_code=HTTPStatus.OK,
        media_type="application/json",
        headers=headers,
    )
