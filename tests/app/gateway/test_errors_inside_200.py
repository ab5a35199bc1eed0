"""Errors that a provider reports inside a 200: failover before the first content, an error event after it, never a success."""

import asyncio

import pytest

from otel.events.usage import NO_USAGE

pytestmark = pytest.mark.live

ERROR = {"code": 502, "message": "Provider disconnected"}


def whole(wire, *, choice=None, message=None, **fields):
    """A chat completion with something more in it."""
    first = wire.completion["choices"][0]
    choice = {**first, "message": {**first["message"], **(message or {})}, **(choice or {})}
    return {**wire.completion, "choices": [choice], **fields}


WHOLE_ERRORS = [
    pytest.param({"error": ERROR}, "upstream_5xx", id="beside the choices"),
    pytest.param({"error": "overloaded"}, "upstream_5xx", id="text beside the choices"),
    pytest.param({"error": {"code": 429}}, "rate_limited", id="429 beside the choices"),
    pytest.param({"choice": {"error": ERROR}}, "upstream_5xx", id="in a choice"),
    pytest.param({"choice": {"finish_reason": "error"}}, "bad_response", id="as a reason to finish"),
    pytest.param({"choice": {"finish_reason": "network_error"}}, "bad_response", id="as a network error"),
    pytest.param({"choice": {"finish_reason": "abort"}}, "bad_response", id="as an abort"),
    pytest.param({"choice": {"finish_reason": "failed"}}, "bad_response", id="as failed"),
    pytest.param({"choice": {"finish_reason": "TIMEOUT"}}, "upstream_5xx", id="as Cohere's timeout"),
    pytest.param({"choice": {"finish_reason": "server_error"}}, "upstream_5xx", id="as an error of the server"),
    pytest.param({"message": {"error": ERROR}}, "upstream_5xx", id="in a message"),
    pytest.param({"error": {"code": 0, "message": "CUDA error"}}, "bad_response", id="with a code of 0"),
    pytest.param(
        {"error": {"code": 0, "message": "success", "type": "server_error"}}, "upstream_5xx", id="by its type"
    ),
    pytest.param({"error": {"code": 200, "error": {"code": 500}}}, "upstream_5xx", id="in an object of success"),
    pytest.param({"error": True}, "bad_response", id="true"),
    pytest.param(
        {"base_resp": {"status_code": "1008", "status_msg": "x"}}, "bad_response", id="MiniMax, a code as text"
    ),
    pytest.param({"base_resp": {"status_code": 1008, "status_msg": "x"}}, "bad_response", id="MiniMax, a code"),
    *[
        pytest.param({"choice": {"finish_reason": reason}}, kind, id=reason)
        for reason, kind in (
            ("error_limit", "bad_response"),
            ("model_error", "bad_response"),
            ("engine_error", "bad_response"),
            ("upstream_error", "upstream_5xx"),
            ("PROVIDER_ERROR", "upstream_5xx"),
            ("error: " + "x" * 9_000, "bad_response"),
        )
    ],
]


@pytest.mark.parametrize(("fields", "kind"), WHOLE_ERRORS)
async def test_an_error_in_a_whole_response_fails_over(make_upstream, make_gateway, wire, fields, kind):
    alpha = await make_upstream(lambda exchange: exchange.reply(whole(wire, **fields, usage=None)))
    gateway = await make_gateway(alpha, await make_upstream(name="beta"))
    response = await gateway.chat()
    assert (response.status, response.json) == (200, wire.completion)
    recorded = await gateway.finished()
    assert [(each.status, each.error_kind) for each in recorded.attempts] == [("error", kind), ("success", None)]
    assert recorded.attempts[0].usage == NO_USAGE


@pytest.mark.parametrize(
    "document",
    [
        {"error": ERROR},
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        {"type": "error", "message": "Overloaded", "choices": []},
        {"object": "error", "message": "context length", "code": 400},
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_an_error_in_place_of_a_response_is_an_error(make_upstream, make_gateway, path, document):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(document)))
    is_chat = path.endswith("completions")
    body = b'{"model":"acme/tiny","messages":[{}]}' if is_chat else b'{"model":"acme/embed","input":"x"}'
    response = await gateway.post(path, body)
    assert response.status >= 400
    assert "error" in response.json
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.cost_nanousd) == ("error", 0)


async def test_a_toxic_output_is_a_matter_of_policy(make_upstream, make_gateway, wire):
    document = whole(wire, choice={"finish_reason": "ERROR_TOXIC"})
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(document)))
    assert (await gateway.chat()).status == 400
    assert [row.error_kind for row in (await gateway.finished()).rows] == ["content_policy"]


@pytest.mark.parametrize("error", [{"code": 0, "message": "success"}, "OK", 200], ids=repr)
async def test_an_error_of_success_without_choices_is_no_response(make_upstream, make_gateway, error):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply({"error": error})))
    assert (await gateway.chat()).status == 502
    assert (await gateway.chat(stream=True)).status == 502


@pytest.mark.parametrize("status", [0, "0", 200, "200", "", None], ids=repr)
async def test_a_well_outcome_beside_choices_is_none(make_upstream, make_gateway, wire, status):
    document = whole(wire, base_resp={"status_code": status, "status_msg": "success"})
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(document)))
    assert (await gateway.chat()).json == document


async def test_usage_beside_an_error_is_counted(make_upstream, make_gateway, wire):
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(whole(wire, error=ERROR))))
    assert (await gateway.chat()).status == 502
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.input_tokens, row.output_tokens, row.usage_estimated) == ("error", 10, 4, False)


NOTHING = [
    None,
    {},
    "",
    [],
    False,
    {"message": None, "code": None},
    0,
    200,
    "0",
    "200",
    "OK",
    "success",
    {"code": 0, "message": "success"},
    {"code": "0", "message": "ok", "type": ""},
    {"code": 200, "message": "OK", "details": [], "request_id": "a-1"},
    {"code": "200", "msg": "Request succeeded."},
    {"status_code": "Success", "success": True},
]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
@pytest.mark.parametrize("place", ["top", "choice", "message"])
async def test_an_empty_error_is_none(make_upstream, make_gateway, wire, place, nothing):
    fields = {"error": nothing} if place == "top" else {place: {"error": nothing}}
    document = whole(wire, **fields)

    async def script(exchange):
        if exchange.json.get("stream"):
            chunk = wire.chunk("Hello", error=nothing) if place == "top" else wire.chunk("Hello")
            await exchange.stream(chunk, wire.chunk(finish="stop"))
        else:
            await exchange.reply(document)

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat()).json == document
    *events, last = await gateway.stream()
    assert last == b"[DONE]"
    # OpenAI's SDKs raise on any error in a chunk.
    assert [event["choices"][0]["delta"] for event in events if not event.get("error")] == [{"content": "Hello"}, {}]
    assert [row.status for row in (await gateway.finished()).rows] == ["success"] * 2


@pytest.mark.parametrize("reason", ["content_filter", "length", "tool_calls", "eos", "sensitive", "no_error"])
async def test_other_reasons_to_finish_are_responses(make_upstream, make_gateway, wire, reason):
    async def script(exchange):
        if exchange.json.get("stream"):
            await exchange.stream(wire.chunk("Hello"), wire.chunk(finish=reason), done=False)
        else:
            await exchange.reply(whole(wire, choice={"finish_reason": reason}))

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat()).status == 200
    assert (await gateway.stream())[-1] == b"[DONE]"
    assert [row.status for row in (await gateway.finished()).rows] == ["success"] * 2


def stream_error(wire, kind):
    """The bytes of an event that reports an error."""
    role = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    chunk = {"id": "chatcmpl-1", "model": "tiny-2026"}
    return {
        "beside": wire.sse({**chunk, "choices": [{**role, "finish_reason": "error"}], "error": ERROR}),
        "alone": wire.sse({"error": ERROR}),
        "text": wire.sse({"error": "overloaded", "choices": []}),
        "choice": wire.sse({**chunk, "choices": [{**role, "error": ERROR}]}),
        "abort": wire.sse({**chunk, "choices": [{**role, "finish_reason": "abort"}]}),
        "timeout": wire.sse({**chunk, "choices": [{**role, "finish_reason": "timeout"}]}),
        "reason": wire.sse({**chunk, "choices": [{**role, "finish_reason": "error"}]}),
        "delta": wire.sse({**chunk, "choices": [{**role, "delta": {"error": ERROR}}]}),
        "type": wire.sse({"type": "error", "message": "Overloaded"}),
        "object": wire.sse({"object": "error", "message": "Overloaded", "code": 503}),
        "named": b'event: error\ndata: {"message": "Overloaded", "code": 503}\n\n',
        "named text": b"event: error\ndata: Internal Server Error\n\n",
        "named cut off": b"event: error\ndata: {oops\n\n",
    }[kind]


KINDS = [
    "beside",
    "alone",
    "text",
    "choice",
    "reason",
    "abort",
    "timeout",
    "delta",
    "type",
    "object",
    "named",
    "named text",
    "named cut off",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["nothing", "role", "comment", "empty"])
async def test_an_error_before_the_first_content_fails_over(make_upstream, make_gateway, wire, kind, first):
    before = {
        "nothing": b"",
        "role": wire.sse({**wire.chunk(), "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}),
        "comment": b": OPENROUTER PROCESSING\n\n",
        "empty": b"data:\n\n" + wire.sse({"choices": [], "prompt_filter_results": []}),
    }[first]

    async def script(exchange):
        await exchange.stream_head()
        for data in (before, stream_error(wire, kind), wire.sse(b"[DONE]")):
            if data:
                await exchange.send(data)
                await asyncio.sleep(0.01)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"))
    events = await gateway.stream()
    assert events == [wire.chunk("Hel"), wire.chunk("lo"), wire.chunk(finish="stop"), b"[DONE]"]
    recorded = await gateway.finished()
    assert [(each.status, each.usage.cost_nanousd) for each in recorded.attempts] == [("error", 0), ("success", 3_900)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("usage", [False, True])
async def test_an_error_after_the_first_content_ends_the_stream(make_upstream, make_gateway, wire, kind, usage):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Partial ")))
        await wire.until(lambda: gateway.recorder.requests[0].attempts, "the attempt")
        await asyncio.sleep(0.05)
        await exchange.send(stream_error(wire, kind) + wire.sse(b"[DONE]"))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script), await make_upstream(name="beta"))
    response = await gateway.chat(stream=True, stream_options={"include_usage": usage})
    assert response.raw.startswith(wire.sse(wire.chunk("Partial ")))
    assert b"[DONE]" not in response.raw
    last = wire.json.decode(response.raw[:-2].rpartition(b"\n\n")[2].removeprefix(b"data: "))
    assert isinstance(last["error"]["message"], str), "the official SDKs raise on an event with an error"
    assert set(last["error"]) >= {"message", "type", "param", "code"}
    assert response.raw.count(b'"error":{"') == 1
    (row,) = (await gateway.finished()).rows
    # "Say hello" and "Partial ": what was delivered is counted.
    assert (row.status, row.input_tokens, row.output_tokens, row.usage_estimated) == ("error", 3, 2, True)


async def test_text_beside_an_error_is_delivered_and_counted(make_upstream, make_gateway, wire):
    """And the provider's words pass without the gateway's key, once."""

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Hello")))
        await asyncio.sleep(0.05)
        message = f"key {exchange.headers['authorization']} at http://10.1.2.3:8000/v1"
        await exchange.send(wire.sse(wire.chunk(" there", error={"message": message}, usage=wire.usage)))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    response = await gateway.chat(stream=True)
    _, second, last = response.raw[:-2].split(b"\n\n")
    assert wire.json.decode(second[6:]) == wire.chunk(" there")
    assert b"key-of-alpha" not in last
    assert b"10.1.2.3" not in last
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.input_tokens, row.output_tokens, row.usage_estimated) == ("error", 10, 4, False)


def failing(wire, place):
    """A chunk in whose choice the provider fails."""
    choice = {
        "reason": {"index": 0, "delta": {"content": ""}, "finish_reason": "abort"},
        "choice": {"index": 0, "delta": {}, "error": ERROR, "finish_reason": None},
        "delta": {"index": 0, "delta": {"error": ERROR}, "finish_reason": None},
    }[place]
    return wire.sse({**wire.chunk(), "choices": [choice]})


@pytest.mark.parametrize("place", ["reason", "choice", "delta"])
@pytest.mark.parametrize("pause", [None, 0.02])
@pytest.mark.parametrize("more", [0, 300])
async def test_usage_behind_a_choice_that_failed_is_counted(make_upstream, make_gateway, wire, *, place, pause, more):
    """In the same read, also where that is read in parts, or in one of its own shortly after it; the end marker ends it."""

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Partial ")))
        await asyncio.sleep(0.05)
        behind = b": more\n" * more + b"\n" + wire.sse(wire.usage_chunk(), b"[DONE]", {"usage": {"prompt_tokens": 99}})
        if pause is None:
            await exchange.send(failing(wire, place) + behind)
        else:
            await exchange.send(failing(wire, place))
            await asyncio.sleep(pause)
            await exchange.send(behind)
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    response = await gateway.chat(stream=True)
    assert response.raw.startswith(wire.sse(wire.chunk("Partial ")))
    assert b"prompt_tokens" not in response.raw
    assert response.raw.count(b'"error":{"') == 1
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.input_tokens, row.output_tokens, row.usage_estimated) == ("error", 10, 4, False)


@pytest.mark.parametrize("end", ["silence", "a close", "the end marker", "other chunks"])
async def test_without_usage_behind_it_the_error_comes_soon(make_upstream, make_gateway, wire, end):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("Partial ")))
        await asyncio.sleep(0.05)
        await exchange.send(failing(wire, "reason"))
        await asyncio.sleep(0.02)
        if end == "the end marker":
            await exchange.send(wire.sse(b"[DONE]"))
        elif end == "other chunks":
            await exchange.send(wire.sse(*[wire.chunk("never")] * 9))
        if end == "a close":
            await exchange.end()
        else:
            await exchange.gone()

    gateway = await make_gateway(await make_upstream(script))
    async with asyncio.timeout(20):
        response = await gateway.chat(stream=True)
    assert b"never" not in response.raw
    (row,) = (await gateway.finished()).rows
    assert (row.error_kind, row.input_tokens, row.output_tokens, row.usage_estimated) == ("bad_response", 3, 2, True)


async def test_usage_behind_an_error_before_the_first_content_is_counted(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk(finish="abort"), wire.usage_chunk(), b"[DONE]"))
        await exchange.end()

    alpha = await make_upstream(script)
    gateway = await make_gateway(alpha, await make_upstream(name="beta"))
    assert (await gateway.stream())[-1] == b"[DONE]"
    first, second = (await gateway.finished()).attempts
    assert (first.status, second.status) == ("error", "success")
    assert (first.usage.input_tokens, first.usage.output_tokens) == (10, 4)
