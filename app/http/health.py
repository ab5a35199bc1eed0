"""Serves `GET /health/live` and `GET /health/ready`.

Liveness checks nothing. Readiness names each dependency to clients that may read monitoring, and
returns only the status to others. It calls no provider: an outage of a provider must not remove the
gateway from its load balancer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response, Router, route
from litestar.enums import HttpMethod

from app.errors import StoreUnavailableError
from app.gateway.ports import Clock
from app.http.exposure import Exposure
from app.http.shared_check import SharedCheck
from otel.instrument.asgi import Scope

TIMEOUT_SECONDS: Final = 2.0
"""How long readiness waits for a dependency: less than the timeout of any usual health check."""

SHARE_SECONDS: Final = 1.0
"""How long one check of a dependency serves every readiness request."""

_NO_STORE: Final = {"cache-control": "no-store"}
_GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """How to check the dependencies.

    `check_database` raises `StoreUnavailableError`; `providers` describes each one, by name; `telemetry` describes the export.
    """

    check_database: Callable[[], Awaitable[None]]
    is_cache_available: Callable[[], Awaitable[bool]]
    cache_kind: str
    providers: Callable[[], Mapping[str, Mapping[str, object]]]
    telemetry: Callable[[], Mapping[str, object]]


def health_router(readiness: Readiness, *, exposure: Exposure, clock: Clock) -> Router:
    """Return both routes."""

    async def check_database() -> bool:
        try:
            await readiness.check_database()
        except StoreUnavailableError:
            return False
        return True

    def shared(check: Callable[[], Awaitable[bool]]) -> SharedCheck:
        return SharedCheck(check, timeout_seconds=TIMEOUT_SECONDS, share_seconds=SHARE_SECONDS, clock=clock)

    database, cache = shared(check_database), shared(readiness.is_cache_available)

    @route("/live", http_method=_GET_AND_HEAD, status_code=HTTPStatus.OK)
    async def live() -> Response[bytes]:
        """Return that the process runs."""
        return _json(HTTPStatus.OK, {"status": "live"})

    @route("/ready", http_method=_GET_AND_HEAD, status_code=HTTPStatus.OK)
    async def ready(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return whether requests can be served, and the state of each dependency."""
        is_detailed = exposure.allows(cast("Scope", request.scope))
        # Both at the same time: a client must not wait for one after the other.
        is_ready, has_cache = await asyncio.gather(database.get(), cache.get())
        body: dict[str, object] = {"status": "ready" if is_ready else "unavailable"}
        if is_detailed:
            body["dependencies"] = {
                "database": {"status": _status(is_up=is_ready)},
                # Without its cache the gateway is slower, not unavailable.
                "cache": {"status": _status(is_up=has_cache), "kind": readiness.cache_kind},
                "providers": readiness.providers(),
                "telemetry": readiness.telemetry(),
            }
        return _json(HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, body)

    return Router("/health", route_handlers=[live, ready], tags=["health"])


def _status(*, is_up: bool) -> str:
    return "up" if is_up else "down"


def _json(status: int, body: Mapping[str, object]) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=_NO_STORE)
