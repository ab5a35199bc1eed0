"""What providers say is left of their quotas, over real sockets, as gauges."""

from types import SimpleNamespace

import pytest

from app.config.schema import ModelConfig, RouteConfig
from app.gateway.clock import ManualClock
from app.providers.gauges import observe_providers
from tests.harness.metered_gateway import GatewayTelemetry

pytestmark = pytest.mark.live

REMAINING = "gatewayz_upstream_quota_remaining"
LIMIT = "gatewayz_upstream_quota_limit"


def labels(quota, model="acme/tiny", provider="alpha"):
    return tuple(sorted({"provider": provider, "model": model, "quota": quota}.items()))


@pytest.fixture
def telemetry():
    return GatewayTelemetry((("alpha", "acme/tiny"), ("alpha", "acme/embed")))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def start(make_gateway, telemetry, clock, wire):
    """Start a gateway whose providers are observed."""

    async def start(*upstreams, **options):
        options = {"models": [wire.model_config("alpha")], **options}
        gateway = await make_gateway(*upstreams, recorder=telemetry.recorder, clock=clock, **options)
        probes = SimpleNamespace(listed_models=dict)
        observe_providers(telemetry.pipeline.observe, gateway.states, probes)
        return gateway

    return start


def says(wire, status=200, **headers):
    names = {name.replace("_", "-"): str(value) for name, value in headers.items()}

    async def script(exchange):
        body = wire.completion if status == 200 else {"error": {"message": "slow down"}}
        await exchange.reply(body, status, names)

    return script


async def test_the_newest_response_counts(make_upstream, start, telemetry, wire):
    upstream = await make_upstream(says(wire, x_ratelimit_remaining_requests=41, x_ratelimit_limit_requests=50))
    gateway = await start(upstream)
    assert telemetry.samples(REMAINING) == telemetry.samples(LIMIT) == {}
    assert (await gateway.chat()).status == 200
    assert telemetry.samples(REMAINING) == {labels("requests"): 41}
    assert telemetry.samples(LIMIT) == {labels("requests"): 50}
    upstream.script = says(wire, x_ratelimit_remaining_requests=40, x_ratelimit_remaining_tokens=900)
    assert (await gateway.chat()).status == 200
    assert telemetry.samples(REMAINING) == {labels("requests"): 40, labels("tokens"): 900}
    assert telemetry.samples(LIMIT) == {}


async def test_a_refusal_and_a_stream_count_too(make_upstream, start, telemetry, clock, wire):
    upstream = await make_upstream(says(wire, 429, anthropic_ratelimit_input_tokens_remaining=0, retry_after=1))
    gateway = await start(upstream)
    assert (await gateway.chat()).status == 429
    assert telemetry.samples(REMAINING) == {labels("input_tokens"): 0}

    async def stream(exchange):
        await exchange.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
            b'RateLimit-Policy: "default";q=100\r\nRateLimit: "default";r=99\r\n\r\n'
        )
        await exchange.send(wire.sse(wire.chunk("Hel"), wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    clock.advance(2.0)
    upstream.script = stream
    await gateway.stream()
    assert telemetry.samples(REMAINING) == {labels("input_tokens"): 0, labels("requests"): 99}
    assert telemetry.samples(LIMIT) == {labels("requests"): 100}


async def test_what_is_old_is_absent(make_upstream, start, telemetry, clock, wire):
    upstream = await make_upstream(says(wire, x_ratelimit_remaining_requests=41))
    gateway = await start(upstream)
    assert (await gateway.chat()).status == 200
    clock.advance(200.0)
    upstream.script = says(wire, x_ratelimit_remaining_tokens=8)
    assert (await gateway.chat()).status == 200
    clock.advance(100.0)
    assert telemetry.samples(REMAINING) == {labels("requests"): 41, labels("tokens"): 8}
    clock.advance(1.0)
    assert telemetry.samples(REMAINING) == {labels("tokens"): 8}
    clock.advance(200.0)
    assert telemetry.samples(REMAINING) == {}


@pytest.mark.parametrize("value", ["-3", "NaN", "many", "1e9"])
async def test_nonsense_leaves_what_is_known(make_upstream, start, telemetry, wire, value):
    upstream = await make_upstream(says(wire, x_ratelimit_remaining_requests=41))
    gateway = await start(upstream)
    assert (await gateway.chat()).status == 200
    upstream.script = says(wire, x_ratelimit_remaining_requests=value)
    assert (await gateway.chat()).status == 200
    assert telemetry.samples(REMAINING) == {labels("requests"): 41}


async def test_models_share_the_quota_of_their_target(make_upstream, start, wire):
    """Two public names of one target, and one name of two targets: of these the one with the most left counts."""

    async def by_model(exchange):
        left = {"small": 5, "large": 70}[exchange.json["model"]]
        await says(wire, x_ratelimit_remaining_requests=left)(exchange)

    def model(name, *upstream_models):
        return ModelConfig(
            name=name, routes=tuple(RouteConfig(provider="alpha", upstream_model=each) for each in upstream_models)
        )

    gateway = await start(
        await make_upstream(by_model), models=[model("a", "small"), model("b", "small", "large"), model("c", "large")]
    )
    for name in "ac":
        assert (await gateway.chat(model=name)).status == 200
    assert gateway.states.quotas() == {
        ("alpha", "a", "requests"): (5, None),
        ("alpha", "b", "requests"): (70, None),
        ("alpha", "c", "requests"): (70, None),
    }
