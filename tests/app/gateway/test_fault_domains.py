"""Whose fault a failure is, over real sockets: what the gateway or a caller brings about opens no provider for anybody else."""

import asyncio
import errno
import socket
import time

import aiohappyeyeballs
import aiohttp
import pytest

from app.config.schema import BreakerConfig, ModelConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from otel.events import BreakerChanged, RateLimited

pytestmark = pytest.mark.live

BREAKER = BreakerConfig(consecutive_failures=3, open_seconds=10.0, half_open_calls=1)


def says(status, error=None, headers=None):
    async def script(exchange):
        await exchange.reply({"error": error or {"message": "no"}}, status, headers)

    return script


def by_model(**scripts):
    """Response as the script of the model that is asked for says."""

    async def script(exchange):
        name = exchange.json["model"].removeprefix("alpha-")
        await scripts[name](exchange)

    return script


@pytest.fixture
def two_models():
    """Two models of one provider."""
    return [
        ModelConfig(name=name, routes=(RouteConfig(provider="alpha", upstream_model=f"alpha-{name}"),))
        for name in ("good", "bad")
    ]


def untouched(gateway, recorded):
    """Whether nothing is known against the provider."""
    state = gateway.states["alpha"]
    return recorded.of(BreakerChanged) == [] and not state.error_rate


async def test_our_own_pool_opens_nothing(make_upstream, make_gateway, wire):
    """26 streams over 20 connections: those that find none are refused by us, and the provider is as healthy as before."""
    go_on = asyncio.Event()

    async def long_stream(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hel")))
        await go_on.wait()
        await exchange.send(wire.sse(wire.chunk(finish="stop"), wire.usage_chunk(), b"[DONE]"))
        await exchange.end()

    upstream = await make_upstream(long_stream)
    gateway = await make_gateway(
        upstream, max_connections=20, pool_wait_seconds=0.3, connect_seconds=0.1, breaker=BREAKER
    )
    calls = [asyncio.create_task(gateway.chat(stream=True)) for _ in range(26)]
    await wire.until(lambda: sum(call.done() for call in calls) == 6, "the refusals")
    refused = [call.result() for call in calls if call.done()]
    assert {(each.status, each.json["error"]["code"], each.headers["retry-after"]) for each in refused} == {
        (503, "overloaded", "1")
    }
    go_on.set()
    assert sorted(response.status for response in await asyncio.gather(*calls)) == [200] * 20 + [503] * 6
    assert (await gateway.chat(stream=True)).status == 200
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts].count("pool_timeout") == 6
    assert untouched(gateway, recorded)
    assert upstream.connections <= 20


async def test_a_full_pool_leads_to_the_next_provider(make_upstream, make_gateway, wire):
    first, second = await make_upstream(lambda exchange: exchange.gone()), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, max_connections=1, pool_wait_seconds=0.2)
    held = asyncio.create_task(gateway.chat())
    await wire.until(lambda: first.exchanges, "the first call")
    response = await gateway.chat()
    assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    held.cancel()
    await gateway.finished()


async def test_waiting_for_the_pool_is_not_waiting_for_the_provider(make_upstream, make_gateway, wire):
    """The first byte's clock begins when the request goes out."""
    release = asyncio.Event()

    async def hold(exchange):
        await release.wait()
        await wire.response(exchange)

    upstream = await make_upstream(hold)
    gateway = await make_gateway(
        upstream, max_connections=1, pool_wait_seconds=20.0, first_byte_seconds=20.0, total_seconds=20.0
    )
    first = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the first call")
    second = asyncio.create_task(gateway.chat())
    await asyncio.sleep(0.05)
    release.set()
    assert [(await first).status, (await second).status] == [200, 200]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
async def test_running_out_of_descriptors_is_not_the_providers_fault(make_upstream, make_gateway, monkeypatch, code):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, breaker=BREAKER)

    connect = aiohappyeyeballs.start_connection

    async def fail(addr_infos, **options):
        if addr_infos[0][4][1] == upstream.port:
            raise OSError(code, "exhausted")
        return await connect(addr_infos, **options)

    with monkeypatch.context() as patch:
        patch.setattr(aiohappyeyeballs, "start_connection", fail)
        responses = [await gateway.chat() for _ in range(5)]
    assert {(each.status, each.json["error"]["code"]) for each in responses} == {(503, "overloaded")}
    assert all("retry-after" in each.headers for each in responses)
    assert (await gateway.chat()).status == 200
    recorded = await gateway.finished()
    assert {attempt.error_kind for attempt in recorded.attempts} == {"gateway_resources", None}
    assert untouched(gateway, recorded)


async def test_long_whole_responses_have_a_time_of_their_own(make_upstream, make_gateway, wire):
    async def slow(exchange):
        await asyncio.sleep(0.4)
        await exchange.reply(wire.completion)

    gateway = await make_gateway(await make_upstream(slow), first_byte_seconds=0.1, breaker=BREAKER)
    responses = await asyncio.gather(*(gateway.chat() for _ in range(5)))
    assert [response.status for response in responses] == [200] * 5
    assert untouched(gateway, await gateway.finished())


async def test_a_model_that_is_too_slow_takes_no_other_down(make_upstream, make_gateway, wire, two_models):
    async def hang(exchange):
        await exchange.gone()

    upstream = await make_upstream(by_model(good=wire.response, bad=hang))
    gateway = await make_gateway(
        upstream, models=two_models, whole_answer_seconds=0.1, first_byte_seconds=0.1, breaker=BREAKER
    )
    for stream in (False, True, False):
        assert (await gateway.chat(model="bad", stream=stream)).status == 504
    assert (await gateway.chat(model="bad")).status == 503
    assert (await gateway.chat(model="good")).status == 200
    recorded = await gateway.finished()
    assert recorded.of(BreakerChanged) == []
    assert gateway.states.model_breaker_states() == {("alpha", "good"): "closed", ("alpha", "bad"): "open"}


async def test_a_slow_reader_is_a_slow_client(make_upstream, make_gateway, wire):
    """Streams that a client reads too slowly end as the client's, with what was delivered, and the provider stays well."""

    async def flood(exchange):
        await exchange.stream_head()
        text = wire.sse(wire.chunk("x" * 500_000))
        while True:
            await exchange.send(text)

    upstream = await make_upstream(flood)
    gateway = await make_gateway(upstream, total_seconds=6.0, idle_seconds=60.0, breaker=BREAKER)
    clients = []
    for _ in range(3):
        client = socket.create_connection(("127.0.0.1", gateway.port))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = b'{"model":"acme/tiny","stream":true,"messages":[{"role":"user","content":"Say hello"}]}'
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        clients.append(client)
    attempts = lambda: [each for request in gateway.recorder.requests for each in request.attempts]  # noqa: E731
    await wire.until(
        lambda: len(attempts()) == 3 and all(each.finished is not None for each in attempts()),
        "the end of the attempts",
    )
    for client in clients:
        client.close()
    upstream.script = wire.response
    assert (await gateway.chat()).status == 200
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts] == ["slow_client"] * 3 + [None]
    assert all(each.usage.output_tokens > 0 for each in recorded.attempts[:3])
    assert untouched(gateway, recorded)


async def test_a_stream_that_lasts_until_the_limit_is_nobodys_failure(make_upstream, make_gateway, wire):
    async def steady(exchange):
        await exchange.stream_head()
        while True:
            await exchange.send(wire.sse(wire.chunk("x")))
            await asyncio.sleep(0.02)

    gateway = await make_gateway(await make_upstream(steady), total_seconds=0.3, breaker=BREAKER)
    responses = await asyncio.gather(*(gateway.chat(stream=True) for _ in range(4)))
    assert all(b'"code":"upstream_timeout"' in response.raw for response in responses)
    recorded = await gateway.finished()
    assert {each.error_kind for each in recorded.attempts} == {"total_timeout"}
    assert untouched(gateway, recorded)


MODERATION = [
    (403, {"code": 403, "message": "Your input was flagged by moderation", "metadata": {"reasons": ["x"]}}),
    (403, {"code": "content_policy_violation", "message": "no"}),
    (400, {"code": "content_filter", "message": "The response was filtered", "innererror": {"code": "x"}}),
    (400, {"message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}),
    (422, {"message": "The prompt violates our usage policies."}),
]


@pytest.mark.parametrize(("status", "error"), MODERATION)
async def test_a_flagged_prompt_is_its_callers_matter(make_upstream, make_gateway, *, status, error):
    first, second = await make_upstream(says(status, error)), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, breaker=BREAKER)
    for _ in range(6):
        response = await gateway.chat()
        assert response.status == status
        assert response.json["error"]["message"] == error["message"]
    assert not second.exchanges
    recorded = await gateway.finished()
    assert {each.error_kind for each in recorded.attempts} == {"content_policy"}
    assert untouched(gateway, recorded)


async def test_a_rate_limit_skips_one_model_for_as_long_as_it_says(make_upstream, make_gateway, wire, two_models):
    clock = ManualClock()
    limited = says(429, headers={"retry-after": "8"})
    upstream = await make_upstream(by_model(good=wire.response, bad=limited))
    gateway = await make_gateway(upstream, models=two_models, clock=clock, breaker=BREAKER)
    assert (await gateway.chat(model="bad")).status == 429
    clock.advance(3.0)
    again = await gateway.chat(model="bad")
    assert (again.status, again.headers["retry-after"], again.json["error"]["code"]) == (
        429,
        "5",
        "upstream_rate_limited",
    )
    assert (await gateway.chat(model="good")).status == 200
    assert len(upstream.exchanges) == 2
    clock.advance(5.0)
    upstream.script = by_model(good=wire.response, bad=wire.response)
    assert (await gateway.chat(model="bad")).status == 200
    recorded = await gateway.finished()
    assert recorded.of(RateLimited) == [RateLimited(limit_type="upstream")] * 2
    assert untouched(gateway, recorded)


async def test_a_rate_limit_without_a_time_counts_for_its_model(make_upstream, make_gateway, wire, two_models):
    upstream = await make_upstream(by_model(good=wire.response, bad=says(429)))
    gateway = await make_gateway(upstream, models=two_models, breaker=BREAKER)
    assert [(await gateway.chat(model="bad")).status for _ in range(4)] == [429, 429, 429, 503]
    assert (await gateway.chat(model="good")).status == 200
    assert untouched(gateway, await gateway.finished())


async def test_a_long_retry_after_is_bounded(make_upstream, make_gateway, wire):
    clock = ManualClock()
    upstream = await make_upstream(says(429, headers={"retry-after": "99999"}))
    gateway = await make_gateway(upstream, clock=clock)
    assert (await gateway.chat()).status == 429
    clock.advance(BreakerConfig().max_pause_seconds)
    upstream.script = wire.response
    assert (await gateway.chat()).status == 200


@pytest.mark.parametrize("status", [404, 405, 410])
async def test_a_withdrawn_model_leads_to_the_next_provider_and_counts(make_upstream, make_gateway, status):
    error = {"message": "The model `alpha-tiny` has been retired", "code": "model_not_found"}
    first, second = await make_upstream(says(status, error)), await make_upstream(name="beta")
    gateway = await make_gateway(first, second, breaker=BREAKER)
    for _ in range(4):
        response = await gateway.chat()
        assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    assert len(first.exchanges) == 3, "the breaker of the model at this provider is open"
    recorded = await gateway.finished()
    assert [each.error_kind for each in recorded.attempts][:2] == ["model_unavailable", None]
    assert gateway.states["alpha"].error_rate == 1.0
    assert recorded.of(BreakerChanged) == []


ACCOUNT = [
    (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}, "upstream_quota"),
    (
        400,
        {"type": "invalid_request_error", "message": "Your credit balance is too low to access the API"},
        "upstream_quota",
    ),
    (402, {"message": "Insufficient Balance"}, "upstream_quota"),
    (403, {"message": "This account has insufficient credits"}, "upstream_quota"),
    (
        400,
        {"message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"},
        "upstream_auth",
    ),
    (400, {"message": "The model `x` has been decommissioned", "code": "model_decommissioned"}, "model_unavailable"),
    (403, {"message": "Country, region, or territory not supported"}, "upstream_auth"),
]


@pytest.mark.parametrize(("status", "error", "kind"), ACCOUNT)
async def test_what_the_account_lacks_is_no_mistake_of_the_caller(make_upstream, make_gateway, *, status, error, kind):
    first, second = await make_upstream(says(status, error)), await make_upstream(name="beta")
    gateway = await make_gateway(first, second)
    assert (await gateway.chat()).headers["x-gatewayz-provider"] == "beta"
    recorded = await gateway.finished()
    assert recorded.attempts[0].error_kind == kind
    assert gateway.states["alpha"].error_rate == 1.0


@pytest.mark.parametrize("role", ["billing", "insufficient credits", "is not a valid model"])
async def test_a_caller_cannot_put_the_providers_fault_into_its_mouth(make_upstream, make_gateway, role):
    """A provider quotes what it refuses; the words are the caller's own."""

    async def quote(exchange):
        wrong = exchange.json["messages"][0]["role"]
        await exchange.reply({"error": {"message": f"Invalid role: '{wrong}'", "type": "invalid_request_error"}}, 400)

    gateway = await make_gateway(await make_upstream(quote), breaker=BREAKER)
    for written in (role, role.replace("i", "\\u0069"), role.upper(), role.replace(" ", "\\n ")):
        body = f'{{"model":"acme/tiny","messages":[{{"role":"{written}","content":"x"}}]}}'
        assert (await gateway.post("/v1/chat/completions", body.encode())).status == 400
    recorded = await gateway.finished()
    assert {each.error_kind for each in recorded.attempts} == {"upstream_4xx"}
    assert untouched(gateway, recorded)


@pytest.mark.parametrize("idle", [1, 2, 4, 8])
async def test_the_second_attempt_is_on_a_fresh_connection(make_upstream, make_gateway, wire, idle):
    """However many idle connections are dead, a healthy provider's caller gets a response."""
    gate = asyncio.Event()

    async def once(exchange):
        if sum(each.connection == exchange.connection for each in upstream.exchanges) > 1:
            exchange.close()
            return
        await gate.wait()
        await exchange.reply(wire.completion)

    upstream = await make_upstream(once)
    gateway = await make_gateway(upstream, breaker=BREAKER)
    calls = [asyncio.create_task(gateway.chat()) for _ in range(idle)]
    await wire.until(lambda: len(upstream.exchanges) == idle, "all connections")
    gate.set()
    assert {response.status for response in await asyncio.gather(*calls)} == {200}
    for _ in range(3):
        assert (await gateway.chat()).status == 200
    assert not gateway.states["alpha"].error_rate


async def test_a_stall_of_the_event_loop_is_no_connect_timeout(make_upstream, make_gateway, wire):
    """The loop stands still for longer than a connection may take, right when one is being made."""
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, connect_seconds=0.4, breaker=BREAKER)
    original = aiohttp.TCPConnector._create_direct_connection

    async def stall(*arguments, **options):
        asyncio.get_running_loop().call_soon(time.sleep, 0.9)
        return await original(*arguments, **options)

    aiohttp.TCPConnector._create_direct_connection = stall
    try:
        assert (await gateway.chat()).status == 200
    finally:
        aiohttp.TCPConnector._create_direct_connection = original
    recorded = await gateway.finished()
    assert [each.status for each in recorded.attempts] == ["success"]


async def test_a_name_that_does_not_resolve_is_the_networks_fault(make_gateway):
    nowhere = ProviderConfig(name="alpha", base_url="http://no-such-host.invalid/v1")
    gateway = await make_gateway(nowhere)
    assert (await gateway.chat()).status == 502
    assert (await gateway.finished()).attempts[0].error_kind == "connect_error"
    assert gateway.states["alpha"].error_rate == 1.0
