"""What abandoned work may cost on top: an estimate beside the cost, never 0 in silence, in no cost and charged to nobody."""

import asyncio
import json

import pytest

from app.config.schema import ModelConfig, RouteConfig
from app.gateway.exposure import exposure_nanousd
from app.gateway.openai.request import parse_chat, parse_embeddings
from app.gateway.ports import Caller
from app.gateway.pricing import UsdRates, exact, price_of
from otel.events import CallFinished
from otel.events.usage import Usage

pytestmark = pytest.mark.live

PRICE = price_of([UsdRates(input=exact(0.15), output=exact(0.6))])
PROMPT_NANO, OUTPUT_NANO = 3 * 150, 600


def chat(**fields):
    body = {"model": "m", "messages": [{"role": "user", "content": "Say hello"}], **fields}
    return parse_chat(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("fields", "delivered", "tokens"),
    [
        ({}, 0, 4_096),
        ({}, 1_000, 3_096),
        # A long answer may become as long again.
        ({}, 5_000, 5_000),
        ({"n": 2}, 0, 8_192),
        ({"max_tokens": 100}, 0, 100),
        ({"max_tokens": 100}, 40, 60),
        ({"max_completion_tokens": 500, "max_tokens": 100}, 0, 500),
        ({"max_tokens": 100, "n": 3}, 0, 300),
        ({"max_tokens": 100}, 130, 0),
        ({"max_tokens": 10**9}, 0, 128_000),
        ({"max_tokens": 0}, 0, 4_096),
        ({"max_tokens": "many"}, 0, 4_096),
    ],
)
def test_the_rest_of_an_answer_is_its_limit_or_an_assumption(fields, delivered, tokens):
    usage = Usage(input_tokens=3, output_tokens=delivered)
    assert exposure_nanousd(usage, chat(**fields), PRICE) == tokens * OUTPUT_NANO


def test_embeddings_and_targets_without_a_price_have_none():
    embeddings = parse_embeddings(b'{"model": "m", "input": "hello"}')
    assert exposure_nanousd(Usage(input_tokens=3), embeddings, PRICE) == 0
    assert exposure_nanousd(Usage(input_tokens=3), chat(), price_of([])) == 0


async def stall_after(wire, exchange, *items):
    await exchange.stream_head()
    for item in items:
        await exchange.send(wire.sse(item))
    await exchange.gone()


async def abandoned_stream(gateway, **fields):
    """Read the first piece of a stream and go."""
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}], "stream": True, **fields}
    response = await gateway.session.post("/v1/chat/completions", json=body)
    await response.content.readany()
    response.close()
    (call,) = (await gateway.finished()).calls
    return call


async def test_a_client_that_leaves_a_stream_exposes_what_was_not_delivered(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: stall_after(wire, exchange, wire.chunk("Hello there")))
    gateway = await make_gateway(upstream)
    call = await abandoned_stream(gateway, max_tokens=100)
    # "Hello there" is 3 tokens.
    assert call.usage.cost_nanousd == call.usage.credits_nanousd == PROMPT_NANO + 3 * OUTPUT_NANO
    assert call.usage.exposure_nanousd == 97 * OUTPUT_NANO
    assert (call.status, call.usage.cost_source) == ("cancelled", "estimated")


async def test_usage_that_ran_along_does_not_end_the_exposure(make_upstream, make_gateway, wire):
    """A provider that counts in every chunk has reported all that it made, and goes on."""
    running = {"prompt_tokens": 10, "completion_tokens": 5}
    upstream = await make_upstream(lambda exchange: stall_after(wire, exchange, wire.chunk("Hello", usage=running)))
    call = await abandoned_stream(await make_gateway(upstream), max_tokens=100)
    assert (call.usage.output_tokens, call.usage.cost_source) == (5, "priced")
    assert call.usage.exposure_nanousd == 95 * OUTPUT_NANO


async def test_a_stream_that_is_whole_has_none(make_upstream, make_gateway, wire):
    """The reason to finish and the usage came; only the end marker did not."""
    upstream = await make_upstream(
        lambda exchange: stall_after(wire, exchange, wire.chunk("Hello"), wire.chunk(finish="stop", usage=wire.usage))
    )
    call = await abandoned_stream(await make_gateway(upstream))
    assert (call.status, call.usage.exposure_nanousd) == ("cancelled", 0)
    assert call.usage.cost_source == "priced"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_timeout_exposes_the_whole_answer_and_the_next_provider_adds_none(make_upstream, make_gateway, stream):
    async def hang(exchange):
        await exchange.gone()

    gateway = await make_gateway(
        await make_upstream(hang), await make_upstream(name="beta"), first_byte_seconds=0.1, whole_answer_seconds=0.1
    )
    assert (await gateway.chat(stream=stream, max_tokens=50)).status == 200
    recorded = await gateway.finished()
    assert [attempt.usage.exposure_nanousd for attempt in recorded.attempts] == [50 * OUTPUT_NANO, 0]
    (row,) = recorded.rows
    assert (row.exposure_nanousd, row.cost_nanousd) == (50 * OUTPUT_NANO, PROMPT_NANO + 3_900)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_refusal_exposes_nothing(make_upstream, make_gateway, status):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply({"error": "no"}, status)))
    await gateway.chat()
    assert [attempt.usage.exposure_nanousd for attempt in (await gateway.finished()).attempts] == [0]


async def test_a_stream_that_the_provider_breaks_exposes_nothing(make_upstream, make_gateway, wire):
    async def broken(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        exchange.close()

    gateway = await make_gateway(await make_upstream(broken))
    await gateway.chat(stream=True)
    (attempt,) = (await gateway.finished()).attempts
    assert (attempt.error_kind, attempt.usage.exposure_nanousd) == ("stream_broken", 0)


async def test_exposure_is_charged_to_no_limit(make_upstream, make_gateway, wire):
    """The prompt is 3 tokens; a bucket of 1 000 would be empty if the 4 096 of the rest were charged."""
    upstream = await make_upstream(lambda exchange: exchange.gone())
    gateway = await make_gateway(upstream, limits=(None, 1_000))
    call = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the request at the provider")
    call.cancel()
    recorded = await gateway.finished()
    assert recorded.rows[0].exposure_nanousd == 4_096 * OUTPUT_NANO
    caller = Caller(key_id="key_1", plan="free", tokens_per_minute=1_000)
    assert (await gateway.gateway._limiter.admit(caller)).allowed


async def test_without_a_price_the_tokens_are_counted_as_unpriced(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: exchange.gone())
    models = [ModelConfig(name="acme/tiny", routes=(RouteConfig(provider="alpha", upstream_model="x"),))]
    gateway = await make_gateway(upstream, models=models)
    call = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the request at the provider")
    call.cancel()
    await gateway.finished()
    (end,) = gateway.recorder.of(CallFinished)
    assert (end.usage.cost_nanousd, end.usage.exposure_nanousd, end.usage.unpriced_tokens) == (0, 0, 3)
