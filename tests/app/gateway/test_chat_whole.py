"""Chats that are not streamed, end to end over sockets."""

import asyncio
import gzip
import json

import pytest

from otel.events import CacheLookedUp, CallerIdentified
from otel.events.usage import Usage

pytestmark = pytest.mark.live


async def test_chat_is_served_byte_for_byte_and_accounted_for(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    response = await gateway.chat()
    assert response.status == 200
    assert response.raw == json.dumps(wire.completion).encode()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-gatewayz-provider"] == "alpha"
    assert "x-gatewayz-cache" not in response.headers
    recorded = await gateway.finished()
    # 10 input tokens at 150 nano-USD and 4 output tokens at 600.
    usage = Usage(
        input_tokens=10,
        output_tokens=4,
        cost_nanousd=3_900,
        credits_nanousd=3_900,
        cost_source="priced",
        priced_nanousd=3_900,
    )
    (attempt,) = recorded.attempts
    assert (attempt.status, attempt.http_status, attempt.usage) == ("success", 200, usage)
    assert (attempt.response_id, attempt.response_model, attempt.finish_reason) == ("chatcmpl-1", "tiny-2026", "stop")
    assert attempt.first_token_seconds is None
    assert 0 < attempt.response_seconds <= attempt.duration_seconds
    (call,) = recorded.calls
    assert (call.status, call.provider, call.model, call.attempts) == ("success", "alpha", "acme/tiny", 1)
    assert (call.stream, call.cached, call.error_kind, call.cancel_phase) == (False, False, None, None)
    (started,) = recorded.started
    assert (started.upstream_model, started.server_address, started.server_port) == (
        "alpha-tiny",
        "127.0.0.1",
        upstream.port,
    )
    assert recorded.rows[0].trace_id == response.headers["x-trace-id"]
    assert recorded.rows[0].key_id == "key_1"
    assert recorded.of(CallerIdentified) == [CallerIdentified(key_id="key_1", plan="free")]
    assert recorded.of(CacheLookedUp) == []
    assert [request.status_code for request in recorded.requests] == [200]


async def test_fields_reach_the_provider_byte_for_byte(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    body = (
        b'{ "messages" : [ {"role":"user",  "content":"\\u00e9\xc3\xa9"} ],\n"model":"acme/tiny",'
        b'"tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":1.50}}}],'
        b'"seed":123456789012345678901234567890, "stream_options": {"x": 1}, "new_field":{ "deep" : [1e2,null] } }'
    )
    assert (await gateway.post("/v1/chat/completions", body)).status == 200
    sent = upstream.exchanges[0].body
    assert b'"messages":[ {"role":"user",  "content":"\\u00e9\xc3\xa9"} ]' in sent
    assert b'"tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":1.50}}}]' in sent
    assert b'"seed":123456789012345678901234567890' in sent
    assert b'"new_field":{ "deep" : [1e2,null] }' in sent
    assert b'"stream_options":{"x": 1}' in sent
    assert b'"model":"alpha-tiny"' in sent


async def test_the_provider_gets_our_key_and_the_trace_and_nothing_of_the_client(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    body = b'{"model":"acme/tiny","messages":[{"role":"user","content":"x"}]}'
    response = await gateway.post(
        "/v1/chat/completions", body, {"cookie": "a=b", "x-forwarded-for": "9.9.9.9", "openai-organization": "org-1"}
    )
    headers = upstream.exchanges[0].headers
    assert headers["authorization"] == "Bearer key-of-alpha"
    assert headers["traceparent"] == f"00-{response.headers['x-trace-id']}-0000000000000001-01"
    assert headers["content-type"] == "application/json"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"] == "gatewayz"
    assert not {"cookie", "x-forwarded-for", "openai-organization"} & set(headers)


@pytest.mark.parametrize(
    ("usage", "input_tokens", "output_tokens", "estimated"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 5.0}, 7, 5, False),
        ({"input_tokens": 7, "output_tokens": 5}, 7, 5, False),
        ({"prompt_tokens": 0, "completion_tokens": 0}, 3, 3, True),
        ({"prompt_tokens": 0, "completion_tokens": 0, "input_tokens": 7, "output_tokens": 5}, 7, 5, False),
        ({"prompt_tokens": 7}, 7, 3, True),
        ({"prompt_tokens": True, "completion_tokens": "5"}, 3, 3, True),
        ({"prompt_tokens": -1, "completion_tokens": 10**30}, 3, 3, True),
        (None, 3, 3, True),
        ("many", 3, 3, True),
        ([], 3, 3, True),
    ],
)
async def test_usage_in_odd_shapes(make_upstream, make_gateway, wire, *, usage, input_tokens, output_tokens, estimated):
    # "Say hello" is 9 characters, "Hello there" 11: 3 tokens each by our estimate.
    upstream = await make_upstream(lambda exchange: exchange.reply({**wire.completion, "usage": usage}))
    gateway = await make_gateway(upstream)
    assert (await gateway.chat()).status == 200
    found = (await gateway.finished()).calls[0].usage
    assert (found.input_tokens, found.output_tokens, found.estimated) == (input_tokens, output_tokens, estimated)
    assert found.cost_nanousd == input_tokens * 150 + output_tokens * 600


async def test_a_compressed_response_is_relayed_in_plain(make_upstream, make_gateway, wire):
    packed = gzip.compress(json.dumps(wire.completion).encode())
    upstream = await make_upstream(lambda exchange: exchange.reply(packed, headers={"content-encoding": "gzip"}))
    gateway = await make_gateway(upstream)
    response = await gateway.chat()
    assert response.json == wire.completion
    assert "content-encoding" not in response.headers


async def test_lone_surrogates_of_a_provider_do_not_break_its_response(make_upstream, make_gateway, wire):
    body = json.dumps({**wire.completion, "usage": None}).replace("Hello there", "\\ud83d").encode()
    upstream = await make_upstream(lambda exchange: exchange.reply(body))
    gateway = await make_gateway(upstream)
    response = await gateway.chat()
    assert (response.status, response.raw) == (200, body)
    assert (await gateway.finished()).calls[0].status == "success"


async def test_deterministic_responses_come_from_the_cache_where_the_model_allows_it(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream, cache_ttl_seconds=60.0)
    first = await gateway.chat(temperature=0)
    second = await gateway.chat(temperature=0)
    warm = await gateway.chat(temperature=0.5)
    assert (first.headers["x-gatewayz-cache"], second.headers["x-gatewayz-cache"]) == ("miss", "hit")
    assert second.raw == first.raw
    assert "x-gatewayz-provider" not in second.headers
    assert "x-gatewayz-cache" not in warm.headers
    assert len(upstream.exchanges) == 2
    recorded = await gateway.finished()
    lookups = [CacheLookedUp(cache="response", hit=False), CacheLookedUp(cache="response", hit=True)]
    assert recorded.of(CacheLookedUp) == lookups
    cached = recorded.calls[1]
    assert (cached.status, cached.cached, cached.provider, cached.attempts) == ("success", True, None, 0)
    assert cached.usage == Usage()


async def test_an_error_is_never_kept(make_upstream, make_gateway, wire):
    async def first_fails(exchange):
        if len(upstream.exchanges) == 1:
            await exchange.reply({"oops": True})
        else:
            await exchange.reply(wire.completion)

    upstream = await make_upstream(first_fails)
    gateway = await make_gateway(upstream, cache_ttl_seconds=60.0)
    assert [(await gateway.chat(temperature=0)).status for _ in range(3)] == [502, 200, 200]
    assert len(upstream.exchanges) == 2


async def test_a_client_that_leaves_before_the_first_byte_cancels_the_upstream_call(make_upstream, make_gateway, wire):
    noticed = asyncio.Event()

    async def wait(exchange):
        await exchange.gone()
        noticed.set()

    upstream = await make_upstream(wait)
    gateway = await make_gateway(upstream)
    call = asyncio.create_task(gateway.chat())
    await wire.until(lambda: upstream.exchanges, "the upstream call")
    call.cancel()
    await wire.until(noticed.is_set, "the end of the upstream call")
    recorded = await gateway.finished()
    (attempt,) = recorded.attempts
    assert (attempt.status, attempt.cancel_phase, attempt.error_kind) == ("cancelled", "before_first_byte", None)
    (call_end,) = recorded.calls
    assert (call_end.status, call_end.cancel_phase, call_end.provider) == ("cancelled", "before_first_byte", "alpha")
    # The provider had the prompt: "Say hello", estimated.
    assert call_end.usage == Usage(
        input_tokens=3,
        estimated=True,
        cost_nanousd=450,
        credits_nanousd=450,
        cost_source="estimated",
        priced_nanousd=450,
        exposure_nanousd=4_096 * 600,
    )
    assert [(each.status_code, each.outcome) for each in recorded.requests] == [(499, "cancelled")]


async def test_many_calls_at_once_each_have_their_own_account(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    responses = await asyncio.gather(*(gateway.chat(stream=bool(i % 2)) for i in range(40)))
    assert {response.status for response in responses} == {200}
    recorded = await gateway.finished()
    assert len(recorded.calls) == 40
    assert len({row.call_id for row in recorded.rows}) == 40
    assert sum(call.usage.cost_nanousd for call in recorded.calls) == 40 * 3_900


async def test_no_task_is_left_behind(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream())
    await gateway.chat()
    before = len(asyncio.all_tasks())
    await asyncio.gather(*(gateway.chat(stream=bool(i % 2)) for i in range(20)))
    await gateway.session.close()
    # The upstream of this test keeps a task per pooled connection.
    await wire.until(lambda: len(asyncio.all_tasks()) <= before + 20, "the end of the tasks")


async def test_a_client_that_leaves_in_its_own_body(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {wire.key}\r\n"
    writer.write(f'{head}content-length: 500\r\n\r\n{{"model":'.encode())
    await wire.until(lambda: gateway.recorder.requests, "the request")
    writer.close()
    recorded = await gateway.finished()
    assert [(each.status_code, each.outcome) for each in recorded.requests] == [(499, "cancelled")]
    assert recorded.calls == []
    assert not upstream.exchanges


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancellation_from_the_server_ends_the_call_once(make_upstream, make_gateway, wire, caplog, stream):
    async def hang(exchange):
        if stream:
            await exchange.stream_head()
            await exchange.send(wire.sse(wire.chunk("Hello")))
        await exchange.gone()

    upstream = await make_upstream(hang)
    gateway = await make_gateway(upstream)
    call = asyncio.create_task(gateway.chat(stream=stream))
    await wire.until(lambda: upstream.exchanges, "the upstream call")
    await asyncio.sleep(0.05)
    for task in gateway.server.server_state.tasks:
        task.cancel()
    recorded = await gateway.finished()
    assert [(each.status, each.error_kind) for each in recorded.calls] == [("error", "shutdown")]
    assert [each.status for each in recorded.attempts] == ["cancelled"]
    assert recorded.calls[0].usage.output_tokens == (2 if stream else 0)
    await asyncio.gather(call, return_exceptions=True)
    await wire.until(lambda: not upstream.open_connections, "the end of the upstream call")
