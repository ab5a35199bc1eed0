"""HEALTH: `GET /health/live` and `GET /health/ready`.

Comes in: checks of the dependencies. Goes out: JSON that names each of them. Liveness asks nothing: a process that answers lives. Readiness
makes no call to a provider: an outage there must not take the gateway out of its load balancer.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from litestar import Response, Router, route
from litestar.enums import HttpMethod

from app.errors import StoreUnavailableError
from app.state.breaker import BreakerState

_OK: Final = 200
_UNAVAILABLE: Final = 503
_NO_STORE: Final = {"cache-control": "no-store"}
_PROVIDER_STATUS: Final[Mapping[BreakerState, str]] = {"closed": "up", "half_open": "recovering", "open": "down"}
_GET_AND_HEAD: Final = (HttpMethod.GET, HttpMethod.HEAD)


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask the dependencies.

    `check_database` raises `StoreUnavailableError`; `providers` gives the state of each one's circuit breaker, by name; `telemetry` describes
    the export.
    """

    check_database: Callable[[], Awaitable[None]]
    is_cache_available: Callable[[], Awaitable[bool]]
    cache_kind: str
    providers: Callable[[], Mapping[str, BreakerState]]
    telemetry: Callable[[], Mapping[str, object]]


def health_router(readiness: Readiness) -> Router:
    """Return both routes."""

    @route("/live", http_method=_GET_AND_HEAD, status_code=_OK)
    async def live() -> Response[bytes]:
        """Say that the process answers."""
        return _json(_OK, {"status": "live"})

    @route("/ready", http_method=_GET_AND_HEAD, status_code=_OK)
    async def ready() -> Response[bytes]:
        """Say whether requests can be served, and what each dependency says."""
        database = "up"
        try:
            await readiness.check_database()
        except StoreUnavailableError:
            database = "down"
        cache = "up" if await readiness.is_cache_available() else "down"
        is_ready = database == "up"
        body = {
            "status": "ready" if is_ready else "unavailable",
            "dependencies": {
                "database": {"status": database},
                # Without its cache the gateway is slower, not unavailable.
                "cache": {"status": cache, "kind": readiness.cache_kind},
                "providers": {name: _provider(state) for name, state in readiness.providers().items()},
                "telemetry": readiness.telemetry(),
            },
        }
        return _json(_OK if is_ready else _UNAVAILABLE, body)

    return Router("/health", route_handlers=[live, ready], tags=["health"])


def _provider(state: BreakerState) -> Mapping[str, str]:
    """Say what the gateway has seen of a provider; one that it never called is taken to be up."""
    return {"status": _PROVIDER_STATUS[state], "circuit_breaker": state}


def _json(status: int, body: Mapping[str, object]) -> Response[bytes]:
    return Response(msgspec.json.encode(body), status_code=status, media_type="application/json", headers=_NO_STORE)
