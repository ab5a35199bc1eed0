"""Probes over real HTTP: what they ask, what they make of each response, and what they leave alone."""

import asyncio
import json
import logging
import socket
import time

import pytest
from aiohttp import web

from app.config.schema import AppConfig, ModelConfig, ProbesConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from app.gateway.provider_endpoint import ProviderSecrets
from app.providers.gauges import observe_providers
from app.providers.jobs import provider_jobs
from app.providers.probe_request import MAX_LIST_BYTES, list_of
from app.providers.probes import Probes, finding_of
from app.providers.provider_reading import provider_status
from app.providers.registry import ProviderStates
from otel.events import ProbeFinished
from tests.harness.recording import RecordingRecorder

LIST = json.dumps({"object": "list", "data": [{"id": "a-1", "object": "model"}, {"id": "a-2"}]}).encode()


class Harness:
    """One provider `p` whose every response is scripted, and what the gateway knows of it."""

    def __init__(self, base_url, *, timeout_seconds=5.0, **provider_options):
        self.clock = ManualClock()
        self.recorder = RecordingRecorder()
        self.config = AppConfig(
            providers=(ProviderConfig(name="p", base_url=base_url, **provider_options),),
            models=(
                ModelConfig(name="one", routes=(RouteConfig(provider="p", upstream_model="a-1"),)),
                ModelConfig(name="gone", routes=(RouteConfig(provider="p", upstream_model="a-9"),)),
            ),
            probes=ProbesConfig(timeout_seconds=timeout_seconds),
        )
        self.states = ProviderStates(self.config, self.clock, self.recorder)
        self.probes = Probes(
            self.config, {"p": ProviderSecrets(api_key="secret")}, self.states, clock=self.clock, recorder=self.recorder
        )
        self.gauges = {}
        observe_providers(self.gauges.__setitem__, self.states, self.probes)

    def gauge(self, family):
        return [(value, dict(labels)) for value, labels in self.gauges[family]()]

    @property
    def findings(self):
        return [(event.provider, event.outcome) for event in self.recorder.of(ProbeFinished)]


@pytest.fixture
async def provider():
    """A server that responds with `provider.response` and keeps the requests."""

    async def handle(request):
        state.requests.append(request)
        if state.response is None:
            await asyncio.Event().wait()
        status, body = state.response
        return web.Response(status=status, body=body, headers={"location": "/elsewhere"})

    class State:
        response = (200, LIST)

    state = State()
    state.requests = []
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield state
    await runner.cleanup()


async def test_a_probe_is_a_small_call_with_our_key(provider):
    harness = Harness(provider.url + "/")
    await harness.probes.probe_providers()
    (request,) = provider.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == "Bearer secret"
    assert "traceparent" not in request.headers
    assert harness.findings == [("p", "up")]
    assert harness.recorder.requests == []
    assert harness.gauge("provider_availability") == [(1.0, {"provider": "p"})]
    assert harness.gauge("gatewayz_provider_health_score") == [(1.0, {"provider": "p"})]


async def test_the_path_is_the_configurations(provider):
    harness = Harness(provider.url, probe_path="health/ready")
    await harness.probes.probe_providers()
    assert provider.requests[0].path == "/v1/health/ready"


@pytest.mark.parametrize(
    ("status", "finding"),
    [
        (200, "up"), (204, "up"), (302, "up"), (404, "up"), (405, "up"), (401, "down"), (403, "down"), (408, "down"),
        (429, "unclear"), (500, "down"), (503, "down"),
    ],
)  # fmt: skip
async def test_what_a_status_says(provider, status, finding):
    provider.response = (status, b"")
    harness = Harness(provider.url)
    await harness.probes.probe_providers()
    assert harness.findings == [("p", finding)]
    expected = {"up": [(1.0, {"provider": "p"})], "down": [(0.0, {"provider": "p"})], "unclear": []}[finding]
    assert harness.gauge("provider_availability") == expected
    assert len(provider.requests) == 1, "a redirect is not followed"
    assert finding_of(status) == finding


async def test_a_provider_where_nobody_listens_is_down():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    harness = Harness(f"http://127.0.0.1:{port}/v1")
    await harness.probes.probe_providers()
    assert harness.findings == [("p", "down")]


async def test_each_change_of_what_probes_find_is_one_line_with_its_reason(provider, caplog):
    caplog.set_level(logging.INFO, logger="gatewayz.providers")
    harness = Harness(provider.url)
    for status in (200, 503, 503, 429, 404, 200, 401):
        provider.response = (status, b"{}")
        await harness.probes.probe_providers()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = Harness(f"http://127.0.0.1:{port}/v1")
    for _ in range(3):
        await gone.probes.probe_providers()
    get = f"GET {provider.url}/models (base_url and probe_path)"
    assert [record.getMessage() for record in caplog.records] == [
        f"provider p is unavailable: {get} returned 503 (probe)",
        "provider p is available again (probe)",
        f"provider p is unavailable: {get} returned 401 (probe)",
        f"provider p is unavailable: GET http://127.0.0.1:{port}/v1/models (base_url and probe_path) failed: connection refused (probe)",
    ]
    assert provider_status(gone.states["p"]) == "down"


async def test_the_line_names_the_probed_path_and_no_secret(provider, caplog):
    provider.response = (501, b"")
    harness = Harness(f"{provider.url}?team=a", probe_path="status")
    await harness.probes.probe_providers()
    (line,) = [record.getMessage() for record in caplog.records]
    assert (
        line == f"provider p is unavailable: GET {provider.url}/status (base_url and probe_path) returned 501 (probe)"
    )


async def test_the_line_of_a_probe_without_response_names_its_time(provider, caplog):
    provider.response = None
    await Harness(provider.url, timeout_seconds=0.2).probes.probe_providers()
    assert "did not respond within 0.2 s (probe)" in caplog.text


async def test_a_probe_takes_bounded_time(provider):
    provider.response = None
    harness = Harness(provider.url, timeout_seconds=0.2)
    started = time.monotonic()
    await harness.probes.probe_providers()
    assert 0.1 < time.monotonic() - started < 60.0
    assert harness.findings == [("p", "down")]


async def test_availability_follows_the_probes_and_is_absent_without_any(provider):
    harness = Harness(provider.url)
    assert harness.gauge("provider_availability") == []
    assert harness.gauge("gatewayz_provider_health_score") == []
    assert harness.gauge("provider_error_rate") == []
    await harness.probes.probe_providers()
    harness.clock.advance(30.0)
    provider.response = (503, b"")
    await harness.probes.probe_providers()
    harness.clock.advance(30.0)
    assert harness.gauge("provider_availability") == [(0.5, {"provider": "p"})]
    harness.clock.advance(400.0)
    assert harness.gauge("provider_availability") == [], "what nobody asked about for so long is unknown"


async def test_a_provider_that_is_full_keeps_what_was_known_of_it(provider):
    harness = Harness(provider.url)
    await harness.probes.probe_providers()
    provider.response = (429, b"")
    harness.clock.advance(30.0)
    await harness.probes.probe_providers()
    harness.clock.advance(30.0)
    assert harness.gauge("provider_availability") == [(1.0, {"provider": "p"})]


async def test_models_are_listed_or_not(provider):
    harness = Harness(provider.url)
    assert harness.gauge("gatewayz_model_listed") == []
    await harness.probes.probe_models()
    assert sorted(harness.gauge("gatewayz_model_listed"), key=str) == [
        (0.0, {"provider": "p", "model": "gone"}),
        (1.0, {"provider": "p", "model": "one"}),
    ]
    harness.clock.advance(899.0)
    assert harness.gauge("gatewayz_model_listed")
    harness.clock.advance(1.0)
    assert harness.gauge("gatewayz_model_listed") == [], "an old list says nothing"


@pytest.mark.parametrize(
    "response", [(404, LIST), (200, b"<html>"), (200, b'{"data": [1]}'), (200, b"[" * 5_000), (200, b"")]
)
async def test_what_is_no_list_makes_it_unknown(provider, response):
    harness = Harness(provider.url)
    await harness.probes.probe_models()
    provider.response = response
    await harness.probes.probe_models()
    assert harness.gauge("gatewayz_model_listed") == []


async def test_an_endless_list_is_given_up(provider):
    provider.response = (200, b" " * (MAX_LIST_BYTES + 1) + LIST)
    harness = Harness(provider.url)
    await harness.probes.probe_models()
    assert harness.gauge("gatewayz_model_listed") == []


async def test_what_may_be_on_a_further_page_is_unknown(provider):
    provider.response = (200, b'{"data": [{"id": "a-1"}], "has_more": true}')
    harness = Harness(provider.url)
    await harness.probes.probe_models()
    assert harness.gauge("gatewayz_model_listed") == [(1.0, {"provider": "p", "model": "one"})]


def test_an_empty_list_lists_nothing():
    models = list_of(b'{"data": []}')
    assert models is not None
    assert models.names_one_of(["a-1"]) is False


def test_the_jobs_and_their_cadence():
    harness = Harness("http://127.0.0.1:1/v1")
    jobs = provider_jobs(harness.config.probes, harness.states, harness.probes)
    assert {job.name: job.interval_seconds for job in jobs} == {
        "circuit_breakers": 1.0,
        "provider_probes": 30.0,
        "model_probes": 300.0,
    }
    assert all(job.jitter_ratio for job in jobs if job.name.endswith("probes"))
    off = provider_jobs(ProbesConfig(enabled=False), harness.states, harness.probes)
    assert [job.name for job in off] == ["circuit_breakers"]
