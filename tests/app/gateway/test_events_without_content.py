"""Events that carry no content, and ends of streams as providers make them: the response is whole, and its usage is read."""

import asyncio

import pytest

pytestmark = pytest.mark.live

USAGE = b'{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14}'
HARMLESS = [
    b"data:\n\n",
    b"data: \n\n",
    b"data:   \t\n\n",
    b"data: null\n\n",
    b"data: {}\n\n",
    b"data\n\n",
    b"event: ping\n\n",
    b"event: ping\ndata: {}\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b"event: ping\ndata: 1732900000\n\n",
    b"event: heartbeat\ndata: still here\n\n",
    b"id: 7\n\n",
    b"retry: 1000\n\n",
    b": comment\n\n",
    b"\n\n\n\n",
    b'data: {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}\n\n',
    b'data: {"choices": null}\n\n',
    b'data: {"object": "chat.completion.chunk"}\n\n',
    b'data: {"id": "c", "choices": [], "usage": null}\n\n',
    b'data: {"usage": ' + USAGE + b"}\n\n",
    b'data: {"choices": null, "usage": ' + USAGE + b"}\n\n",
    b'data: {"x_groq": {"id": "r"}, "choices": []}\n\n',
    b'data: {"id": "c", "choices": {}}\n\n',
    b'data: {"choices": { }, "usage": ' + USAGE + b"}\n\n",
    b'data: {"choices": [], "usage": ' + USAGE + b', "citations": ["https://a.example"]}\n\n',
    b'data: {"metadata": {"usage": ' + USAGE + b"}}\n\n",
]


def text_of(wire, raw):
    """The text that a client gets of a stream."""
    text = ""
    for event in raw[:-2].split(b"\n\n"):
        for line in event.split(b"\n"):
            if line.startswith(b"data: {"):
                for choice in wire.json.decode(line[6:]).get("choices") or ():
                    text += choice["delta"].get("content") or ""
    return text


@pytest.mark.parametrize("event", HARMLESS)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_an_event_without_content_is_harmless(make_upstream, make_gateway, wire, event, place):
    parts = [wire.sse(wire.chunk("Hel")), wire.sse(wire.chunk("lo")), wire.sse(wire.chunk(finish="stop"))]
    parts += [wire.sse(wire.usage_chunk(), b"[DONE]")]
    parts.insert(place, event)

    async def script(exchange):
        await exchange.stream_head()
        for part in parts:
            await exchange.send(part)
            await asyncio.sleep(0.005)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    response = await gateway.chat(stream=True)
    assert (response.status, text_of(wire, response.raw)) == (200, "Hello")
    assert response.raw.endswith(b"data: [DONE]\n\n")
    assert b"prompt_tokens" not in response.raw, "the client did not ask for usage"
    assert b"data: null" not in response.raw
    assert b"data: \n" not in response.raw
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.attempts, row.input_tokens, row.output_tokens) == ("success", 1, 10, 4)
    assert not row.usage_estimated


@pytest.mark.parametrize("data", [b"7", b'"text"', b"true", b"[1]", b"{oops"])
async def test_data_of_another_kind_is_not_the_wire_format(make_upstream, make_gateway, wire, data):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.stream(data)))
    assert (await gateway.chat(stream=True)).status == 502
    assert (await gateway.finished()).attempts[0].error_kind == "bad_response"


@pytest.mark.parametrize(
    "nothing", [b'data: {"object": "x"}\n\n', b"event: ping\ndata: {}\n\n", b"data: null\n\n", b": c\n\n"]
)
async def test_a_stream_of_nothing_is_no_response(make_upstream, make_gateway, wire, nothing):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(nothing + wire.sse(b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"))
    assert (await gateway.stream())[-1] == b"[DONE]"
    assert [each.error_kind for each in (await gateway.finished()).attempts] == ["bad_response", None]


@pytest.mark.parametrize("chunk", [{}, {"choices": []}, {"choices": None}])
async def test_usage_alone_is_no_response_and_is_counted(make_upstream, make_gateway, wire, chunk):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse({**chunk, "usage": {"prompt_tokens": 50, "completion_tokens": 7}}, b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"))
    text = [each["choices"][0]["delta"].get("content") for each in (await gateway.stream())[:-1]]
    assert "Hel" in text
    first, second = (await gateway.finished()).attempts
    assert (first.error_kind, second.error_kind) == ("bad_response", None)
    assert (first.usage.input_tokens, first.usage.output_tokens) == (50, 7)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("last", ["usage", "done", "finish"])
async def test_the_last_event_needs_no_blank_line(make_upstream, make_gateway, wire, last, end):
    items = [wire.chunk("Hello"), wire.chunk(finish="stop"), wire.usage_chunk(), b"[DONE]"]
    items = items[: {"finish": 2, "usage": 3, "done": 4}[last]]

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(*items).removesuffix(b"\n\n") + end)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    events = await gateway.stream()
    assert events == [wire.chunk("Hello"), wire.chunk(finish="stop"), b"[DONE]"]
    (row,) = (await gateway.finished()).rows
    expected = (3, 2, True) if last == "finish" else (10, 4, False)
    assert (row.status, (row.input_tokens, row.output_tokens, row.usage_estimated)) == ("success", expected)


async def test_a_last_event_that_is_cut_in_its_data_is_a_broken_stream(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        await asyncio.sleep(0.05)
        await exchange.send(wire.sse(wire.chunk(" there", finish="stop"))[:-20])
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    events = await gateway.stream()
    assert events[0] == wire.chunk("Hello")
    assert events[1]["error"]["code"] == "upstream_failed"
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.error_kind, row.output_tokens) == ("error", "stream_broken", 2)


def of_choice(wire, index, content=None, finish=None):
    chunk = wire.chunk(content, finish=finish)
    return {**chunk, "choices": [{**chunk["choices"][0], "index": index}]}


@pytest.mark.parametrize(
    ("n", "finished", "is_whole"),
    [
        (None, (0,), True),
        (1, (0,), True),
        (2, (0, 1), True),
        (2, (0,), False),
        (2, (1,), False),
        (2, (), False),
        (3, (0, 1), False),
    ],
)
async def test_every_choice_must_finish(make_upstream, make_gateway, wire, *, n, finished, is_whole):
    """A close without an end marker is an end only where nothing of the response can be missing."""

    async def script(exchange):
        await exchange.stream_head()
        for index in range(n or 1):
            await exchange.send(wire.sse(of_choice(wire, index, "Hello")))
        for index in finished:
            await exchange.send(wire.sse(of_choice(wire, index, finish="stop")))
        await asyncio.sleep(0.05)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    events = await gateway.stream(**({} if n is None else {"n": n}))
    assert (events[-1] == b"[DONE]") == is_whole
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.error_kind) == (("success", None) if is_whole else ("error", "stream_broken"))


@pytest.mark.parametrize(
    "bad", [b"data: {oops\n\n", b"data: 7\n\n", b'data: {"choices":7}\n\n', b'data: {"choices":[7]}\n\n']
)
async def test_what_was_good_before_a_bad_event_is_delivered(make_upstream, make_gateway, wire, bad):
    """All in one read; and what is counted is what was delivered."""

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hel")))
        await asyncio.sleep(0.05)
        await exchange.send(wire.sse(wire.chunk("12345"), wire.chunk("67890")) + bad + wire.sse(wire.chunk("never")))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    events = await gateway.stream()
    assert events[:-1] == [wire.chunk("Hel"), wire.chunk("12345"), wire.chunk("67890")]
    assert events[-1]["error"]["code"] == "upstream_failed"
    (row,) = (await gateway.finished()).rows
    assert (row.error_kind, row.output_tokens) == ("bad_response", 4)


async def test_the_first_content_reaches_the_client_with_what_came_before_it(make_upstream, make_gateway, wire):
    role = {**wire.chunk(), "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    upstream = await make_upstream(lambda exchange: exchange.stream(role, wire.chunk("Hi"), wire.chunk(finish="stop")))
    gateway = await make_gateway(upstream)
    assert await gateway.stream() == [role, wire.chunk("Hi"), wire.chunk(finish="stop"), b"[DONE]"]


@pytest.mark.parametrize(
    "delta", [{"audio": {"id": "a", "data": "AAAA"}}, {"images": [{"type": "image_url"}]}, {"new": 1}]
)
async def test_content_of_an_unknown_kind_is_not_held_back(make_upstream, make_gateway, wire, delta):
    go = asyncio.Event()
    first = {**wire.chunk(), "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(first))
        async with asyncio.timeout(20):
            await go.wait()
        await exchange.send(wire.sse(wire.chunk(finish="stop"), b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    body = {"model": "acme/tiny", "messages": [{"role": "user", "content": "x"}], "stream": True}
    async with gateway.session.post("/v1/chat/completions", json=body) as response:
        assert wire.json.decode((await response.content.readuntil(b"\n\n"))[6:]) == first
        go.set()
        assert (await response.content.read()).endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("text", [b"-Infinity", b"NaN", b"Infinity"])
async def test_numbers_that_are_not_json_are_passed_on(make_upstream, make_gateway, wire, text):
    """Some servers write a log probability of zero like that; a client's parser decides."""
    choice = (
        b'{"index":0,"%b":{"content":"Hi"},"logprobs":{"content":[{"logprob":' + text + b'}]},"finish_reason":"stop"}'
    )
    whole = b'{"id":"c","choices":[' + choice.replace(b"%b", b"message") + b"]}"
    chunk = b'{"id":"c","choices":[' + choice.replace(b"%b", b"delta") + b"]}"

    async def script(exchange):
        if exchange.json.get("stream"):
            await exchange.stream(chunk)
        else:
            await exchange.reply(whole)

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat()).raw == whole
    assert (await gateway.chat(stream=True)).raw == wire.sse(chunk, b"[DONE]")
    assert [(row.status, row.output_tokens) for row in (await gateway.finished()).rows] == [("success", 1)] * 2


async def test_numbers_that_are_not_json_are_no_counts(make_upstream, make_gateway):
    body = b'{"choices":[{"message":{"content":"Hello there"}}],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}'
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(body)))
    assert (await gateway.chat()).raw == body
    (call,) = (await gateway.finished()).calls
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.estimated) == (3, 3, True)
    assert (await gateway.finished()).attempts[0].usage.disbelieved == ("input", "output")


async def test_a_large_event_is_passed_on_up_to_the_providers_bound(make_upstream, make_gateway, wire):
    """An image in a delta: over eight megabytes."""
    big = wire.chunk("x" * 9_000_000)
    upstream = await make_upstream(lambda exchange: exchange.stream(big, wire.chunk(finish="stop")))
    gateway = await make_gateway(upstream)
    assert await gateway.stream() == [big, wire.chunk(finish="stop"), b"[DONE]"]
    small = await make_gateway(upstream, max_response_bytes=1_000_000)
    assert (await small.chat(stream=True)).status == 502


async def test_lone_surrogates_in_a_stream_are_passed_on(make_upstream, make_gateway, wire):
    chunks = [
        b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"\\ude00"}}]}',
    ]
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.stream(*chunks)))
    assert (await gateway.chat(stream=True)).raw == wire.sse(*chunks, b"[DONE]")


@pytest.mark.parametrize("end", [b"[DONE]", b'"[DONE]"', b' "[DONE]" '])
async def test_a_quoted_end_marker_is_one(make_upstream, make_gateway, wire, end):
    chunks = [wire.chunk("Hel"), wire.chunk(finish="stop")]
    gateway = await make_gateway(
        await make_upstream(lambda exchange: exchange.stream(*chunks, wire.usage_chunk(), end, done=False))
    )
    assert await gateway.stream() == [*chunks, b"[DONE]"]
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.input_tokens, row.output_tokens) == ("success", 10, 4)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"7", "an event whose data is no JSON object"),
        (b"{oops", "a chunk that cannot be read"),
        (b'{"choices":7}', "a chunk that cannot be read"),
        (b'{"choices":{"0":{}}}', "a chunk that cannot be read"),
    ],
)
async def test_the_log_says_why_an_event_is_no_chunk(*, make_upstream, make_gateway, wire, caplog, bad, reason):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.stream(wire.chunk("Hel"), bad)))
    await gateway.chat(stream=True)
    await gateway.finished()
    assert [record.reason for record in caplog.records if record.name == "gatewayz.attempt"] == [reason]
