"""The monitoring endpoints as an ASGI application: every page, HEAD, errors, a token, alone and mounted."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from otel.instrument.metrics_app import PAGES, MetricsApp
from tests.harness.telemetered import get, make_telemetry


@pytest.fixture
def telemetry():
    telemetry = make_telemetry()
    yield telemetry
    telemetry.shutdown(1)


@pytest.mark.parametrize("page", sorted(PAGES))
@pytest.mark.parametrize("prefix", ["", "/deep/monitoring"])
async def test_every_page_is_served_alone_and_below_a_mount(telemetry, page, prefix) -> None:
    app = telemetry.metrics_app()
    served = Starlette(routes=[Mount(prefix, app=app)]) if prefix else app
    response = await get(served, f"{prefix}{page}")
    assert response.status_code == 200
    head = await get(served, f"{prefix}{page}", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == response.headers["content-type"]
    if "json" in response.headers["content-type"]:
        assert set(response.json()) >= {"system", "performance"}


async def test_a_mount_at_metrics_serves_them_there(telemetry) -> None:
    served = Starlette(routes=[Mount("/metrics", app=telemetry.metrics_app())])
    assert "process_cpu_seconds_total" in (await get(served, "/metrics/")).text
    assert (await get(served, "/metrics/prometheus/metrics/docs")).text.startswith("# Metrics reference")


async def test_openmetrics_names_and_gzip_are_negotiated(telemetry) -> None:
    app = telemetry.metrics_app()
    openmetrics = await get(app, "/metrics", headers={"accept": "application/openmetrics-text"})
    assert openmetrics.text.endswith("# EOF\n")
    named = await get(app, "/metrics", params={"name[]": "process_open_fds"})
    assert {line.split()[2] for line in named.text.splitlines() if line.startswith("# TYPE")} == {"process_open_fds"}
    assert named.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/", 404, "The endpoints are /metrics, "),
        ("GET", "/prometheus/metrics/shop", 404, "The endpoints are"),
        ("POST", "/metrics", 405, "Use GET or HEAD."),
        ("GET", "/prometheus/metrics/summary?category=shop", 400, "The categories are system"),
        ("GET", "/metrics?name[]=" + "x" * 9000, 400, "longer than 8192 bytes"),
        ("GET", "/metrics?" + "a&" * 600, 400, "The query string has more than 512 parameters"),
    ],
)
async def test_an_error_is_problem_json_that_says_what_to_do(telemetry, method, path, status, detail) -> None:
    response = await get(telemetry.metrics_app(), path, method)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert response.json()["status"] == status
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([("authorization", "Bearer wrong")], 401),
        ([("authorization", "Basic s3cret")], 401),
        ([("authorization", "Bearer s3cret"), ("authorization", "Bearer s3cret")], 401),
        ([("authorization", "Bearer s3cret")], 200),
        ([("authorization", "bearer  s3cret ")], 200),
    ],
)
async def test_with_a_token_only_clients_that_present_it_are_served(telemetry, headers, status) -> None:
    response = await get(telemetry.metrics_app(token="s3cret"), "/metrics", headers=headers)
    assert response.status_code == status
    assert ("www-authenticate" in response.headers) == (status == 401)


def test_an_empty_token_is_a_secret_that_failed_to_arrive(telemetry) -> None:
    with pytest.raises(ValueError, match="the monitoring token is empty"):
        telemetry.metrics_app(token=" ")


async def test_alone_it_has_a_lifespan_and_refuses_websockets(telemetry) -> None:
    app: MetricsApp = telemetry.metrics_app()
    incoming, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive():
        return incoming.pop(0)

    async def send(message) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket", "path": "/metrics"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
