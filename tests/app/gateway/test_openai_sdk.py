"""The official OpenAI SDK, unchanged, against the gateway on a socket: responses, streams, and its typed errors."""

import time

import openai
import pytest

from app.config.schema import PlanConfig, ServerConfig
from otel.events import RateLimited

pytestmark = pytest.mark.live
MESSAGES = [{"role": "user", "content": "Say hello"}]


@pytest.fixture
async def make_client(wire, stack):
    async def make(gateway, key=wire.key, **options):
        client = openai.AsyncOpenAI(api_key=key, base_url=f"{gateway.url}/v1", **{"max_retries": 0, **options})
        stack.push_async_callback(client.close)
        return client

    return make


async def test_chat(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    completion = await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert completion.choices[0].message.content == "Hello there"
    assert completion.usage.total_tokens == 14


async def test_stream(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    stream = await client.chat.completions.create(model="acme/tiny", messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello"
    assert all(chunk.usage is None for chunk in chunks)


async def test_stream_with_usage(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    stream = await client.chat.completions.create(
        model="acme/tiny", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 4)


async def test_leaving_a_stream_early(make_upstream, make_gateway, make_client, wire):
    async def wait(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        await exchange.gone()

    gateway = await make_gateway(await make_upstream(wait))
    client = await make_client(gateway)
    async with await client.chat.completions.create(model="acme/tiny", messages=MESSAGES, stream=True) as stream:
        async for _ in stream:
            break
    assert (await gateway.finished()).calls[0].cancel_phase == "after_first_byte"


async def test_embeddings(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    response = await client.embeddings.create(model="acme/embed", input="text", encoding_format="float")
    assert response.data[0].embedding == [0.5, -0.25]


async def test_models(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    assert [model.id async for model in client.models.list()] == ["acme/tiny", "acme/embed"]
    assert (await client.models.retrieve("acme/tiny")).id == "acme/tiny"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("acme/none")


async def test_raw_responses_carry_our_headers(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    raw = await client.chat.completions.with_raw_response.create(model="acme/tiny", messages=MESSAGES)
    assert raw.headers["x-gatewayz-provider"] == "alpha"
    assert len(raw.headers["x-trace-id"]) == 32


@pytest.mark.parametrize("stream", [False, True])
async def test_bad_key(make_upstream, make_gateway, make_client, stream):
    client = await make_client(await make_gateway(await make_upstream()), key="wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.type == "invalid_request_error"


async def test_expired_trial(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()), key="expired-key")
    with pytest.raises(openai.PermissionDeniedError):
        await client.models.list()


async def test_unknown_model(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_bad_request(make_upstream, make_gateway, make_client):
    client = await make_client(await make_gateway(await make_upstream()))
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=[])
    assert caught.value.param == "messages"


async def test_too_large(make_upstream, make_gateway, make_client):
    gateway = await make_gateway(await make_upstream(), server_config=ServerConfig(max_body_bytes=100_000))
    client = await make_client(gateway)
    big = [{"role": "user", "content": "x" * 5_000_000}]
    for _ in range(5):
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="acme/tiny", messages=big)
        assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


async def test_rate_limit_of_the_key(make_upstream, make_gateway, make_client):
    gateway = await make_gateway(await make_upstream(), limits=(2, None))
    client = await make_client(gateway)
    first = await client.chat.completions.with_raw_response.create(model="acme/tiny", messages=MESSAGES)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert "x-ratelimit-limit-tokens" not in first.headers
    await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 30
    assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.code == "rate_limit_exceeded"
    recorded = await gateway.finished()
    assert recorded.of(RateLimited) == [RateLimited(limit_type="key_requests")]
    assert len(recorded.calls) == 2


async def test_token_limit_of_the_plan(make_upstream, make_gateway, make_client):
    gateway = await make_gateway(await make_upstream(), plan=PlanConfig(name="free", plan_tokens_per_minute=10))
    client = await make_client(gateway)
    # 14 tokens are charged after the response; the next call finds the budget below zero.
    await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES, stream=True)
    assert caught.value.response.headers["x-ratelimit-limit-tokens"] == "10"
    assert (await gateway.finished()).of(RateLimited) == [RateLimited(limit_type="plan_tokens")]


async def test_rate_limit_of_every_provider(make_upstream, make_gateway, make_client):
    upstream = await make_upstream(lambda exchange: exchange.reply({"error": {}}, 429, {"retry-after": "17"}))
    client = await make_client(await make_gateway(upstream))
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "17"


async def test_the_sdk_waits_as_told_and_tries_again(make_upstream, make_gateway, make_client, wire):
    async def second_time_lucky(exchange):
        if len(upstream.exchanges) == 1:
            await exchange.reply({"error": {}}, 429, {"retry-after": "1"})
        else:
            await exchange.reply(wire.completion)

    upstream = await make_upstream(second_time_lucky)
    client = await make_client(await make_gateway(upstream), max_retries=1)
    started = time.monotonic()
    completion = await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert completion.choices[0].message.content == "Hello there"
    assert time.monotonic() - started >= 1


async def test_provider_failure(make_upstream, make_gateway, make_client):
    upstream = await make_upstream(lambda exchange: exchange.reply({"error": {}}, 500))
    client = await make_client(await make_gateway(upstream))
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_failed")


async def test_provider_timeout(make_upstream, make_gateway, make_client):
    upstream = await make_upstream(lambda exchange: exchange.gone())
    client = await make_client(await make_gateway(upstream, whole_answer_seconds=0.1))
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="acme/tiny", messages=MESSAGES)
    assert caught.value.status_code == 504


async def test_a_stream_that_breaks_raises(make_upstream, make_gateway, make_client, wire):
    async def break_off(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        exchange.close()

    client = await make_client(await make_gateway(await make_upstream(break_off)))
    stream = await client.chat.completions.create(model="acme/tiny", messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError, match="broke off its response"):
        async for _ in stream:
            pass
