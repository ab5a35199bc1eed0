"""Liveness and readiness."""

import httpx
import pytest
from litestar import Litestar

from app.errors import StoreUnavailableError
from app.http.health import Readiness, health_router


async def get(path, *, database=True, cache=True, method="GET"):
    async def check_database():
        if not database:
            raise StoreUnavailableError("away")

    async def is_cache_available():
        return cache

    readiness = Readiness(
        check_database=check_database,
        is_cache_available=is_cache_available,
        cache_kind="server",
        providers=lambda: {"alpha": "closed", "beta": "open", "gamma": "half_open"},
        telemetry=lambda: {"traces": {"queued_items": 3}},
    )
    app = Litestar([health_router(readiness)], openapi_config=None, logging_config=None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, path)


async def test_liveness_asks_nobody():
    answer = await get("/health/live", database=False, cache=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("database", "cache", "code", "status"),
    [(True, True, 200, "ready"), (True, False, 200, "ready"), (False, True, 503, "unavailable")],
)
async def test_readiness_names_every_dependency(database, cache, code, status):
    answer = await get("/health/ready", database=database, cache=cache)
    assert answer.status_code == code
    assert answer.json() == {
        "status": status,
        "dependencies": {
            "database": {"status": "up" if database else "down"},
            "cache": {"status": "up" if cache else "down", "kind": "server"},
            "providers": {
                "alpha": {"status": "up", "circuit_breaker": "closed"},
                "beta": {"status": "down", "circuit_breaker": "open"},
                "gamma": {"status": "recovering", "circuit_breaker": "half_open"},
            },
            "telemetry": {"traces": {"queued_items": 3}},
        },
    }


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_head(path):
    answer = await get(path, method="HEAD")
    assert (answer.status_code, answer.content) == (200, b"")
