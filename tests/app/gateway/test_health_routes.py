"""Liveness and readiness: who sees what, and how often the dependencies are asked."""

import asyncio

import httpx
import pytest
from litestar import Litestar

from app.errors import StoreUnavailableError
from app.gateway.clock import ManualClock
from app.http.exposure import Exposure
from app.http.health import SHARE_SECONDS, TIMEOUT_SECONDS, Readiness, health_router
from app.http.shared_check import SharedCheck

TOKEN = "s3cret-token"
PROVIDERS = {"alpha": {"status": "up", "circuit_breaker": "closed", "probe": None}}


class Health:
    """The health routes over dependencies that a test turns off; counts how often the database is asked."""

    def __init__(self, exposure=None):
        self.database = True
        self.cache = True
        self.asked = 0
        self.clock = ManualClock()
        self.is_asked = asyncio.Event()
        self.respond_now = asyncio.Event()
        self.respond_now.set()
        readiness = Readiness(
            check_database=self.check_database,
            is_cache_available=self.is_cache_available,
            cache_kind="server",
            providers=lambda: PROVIDERS,
            telemetry=lambda: {"traces": {"queued_items": 3}},
        )
        self.exposure = exposure or Exposure()
        self.app = Litestar(
            [health_router(readiness, exposure=self.exposure, clock=self.clock)],
            openapi_config=None,
            logging_config=None,
        )

    async def check_database(self):
        self.asked += 1
        self.is_asked.set()
        await self.respond_now.wait()
        if not self.database:
            raise StoreUnavailableError("away")

    async def is_cache_available(self):
        return self.cache

    async def get(self, path="/health/ready", method="GET", headers=None):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://127.0.0.1") as client:
            return await client.request(method, path, headers=headers)


async def test_liveness_asks_nobody():
    health = Health()
    health.database = health.cache = False
    response = await health.get("/health/live")
    assert (response.status_code, response.json()) == (200, {"status": "live"})
    assert response.headers["cache-control"] == "no-store"
    assert health.asked == 0


@pytest.mark.parametrize(
    ("database", "cache", "code", "status"),
    [(True, True, 200, "ready"), (True, False, 200, "ready"), (False, True, 503, "unavailable")],
)
async def test_readiness_names_every_dependency(database, cache, code, status):
    health = Health()
    health.database, health.cache = database, cache
    response = await health.get()
    assert response.status_code == code
    assert response.json() == {
        "status": status,
        "dependencies": {
            "database": {"status": "up" if database else "down"},
            "cache": {"status": "up" if cache else "down", "kind": "server"},
            "providers": PROVIDERS,
            "telemetry": {"traces": {"queued_items": 3}},
        },
    }


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_head(path):
    response = await Health().get(path, method="HEAD")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("database", [True, False])
async def test_readiness_shows_only_the_status_without_the_token(database):
    health = Health(Exposure(TOKEN))
    health.database = database
    bare = {"status": "ready" if database else "unavailable"}
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        response = await health.get(headers=headers)
        assert (response.status_code, response.json()) == (200 if database else 503, bare)
    detailed = await health.get(headers={"authorization": f"Bearer {TOKEN}"})
    assert detailed.json()["dependencies"]["providers"] == PROVIDERS


async def test_readiness_is_bare_where_the_monitoring_endpoints_are_closed():
    exposure = Exposure()
    exposure.bound_to("0.0.0.0")  # noqa: S104  what is tested
    assert (await Health(exposure).get()).json() == {"status": "ready"}


async def test_many_readiness_checks_ask_the_database_once():
    health = Health()
    health.respond_now.clear()
    checks = [asyncio.create_task(health.get()) for _ in range(50)]
    await health.is_asked.wait()
    health.respond_now.set()
    assert {response.status_code for response in await asyncio.gather(*checks)} == {200}
    assert health.asked == 1
    await health.get()
    assert health.asked == 1
    health.clock.advance(SHARE_SECONDS)
    await health.get()
    assert health.asked == 2


async def test_a_database_that_hangs_is_unavailable_and_is_asked_no_second_time():
    health = Health()
    health.respond_now.clear()
    first = asyncio.create_task(health.get())
    await health.is_asked.wait()
    health.clock.advance(TIMEOUT_SECONDS)
    # The query in flight has exceeded its timeout: further requests do not wait.
    assert (await health.get()).status_code == 503
    assert (await health.get()).status_code == 503
    assert health.asked == 1
    health.respond_now.set()
    assert (await first).status_code == 200
    health.clock.advance(SHARE_SECONDS)
    assert (await health.get()).status_code == 200
    assert health.asked == 2


async def test_a_hanging_question_ends_with_no_at_its_time_limit():
    """By the event loop's own clock: the limit is what ends the wait."""
    never = asyncio.Event()

    async def hang():
        await never.wait()
        return True

    shared = SharedCheck(hang, timeout_seconds=0.01, share_seconds=1.0, clock=ManualClock())
    assert await shared.get() is False


async def test_a_question_that_fails_in_any_way_ends_with_no():
    async def fail():
        raise OSError("no route")

    assert await SharedCheck(fail, timeout_seconds=5.0, share_seconds=1.0, clock=ManualClock()).get() is False
