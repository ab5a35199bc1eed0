"""Streamed chats, end to end over sockets: what the client sees, and what is counted."""

import asyncio
import json
import time

import pytest

from otel.events.usage import Usage

pytestmark = pytest.mark.live
OPTIONS = {"include_usage": True}


async def test_usage_is_asked_for_and_hidden_from_a_client_that_did_not(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    events = await gateway.stream()
    assert events == [wire.chunk("Hel"), wire.chunk("lo"), wire.chunk(finish="stop"), b"[DONE]"]
    assert upstream.exchanges[0].json["stream_options"] == {"include_usage": True}
    recorded = await gateway.finished()
    usage = Usage(
        input_tokens=10,
        output_tokens=4,
        cost_nanousd=3_900,
        credits_nanousd=3_900,
        cost_source="priced",
        priced_nanousd=3_900,
    )
    (attempt,) = recorded.attempts
    assert (attempt.status, attempt.usage, attempt.finish_reason) == ("success", usage, "stop")
    assert 0 < attempt.response_seconds <= attempt.first_token_seconds <= attempt.duration_seconds
    assert (recorded.calls[0].stream, recorded.calls[0].usage) == (True, usage)
    assert recorded.rows[0].first_token_ms is not None
    assert [each.outcome for each in recorded.requests] == ["ok"]


async def test_a_client_that_asked_gets_every_chunk_untouched(make_upstream, make_gateway, wire):
    sent = [wire.chunk("Hi", usage=None), wire.chunk(finish="stop", usage=None), wire.usage_chunk()]
    upstream = await make_upstream(lambda exchange: exchange.stream(*sent))
    gateway = await make_gateway(upstream)
    response = await gateway.chat(stream=True, stream_options={"include_usage": True, "x": 1})
    assert response.raw == wire.sse(*sent, b"[DONE]")
    assert upstream.exchanges[0].json["stream_options"] == {"include_usage": True, "x": 1}


async def test_other_stream_options_of_the_client_are_kept(make_upstream, make_gateway):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    await gateway.stream(stream_options={"include_usage": False, "include_obfuscation": False})
    assert upstream.exchanges[0].json["stream_options"] == {"include_usage": True, "include_obfuscation": False}


async def test_nothing_but_usage_is_taken_out_of_a_chunk(make_upstream, make_gateway, wire):
    payload = (
        b'{"id":"c", "usage":null , "choices":[{"index":0,"delta":{"content":"\\u00e9 x"},"n":1.50}],"x":{"y": 1}}'
    )
    upstream = await make_upstream(lambda exchange: exchange.stream(payload, wire.chunk(finish="stop")))
    gateway = await make_gateway(upstream)
    response = await gateway.chat(stream=True)
    first = response.raw.split(b"\n\n")[0]
    assert first == (b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\u00e9 x"},"n":1.50}],"x":{"y": 1}}')


@pytest.mark.parametrize(
    ("usages", "expected"),
    [
        # In the last chunk with choices, as some servers do.
        ([None, {"prompt_tokens": 9, "completion_tokens": 8}], (9, 8, False)),
        # Running totals in every chunk: the last counts.
        ([{"prompt_tokens": 9, "completion_tokens": 1}, {"prompt_tokens": 9, "completion_tokens": 2}], (9, 2, False)),
        # A null after the real one does not erase it.
        ([{"prompt_tokens": 9, "completion_tokens": 1}, None], (9, 1, False)),
        # None at all: "Say hello" and "Hello there" estimated, 4 characters a token.
        ([None, None], (3, 3, True)),
    ],
)
async def test_usage_in_odd_places(make_upstream, make_gateway, wire, usages, expected):
    chunks = [wire.chunk("Hello ", usage=usages[0]), wire.chunk("there", finish="stop", usage=usages[1])]
    upstream = await make_upstream(lambda exchange: exchange.stream(*chunks))
    gateway = await make_gateway(upstream)
    events = await gateway.stream()
    assert events == [wire.chunk("Hello "), wire.chunk("there", finish="stop"), b"[DONE]"]
    usage = (await gateway.finished()).calls[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == expected


async def test_each_chunk_arrives_when_the_provider_sends_it(make_upstream, make_gateway, wire):
    """Nothing is held back: each chunk is read before the provider is allowed to send the next."""
    go = asyncio.Semaphore(0)

    async def step(exchange):
        await exchange.stream_head()
        for text in "abc":
            await exchange.send(wire.sse(wire.chunk(text)))
            async with asyncio.timeout(20):
                await go.acquire()
        await exchange.send(wire.sse(wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    upstream = await make_upstream(step)
    gateway = await make_gateway(upstream)
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with gateway.session.post("/v1/chat/completions", json=body) as response:
        for text in "abc":
            piece = await response.content.readuntil(b"\n\n")
            assert json.loads(piece[6:])["choices"][0]["delta"] == {"content": text}
            go.release()
        assert (await response.content.read()).endswith(b"data: [DONE]\n\n")


async def test_comments_pass_once_the_response_has_begun(make_upstream, make_gateway, wire):
    upstream = await make_upstream(
        lambda exchange: _send(
            exchange,
            b": waiting\n\n" + wire.sse(wire.chunk("a")) + b": still here\n\n" + wire.sse(wire.chunk(finish="stop")),
        )
    )
    gateway = await make_gateway(upstream)
    response = await gateway.chat(stream=True)
    expected = wire.sse(wire.chunk("a")) + b": still here\n\n" + wire.sse(wire.chunk(finish="stop"), b"[DONE]")
    assert response.raw == expected


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_any_framing_reads_the_same(make_upstream, make_gateway, wire, line_end, size):
    stream = wire.sse(wire.chunk("a"), wire.chunk("b"), wire.chunk(finish="stop"), wire.usage_chunk(), b"[DONE]")
    data = stream.replace(b"\n", line_end.encode())

    async def drip(exchange):
        await exchange.stream_head()
        for start in range(0, len(data), size):
            await exchange.send(data[start : start + size])
        await exchange.end()

    gateway = await make_gateway(await make_upstream(drip))
    events = await gateway.stream()
    assert events == [wire.chunk("a"), wire.chunk("b"), wire.chunk(finish="stop"), b"[DONE]"]
    assert (await gateway.finished()).calls[0].usage.output_tokens == 4


async def test_a_stream_with_a_finish_reason_needs_no_end_marker(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: exchange.stream(wire.chunk("a", finish="stop"), done=False))
    gateway = await make_gateway(upstream)
    assert await gateway.stream() == [wire.chunk("a", finish="stop"), b"[DONE]"]
    assert (await gateway.finished()).calls[0].status == "success"


@pytest.mark.parametrize("reason", ["null", "None", "", "FINISH_REASON_UNSPECIFIED"])
async def test_no_reason_to_finish_as_text_ends_nothing(make_upstream, make_gateway, wire, reason):
    """A stream that is cut behind it is broken, and no success that is billed as one."""

    async def cut(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("a", finish=reason), wire.chunk("b", finish=reason)))
        await exchange.end()

    events = await (gateway := await make_gateway(await make_upstream(cut))).stream()
    assert events[-1]["error"]["code"] == "upstream_failed"
    assert (await gateway.finished()).attempts[0].error_kind == "stream_broken"


async def test_an_end_marker_needs_no_finish_reason(make_upstream, make_gateway, wire):
    upstream = await make_upstream(lambda exchange: exchange.stream(wire.chunk("a")))
    gateway = await make_gateway(upstream)
    assert await gateway.stream() == [wire.chunk("a"), b"[DONE]"]
    assert (await gateway.finished()).calls[0].status == "success"


@pytest.mark.parametrize("cut", ["end", "close"])
async def test_a_stream_that_breaks_ends_in_an_error_event(make_upstream, make_gateway, wire, cut):
    async def break_off(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello ")))
        await wire.until(lambda: len(gateway.recorder.requests) == 1)
        await asyncio.sleep(0.05)
        if cut == "end":
            await exchange.end()
        else:
            exchange.close()

    upstream = await make_upstream(break_off)
    spare = await make_upstream(name="beta")
    gateway = await make_gateway(upstream, spare)
    first, last = await gateway.stream()
    assert first == wire.chunk("Hello ")
    assert last["error"]["code"] == "upstream_failed"
    assert not spare.exchanges, "bytes had reached the client: no failover"
    recorded = await gateway.finished()
    (attempt,) = recorded.attempts
    assert (attempt.status, attempt.error_kind) == ("error", "stream_broken")
    # What was delivered is counted: "Say hello" and "Hello ", estimated.
    usage = recorded.calls[0].usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (3, 2, True)
    assert (recorded.calls[0].status, recorded.calls[0].error_kind) == ("error", "stream_broken")


async def test_an_error_event_of_the_provider_is_passed_on_and_counted(make_upstream, make_gateway, wire):
    error = {"error": {"message": "overloaded", "code": 503}}

    async def fail_late(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello ")))
        await asyncio.sleep(0.05)
        await exchange.send(wire.sse(error))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(fail_late))
    first, last = await gateway.stream()
    assert first == wire.chunk("Hello ")
    # In OpenAI's shape, with the fields of the provider's own.
    assert last == {"error": {"message": "overloaded", "type": "server_error", "param": None, "code": 503}}
    assert (await gateway.finished()).attempts[0].error_kind == "upstream_5xx"


@pytest.mark.parametrize("garbage", [b"data: {not json\n\n", b"data: 7\n\n", b'data: {"choices": 7}\n\n'])
async def test_garbage_in_the_middle_ends_the_stream(make_upstream, make_gateway, wire, garbage):
    async def babble(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("a")))
        await asyncio.sleep(0.05)
        await exchange.send(garbage)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(babble))
    first, last = await gateway.stream()
    assert (first, last["error"]["type"]) == (wire.chunk("a"), "server_error")
    assert (await gateway.finished()).attempts[0].error_kind == "bad_response"


async def test_a_provider_that_falls_silent_is_given_up(make_upstream, make_gateway, wire):
    async def stall(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("a")))
        await exchange.gone()

    gateway = await make_gateway(await make_upstream(stall), idle_seconds=0.1, first_byte_seconds=30.0)
    started = time.monotonic()
    _, last = await gateway.stream()
    assert time.monotonic() - started < 20
    assert last["error"]["code"] == "upstream_timeout"
    assert (await gateway.finished()).attempts[0].error_kind == "idle_timeout"


@pytest.mark.parametrize("early", [b"\n", b"1", b"whole head"])
async def test_a_whole_response_may_begin_long_before_its_end(make_upstream, make_gateway, wire, early):
    """A provider that sends its head, blank lines or the first bytes early has as long as one that sends all at its end."""
    body = json.dumps(wire.completion).encode()
    begin = b"" if early == b"whole head" else body[:30] if early == b"1" else early
    rest = body[30:] if early == b"1" else body

    async def slow(exchange):
        await exchange.raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(begin + rest)
        )
        await exchange.raw(begin)
        await asyncio.sleep(0.3)
        await exchange.raw(rest)

    gateway = await make_gateway(await make_upstream(slow), idle_seconds=0.05)
    assert (await gateway.chat()).status == 200
    assert (await gateway.finished()).attempts[0].error_kind is None


async def test_a_stream_without_end_is_cut_at_the_total(make_upstream, make_gateway, wire):
    async def forever(exchange):
        await exchange.stream_head()
        while True:
            await exchange.send(wire.sse(wire.chunk("a")))
            await asyncio.sleep(0.01)

    gateway = await make_gateway(await make_upstream(forever), total_seconds=0.2)
    events = await gateway.stream()
    assert events[-1]["error"]["code"] == "upstream_timeout"


async def test_a_client_that_leaves_in_the_middle_cancels_the_upstream_call(make_upstream, make_gateway, wire):
    noticed = asyncio.Event()

    async def wait(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello there")))
        await exchange.gone()
        noticed.set()

    upstream = await make_upstream(wait)
    gateway = await make_gateway(upstream)
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "Say hello"}], "stream": True}
    async with gateway.session.post("/v1/chat/completions", json=body) as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    await wire.until(noticed.is_set, "the end of the upstream call")
    recorded = await gateway.finished()
    (attempt,) = recorded.attempts
    assert (attempt.status, attempt.cancel_phase) == ("cancelled", "after_first_byte")
    (call,) = recorded.calls
    assert (call.status, call.cancel_phase) == ("cancelled", "after_first_byte")
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.estimated) == (3, 3, True)
    assert [(each.status_code, each.outcome) for each in recorded.requests] == [(200, "cancelled")]


async def test_a_slow_client_slows_the_provider_down(make_upstream, make_gateway, wire):
    """The gateway buffers a bounded part of a large response while the client does not read."""
    sent = 0
    big = wire.sse(wire.chunk("x" * 60_000))

    async def flood(exchange):
        nonlocal sent
        await exchange.stream_head()
        for _ in range(1_000):
            await exchange.send(big)
            sent += 1
        await exchange.send(wire.sse(b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(flood), idle_seconds=1.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=2**16)
    body = json.dumps({"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {wire.key}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.1)
    # Longer than the idle timeout: a slow client is not the provider's fault.
    await asyncio.sleep(1.2)
    assert sent < 500, "the provider was read as fast as it sends"
    received = 0
    async with asyncio.timeout(60):
        tail = b""
        while b"data: [DONE]" not in tail:
            piece = await reader.read(2**16)
            assert piece, "the stream ended early"
            received += len(piece)
            tail = (tail + piece)[-200:]
    assert received > 1_000 * 60_000
    writer.close()
    assert (await gateway.finished()).calls[0].status == "success"


async def test_the_connection_of_a_finished_stream_is_used_again(make_upstream, make_gateway, wire):
    upstream = await make_upstream()
    gateway = await make_gateway(upstream)
    for _ in range(3):
        await gateway.stream()
        await wire.until(lambda: not any(provider_of(gateway)._drains), "the end of the body")
    assert upstream.connections == 1


def provider_of(gateway):
    (route,) = gateway.gateway.models.find("acme/tiny", "chat").routes
    return route.provider


async def _send(exchange, data):
    await exchange.stream_head()
    await exchange.send(data)
    await exchange.end()
