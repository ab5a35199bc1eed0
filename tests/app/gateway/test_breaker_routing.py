"""Failover with circuit breakers: who is asked, who is skipped, and what the caller gets when nobody is left."""

import asyncio

import pytest

from app.config.schema import BreakerConfig
from app.gateway.clock import ManualClock
from otel.events import BreakerChanged, ExceptionMapped, RateLimited

BREAKER = BreakerConfig(consecutive_failures=3, open_seconds=10.0, half_open_calls=1)


def says(status, body=None, headers=None):
    async def script(exchange):
        await exchange.reply(body or {"error": {"message": "no"}}, status, headers)

    return script


async def hang(exchange):
    await exchange.gone()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def make(make_gateway, clock):
    async def make(*upstreams, **options):
        return await make_gateway(*upstreams, clock=clock, breaker=BREAKER, **options)

    return make


def transitions(recorded):
    return [(event.provider, event.state) for event in recorded.of(BreakerChanged)]


async def test_an_open_provider_is_skipped_until_its_time_is_over(make_upstream, make, clock, wire):
    first, second = await make_upstream(says(500)), await make_upstream(name="beta")
    gateway = await make(first, second)
    for _ in range(5):
        response = await gateway.chat()
        assert (response.status, response.headers["x-gatewayz-provider"]) == (200, "beta")
    assert len(first.exchanges) == 3
    assert len(second.exchanges) == 5
    recorded = await gateway.finished()
    assert [call.attempts for call in recorded.calls] == [2, 2, 2, 1, 1]
    assert transitions(recorded) == [("alpha", "open")]

    first.script = wire.response
    clock.advance(10.0)
    assert (await gateway.chat()).headers["x-gatewayz-provider"] == "alpha"
    assert (await gateway.chat()).headers["x-gatewayz-provider"] == "alpha"
    assert transitions(await gateway.finished()) == [("alpha", "open"), ("alpha", "half_open"), ("alpha", "closed")]


@pytest.mark.parametrize("stream", [False, True])
async def test_nobody_left_to_ask_is_a_503_of_its_own(make_upstream, make, clock, *, stream):
    upstream = await make_upstream(says(500))
    gateway = await make(upstream)
    for _ in range(3):
        assert (await gateway.chat(stream=stream)).status == 502
    clock.advance(2.5)
    response = await gateway.chat(stream=stream)
    assert response.status == 503
    assert response.headers["retry-after"] == "8"
    assert response.json["error"] | {"message": ""} == {
        "message": "",
        "type": "server_error",
        "param": None,
        "code": "providers_unavailable",
    }
    assert len(upstream.exchanges) == 3
    recorded = await gateway.finished()
    call, row = recorded.calls[-1], recorded.rows[-1]
    assert (call.status, call.error_kind, call.attempts, call.provider) == ("error", "providers_unavailable", 0, None)
    assert (row.status, row.error_kind, row.attempts, row.provider) == ("error", "providers_unavailable", 0, None)
    assert [event.exception_type for event in recorded.of(ExceptionMapped)] == ["UpstreamFailedError"] * 3 + [
        "ProvidersUnavailableError"
    ]


async def test_retry_after_is_that_of_the_first_to_come_back(make_upstream, make, clock, wire):
    first, second = await make_upstream(says(500)), await make_upstream(name="beta")
    gateway = await make(first, second)
    for _ in range(3):
        await gateway.chat()
    clock.advance(4.0)
    second.script = says(500)
    for _ in range(3):
        assert (await gateway.chat()).status == 502
    response = await gateway.chat()
    assert (response.status, response.headers["retry-after"]) == (503, "6")
    assert len(first.exchanges) == 3
    first.script = wire.response
    clock.advance(6.0)
    assert (await gateway.chat()).headers["x-gatewayz-provider"] == "alpha"


async def test_those_that_were_asked_decide_the_status(make_upstream, make):
    first = await make_upstream(says(500))
    second = await make_upstream(says(429, headers={"retry-after": "7"}), name="beta")
    gateway = await make(first, second)
    statuses = [(await gateway.chat()).status for _ in range(3)]
    assert statuses == [502, 502, 502]
    assert transitions(await gateway.finished()) == [("alpha", "open")], "a rate limit opens no provider"
    assert len(second.exchanges) == 1, "it is skipped until its Retry-After is over"
    response = await gateway.chat()
    assert (response.status, response.headers["retry-after"]) == (503, "7")
    assert (await gateway.finished()).of(RateLimited) == []


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_callers_own_mistakes_open_nothing(make_upstream, make, status):
    gateway = await make(await make_upstream(says(status)))
    for _ in range(20):
        assert (await gateway.chat()).status == status
    assert transitions(await gateway.finished()) == []
    assert gateway.states["alpha"].error_rate is None


@pytest.mark.parametrize("status", [401, 402, 503])
async def test_what_is_the_providers_fault_opens_it(make_upstream, make, status):
    gateway = await make(await make_upstream(says(status)))
    for _ in range(3):
        await gateway.chat()
    assert transitions(await gateway.finished()) == [("alpha", "open")]
    assert gateway.states["alpha"].error_rate == 1.0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_trial_whose_client_leaves_gives_its_slot_back(make_upstream, make, clock, wire, *, stream):
    upstream = await make_upstream(says(500))
    gateway = await make(upstream)
    for _ in range(3):
        await gateway.chat()
    clock.advance(10.0)
    upstream.script = hang
    for trial in range(3):
        call = asyncio.create_task(gateway.chat(stream=stream))
        await wire.until(lambda trial=trial: len(upstream.exchanges) == 4 + trial, "the trial call")
        refused = await gateway.chat()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1"), "one trial at a time"
        call.cancel()
        await gateway.finished()
    upstream.script = wire.response
    assert (await gateway.chat()).status == 200
    assert transitions(await gateway.finished()) == [("alpha", "open"), ("alpha", "half_open"), ("alpha", "closed")]


async def test_a_trial_stream_lets_the_others_in_as_soon_as_it_begins(make_upstream, make, clock, wire):
    upstream = await make_upstream(says(500))
    gateway = await make(upstream)
    for _ in range(3):
        await gateway.chat()
    clock.advance(10.0)
    go_on = asyncio.Event()

    async def long_stream(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hel")))
        await go_on.wait()
        await exchange.send(wire.sse(wire.chunk(finish="stop"), wire.usage_chunk(), b"[DONE]"))
        await exchange.end()

    upstream.script = long_stream
    stream = asyncio.create_task(gateway.stream())
    await wire.until(lambda: gateway.states["alpha"].breaker_state == "closed", "the end of the trial")
    upstream.script = wire.response
    assert (await gateway.chat()).status == 200
    go_on.set()
    assert (await stream)[-1] == b"[DONE]"
    assert transitions(await gateway.finished()) == [("alpha", "open"), ("alpha", "half_open"), ("alpha", "closed")]


async def test_a_stream_that_breaks_counts_when_it_breaks(make_upstream, make, wire):
    async def broken(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hel")))
        exchange.close()

    gateway = await make(await make_upstream(broken))
    for _ in range(3):
        assert b"error" in (await gateway.chat(stream=True)).raw
    assert transitions(await gateway.finished()) == [("alpha", "open")]


async def test_connections_that_were_closed_while_idle_open_nothing(make_upstream, make, wire):
    """Each call finds its pooled connection closed under its hands and goes over a fresh one."""

    async def die_on_reuse(exchange):
        if len([each for each in upstream.exchanges if each.connection == exchange.connection]) > 1:
            exchange.close()
        else:
            await exchange.reply(wire.completion)

    upstream = await make_upstream(die_on_reuse)
    gateway = await make(upstream)
    together = 4
    for _ in range(3):
        responses = await asyncio.gather(*(gateway.chat() for _ in range(together)))
        assert [response.status for response in responses] == [200] * together
    recorded = await gateway.finished()
    assert [attempt.error_kind for attempt in recorded.attempts].count("connect_error") >= BREAKER.consecutive_failures
    assert transitions(recorded) == []
    assert gateway.states["alpha"].error_rate == 0.0


async def test_a_response_from_the_cache_needs_no_provider(make_upstream, make):
    upstream = await make_upstream()
    gateway = await make(upstream, cache_ttl_seconds=60.0)
    assert (await gateway.chat(temperature=0)).status == 200
    upstream.script = says(500)
    for _ in range(3):
        await gateway.chat()
    assert (await gateway.chat()).status == 503
    assert (await gateway.chat(temperature=0)).headers["x-gatewayz-cache"] == "hit"
