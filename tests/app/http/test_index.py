"""The paths that people try first, at the assembled application: an index, and no traffic."""

import os
import re

import httpx
import pytest

from app.application import create_app
from app.config.load import resolve_secrets
from app.config.schema import AppConfig, DatabaseConfig, PlanConfig
from otel.recording.noop import DisabledRecorder
from tests.harness.metered import Metered


class Telemetry:
    """What the application needs of telemetry, with nothing behind it."""

    def __init__(self):
        self.exposition = Metered().exposition
        self.recorder = DisabledRecorder()

    def observe(self, family, source):
        pass

    def delivery_stats(self):
        return {}


@pytest.fixture
async def client(tmp_path):
    config = AppConfig(
        database=DatabaseConfig(url=f"sqlite+aiosqlite:///{tmp_path}/gateway.db"), plans=(PlanConfig(name="free"),)
    )
    app = create_app(config, resolve_secrets(config, {}), Telemetry(), random_bytes=os.urandom)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_the_index_lists_endpoints_that_exist(client, path):
    response = await client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert "x-request-id" not in response.headers  # no traffic
    endpoints = response.json()["endpoints"]
    assert {"POST /v1/chat/completions", "GET /v1/models", "GET /health/ready", "GET /metrics"} <= set(endpoints)
    for endpoint in endpoints:
        method, _, where = endpoint.partition(" ")
        if where != "/health/ready":  # asks a database that is not open here
            status = (await client.request(method, where.replace("{category}", "business"))).status_code
            assert status in {200, 401}, endpoint
    head = await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(response.content))


async def test_health_and_monitoring_have_an_index_each(client):
    health = (await client.get("/health")).json()
    assert health["status"] == "live"
    assert set(health["endpoints"]) == {"GET /health/live", "GET /health/ready"}
    assert "GET /prometheus/metrics/{category}" in (await client.get("/prometheus/metrics")).json()["endpoints"]
    assert (await client.post("/")).status_code == 405


async def test_a_response_without_a_trace_has_a_request_id_all_the_same(client):
    """With telemetry off."""
    ids = [(await client.get("/v1/nothing")).headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(len(each) == 32 for each in ids)


async def test_an_unknown_path_names_those_that_exist(client):
    unknown = await client.get("/nope")
    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "application/problem+json")
    named = re.findall(r"((?:GET|POST) /[a-z/0-9_]*)", unknown.json()["detail"])
    endpoints = (await client.get("/")).json()["endpoints"]
    assert len(named) == 4
    assert set(named) - set(endpoints) == {"GET /"}
    wrong_method = await client.post("/health/live")
    assert wrong_method.json() == {"type": "about:blank", "title": "Method Not Allowed", "status": 405}
