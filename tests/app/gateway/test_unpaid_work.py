"""Work that a provider did and nobody got: the prompt is counted once the request went out, and never for a refusal."""

import asyncio
import socket

import pytest

from app.config.schema import ProviderConfig
from app.gateway.ports import Caller
from otel.events.usage import NO_USAGE, Usage

pytestmark = pytest.mark.live

PROMPT = Usage(
    input_tokens=3,
    estimated=True,
    cost_nanousd=450,
    credits_nanousd=450,
    cost_source="estimated",
    priced_nanousd=450,
    exposure_nanousd=4_096 * 600,
)
"""What "Say hello" costs, estimated at 150 nano-US-dollars per token, and what 4 096 tokens of output may cost, at 600."""


async def hang(exchange):
    await exchange.gone()


async def only_a_head(exchange):
    await exchange.stream_head()
    await exchange.gone()


async def half_a_body(exchange):
    await exchange.raw(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"choices":[{"in')
    await exchange.gone()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [hang, only_a_head, half_a_body])
async def test_the_prompt_of_a_client_that_left_is_counted(make_upstream, make_gateway, wire, *, script, stream):
    upstream = await make_upstream(script)
    gateway = await make_gateway(upstream)
    call = asyncio.create_task(gateway.chat(stream=stream))
    await wire.until(lambda: upstream.exchanges, "the request at the provider")
    call.cancel()
    recorded = await gateway.finished()
    assert [(attempt.status, attempt.usage) for attempt in recorded.attempts] == [("cancelled", PROMPT)]
    assert [(row.input_tokens, row.output_tokens, row.usage_estimated) for row in recorded.rows] == [(3, 0, True)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_prompt_of_a_call_that_the_shutdown_ended_is_counted(make_upstream, make_gateway, wire, stream):
    upstream = await make_upstream(hang)
    gateway = await make_gateway(upstream, grace_seconds=0.05)
    call = asyncio.create_task(gateway.chat(stream=stream))
    await wire.until(lambda: upstream.exchanges, "the request at the provider")
    gateway.server.should_exit = True
    assert (await call).status == 503
    recorded = await gateway.finished()
    assert [(row.error_kind, row.input_tokens, row.cost_nanousd) for row in recorded.rows] == [("shutdown", 3, 450)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", [hang, only_a_head, half_a_body])
async def test_the_prompt_of_a_response_that_came_too_late_is_counted(make_upstream, make_gateway, *, script, stream):
    seconds = {"first_byte_seconds": 0.1, "whole_answer_seconds": 0.1, "idle_seconds": 0.1, "total_seconds": 0.2}
    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"), **seconds)
    assert (await gateway.chat(stream=stream)).status == 200
    recorded = await gateway.finished()
    assert [attempt.usage.estimated for attempt in recorded.attempts] == [True, False]
    assert recorded.attempts[0].usage == PROMPT
    # The call is both attempts, and is marked because one of them is an estimate.
    (call,) = recorded.calls
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.estimated) == (13, 4, True)


async def test_abandoned_prompts_are_charged_to_the_token_limit(make_upstream, make_gateway, wire):
    """A caller cannot have prompts worked on for nothing by leaving before the response."""
    upstream = await make_upstream(hang)
    gateway = await make_gateway(upstream, limits=(None, 100))
    call = asyncio.create_task(gateway.chat(messages=[{"role": "user", "content": "word " * 200}]))
    await wire.until(lambda: upstream.exchanges, "the request at the provider")
    call.cancel()
    await gateway.finished()
    decision = await gateway.gateway._limiter.admit(Caller(key_id="key_1", plan="free", tokens_per_minute=100))
    assert not decision.allowed
    refused = await gateway.chat()
    assert (refused.status, refused.headers["x-ratelimit-remaining-tokens"]) == (429, "0")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529])
async def test_a_refusal_costs_nothing(make_upstream, make_gateway, status):
    upstream = await make_upstream(lambda exchange: exchange.reply({"error": {"message": "no"}}, status))
    gateway = await make_gateway(upstream)
    assert (await gateway.chat()).status >= 400
    assert [attempt.usage for attempt in (await gateway.finished()).attempts] == [NO_USAGE]


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'{"error":{"message":"no","code":500}}', b"", b"{}"])
async def test_a_page_that_is_no_response_costs_nothing(make_upstream, make_gateway, body):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(body)))
    assert (await gateway.chat()).status == 502
    assert [attempt.usage for attempt in (await gateway.finished()).attempts] == [NO_USAGE]


async def test_a_refusal_whose_body_never_ends_costs_nothing(make_upstream, make_gateway):
    async def half_a_refusal(exchange):
        await exchange.raw(b"HTTP/1.1 500 Oops\r\ncontent-length: 1000\r\n\r\n<html>")
        await exchange.gone()

    gateway = await make_gateway(await make_upstream(half_a_refusal), first_byte_seconds=0.1, idle_seconds=0.1)
    assert (await gateway.chat()).status >= 502
    assert [attempt.usage for attempt in (await gateway.finished()).attempts] == [NO_USAGE]


async def test_a_request_that_never_went_out_costs_nothing(make_gateway, wire):
    """The client leaves while the connection is being made: a full backlog, in which the kernel drops further SYNs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        slow = ProviderConfig(name="slow", base_url=f"http://127.0.0.1:{port}/v1", connect_seconds=30.0)
        gateway = await make_gateway(slow)
        call = asyncio.create_task(gateway.chat())
        await wire.until(
            lambda: any(request.attempts for request in gateway.recorder.requests), "the start of the attempt"
        )
        call.cancel()
        recorded = await gateway.finished()
        for filler in fillers:
            filler.close()
    assert [(attempt.status, attempt.usage) for attempt in recorded.attempts] == [("cancelled", NO_USAGE)]


async def test_a_stale_connection_costs_nothing(make_upstream, make_gateway, wire):
    async def die_on_reuse(exchange):
        if len([each for each in upstream.exchanges if each.connection == exchange.connection]) > 1:
            exchange.close()
        else:
            await exchange.reply(wire.completion)

    upstream = await make_upstream(die_on_reuse)
    gateway = await make_gateway(upstream)
    assert [(await gateway.chat()).status for _ in range(2)] == [200, 200]
    recorded = await gateway.finished()
    assert [attempt.usage.input_tokens for attempt in recorded.attempts] == [10, 0, 10]
