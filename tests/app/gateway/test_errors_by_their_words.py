"""Errors inside a 200 that are not in a member `error` of a chunk: found wherever they stand, with the provider's reason in the log."""

import pytest

from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.completion import read_response
from app.gateway.openai.failures import UpstreamFailure
from app.gateway.openai.provider_reason import Scrub
from app.gateway.openai.text_units import UNITS_PER_BYTE

pytestmark = pytest.mark.live

DOCUMENTS = {
    "a code and a message": {"code": 1301, "msg": "busy now"},
    "a message with a code": {"message": "busy now", "type": "x", "code": "3505"},
    "a status": {"status": 503, "message": "busy now"},
    "a detail": {"detail": "busy now"},
    "a list of errors": {"errors": [{"code": 7009, "message": "busy now"}], "success": False},
    "no success": {"success": False, "message": "busy now"},
    "AWS": {"__type": "ThrottlingException", "message": "busy now"},
    "MiniMax": {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "busy now"}},
    "MiniMax, beside choices": {
        "id": "x",
        "choices": [{"index": 0, "delta": {}, "message": {"role": "assistant", "content": ""}, "finish_reason": None}],
        "base_resp": {"status_code": 1000, "status_msg": "busy now"},
    },
    "MiniMax, a code as text": {
        "id": "x",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}],
        "base_resp": {"status_code": "1008", "status_msg": "busy now"},
    },
    "Baidu": {"id": "as-1", "error_code": 336501, "error_msg": "busy now"},
    "a code without a message": {"errorCode": "E1", "description": "busy now"},
    "Lambda": {"errorMessage": "busy now", "errorType": "Runtime.ExitError"},
    "errmsg": {"errcode": 40001, "errmsg": "busy now"},
    "statusCode": {"statusCode": 503, "message": "busy now"},
    "status_code": {"status_code": 503, "message": "busy now"},
    "a status in words": {"status": "error", "message": "busy now"},
    "a status in words, failed": {"status": "FAILED", "msg": "busy now"},
    "no success in text": {"success": "false", "message": "busy now"},
    "Apigee": {"fault": {"faultstring": "busy now"}},
    "Error": {"Error": {"Code": "x", "Message": "busy now"}},
    "Tencent": {"Response": {"RequestId": "x", "Error": {"Code": "LimitExceeded", "Message": "busy now"}}},
    "a list": [{"error": {"code": 503, "message": "busy now", "status": "UNAVAILABLE"}}],
    "err": {"err": "busy now"},
    "exception": {"exception": "busy now"},
    "an object of nulls beside it": {"error": {"error": None, "message": "busy now"}},
}
NOTICES = [
    {"type": "status", "message": "searching"},
    {"code": 0, "msg": "ok"},
    {"status": "completed", "message": "done"},
    {"code": 200, "message": "success", "success": True},
    {"id": "c-1", "object": "chat.completion.chunk", "detail": "x"},
    {"base_resp": {"status_code": 0, "status_msg": ""}},
    {"errcode": 0, "errmsg": "all well"},
    {"error_code": "0", "error_msg": "all well", "success": "true"},
    {"err": None, "exception": False, "error_message": "", "fault": {}},
    {"status": "in_progress", "statusCode": 200, "message": "busy now"},
    {"status_code": 4000, "message": "busy now"},
    {"Response": {"RequestId": "x", "Error": None}},
    {"Response": "x"},
]
PLACES = ["whole", "JSON for a stream", "a line", "a field", "the first chunk"]


def reasons(caplog):
    return [record.reason for record in caplog.records if record.name == "gatewayz.attempt"]


def as_bytes(wire, document, place):
    """A document as the data of an event, as llama.cpp's field, or as a line of JSON by itself."""
    data = wire.sse(document).removeprefix(b"data: ")
    return {"a field": b"error: ", "a line": b""}.get(place, b"data: ") + data


def says(wire, document, place):
    async def script(exchange):
        if place in {"whole", "JSON for a stream"}:
            await exchange.reply(document)
        else:
            await exchange.stream_head()
            await exchange.send(wire.sse(wire.chunk()) + as_bytes(wire, document, place) + wire.sse(b"[DONE]"))
            await exchange.end()

    return script


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_it_fails_over_and_the_log_has_the_reason(make_upstream, make_gateway, wire, caplog, *, name, place):
    alpha = await make_upstream(says(wire, DOCUMENTS[name], place))
    gateway = await make_gateway(alpha, await make_upstream(name="beta"))
    if place == "whole":
        assert (await gateway.chat()).status == 200
    else:
        assert (await gateway.stream())[-1] == b"[DONE]"
    recorded = await gateway.finished()
    assert [each.status for each in recorded.attempts] == ["error", "success"]
    assert reasons(caplog) == ["busy now"]


@pytest.mark.parametrize("place", ["a field", "a line", "a chunk"])
@pytest.mark.parametrize("document", [{"error": {"code": 500, "message": "busy now"}}, *DOCUMENTS.values()])
def test_after_the_first_content_it_is_an_error_and_no_success(wire, place, document):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    assert chunks.feed(wire.sse(wire.chunk("Hello")))
    assert chunks.feed(wire.sse(wire.chunk(" there")))
    assert chunks.feed(as_bytes(wire, document, place) + wire.sse(wire.chunk(finish="stop"), b"[DONE]")) == b""
    assert not chunks.complete
    assert chunks.failure.error.message == "busy now"


def test_a_status_in_the_error_is_its_kind(wire):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    chunks.feed(wire.sse(wire.chunk("Hello"), {"statusCode": 503, "message": "busy now"}))
    assert chunks.failure.kind == "upstream_5xx"


@pytest.mark.parametrize("operation", ["chat", "embeddings"])
def test_the_kind_and_the_reason_of_a_list_with_an_error_are_read(operation):
    body = b'\n[{"error": {"code": 503, "message": "busy now"}}, {"x": 1}]'
    failure = read_response(body, operation).failure
    assert (failure.kind, failure.error.message) == ("upstream_5xx", "busy now")


@pytest.mark.parametrize("operation", ["chat", "embeddings"])
@pytest.mark.parametrize(
    "body", [b"[]", b"[1]", b'[{"error": null}]', b'[{"choices": [{}]}]', b'[{"error": {"code": 0}}]']
)
def test_any_other_list_is_no_response(operation, body):
    with pytest.raises(UpstreamFailure, match="bad_response"):
        read_response(body, operation)


def test_a_chunk_with_a_message_in_place_of_a_delta_is_read(wire):
    """Its text is counted, and its error is one."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    assert chunks.feed(wire.sse({"id": "x", "choices": [choice]}))
    assert (chunks.output_units, chunks.complete) == (11 * UNITS_PER_BYTE, True)
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    assert chunks.feed(wire.sse(wire.chunk("Hello")))
    chunks.feed(
        wire.sse({"id": "x", "choices": [{"index": 0, "message": {"error": {"message": "busy now"}}}]}, b"[DONE]")
    )
    assert chunks.failure.error.message == "busy now"


@pytest.mark.parametrize("data", [b"", b"data:\n", b"data: null\n", b"data: boom\n", b'data: {"message": "boom"}\n'])
@pytest.mark.parametrize("name", [b"error", b"Error", b"exception"])
def test_an_event_of_that_name_is_an_error_whatever_its_data(wire, name, data):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    chunks.feed(wire.sse(wire.chunk("Hello")))
    chunks.feed(b"event: " + name + b"\n" + data + b"\n" + wire.sse(wire.chunk(finish="stop"), b"[DONE]"))
    assert chunks.failure is not None


NAMED = [
    {"message": "busy now"},
    {"Message": "busy now"},
    {"msg": "busy now"},
    {"error_message": "busy now"},
    {"id": "c-1", "choices": [], "message": "busy now"},
    {"status": "error", "reason": "busy now"},
    {"description": "busy now"},
    {"data": {"message": "busy now"}},
    {"message": "busy now", "originalStatusCode": 500},
    {"message": "busy now", "x": "y" * 8_000},
    [{"message": "busy now"}],
    "busy now",
]


@pytest.mark.parametrize("place", ["after content", "the first event"])
@pytest.mark.parametrize("name", ["error", "exception", "modelStreamErrorException", "response.error"])
@pytest.mark.parametrize("document", NAMED)
def test_the_reason_of_an_event_by_the_name_of_an_error_is_read_from_any_envelope(wire, place, name, document):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    if place == "after content":
        assert chunks.feed(wire.sse(wire.chunk("Hello")))
    assert chunks.feed(b"event: %b\n" % name.encode() + wire.sse(wire.json.encode(document))) == b""
    assert (chunks.failure.kind, chunks.failure.error.message) == ("bad_response", "busy now")


@pytest.mark.parametrize(
    ("name", "document", "kind"),
    [
        ("throttlingException", {"message": "busy now"}, "rate_limited"),
        ("error", {"message": "busy now", "code": 503}, "upstream_5xx"),
        ("error", {"message": "your prompt was flagged"}, "content_policy"),
        ("error", {}, "bad_response"),
        ("internalServerException", None, "bad_response"),
    ],
)
def test_the_kind_of_a_named_error(wire, name, document, kind):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    chunks.feed(b"event: %b\n" % name.encode() + wire.sse(wire.json.encode(document)))
    assert chunks.failure.kind == kind
    assert chunks.failure.error.message


def test_a_choice_explains_a_named_error_better_than_its_name(wire):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    chunks.feed(b"event: error\n" + wire.sse({"choices": [{"index": 0, "error": {"message": "busy now"}}]}))
    assert chunks.failure.error.message == "busy now"


@pytest.mark.parametrize("line", [b"{not JSON}", b'{"note": 1}', b"[1]", b"{}", b"errors: none", b"error:"])
def test_a_line_that_is_no_error_is_ignored(wire, line):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=2**20)
    chunks.feed(wire.sse(wire.chunk("Hello")))
    chunks.feed(line + b"\n\n")
    chunks.feed(wire.sse(wire.chunk(finish="stop"), b"[DONE]"))
    assert chunks.complete


def test_the_path_of_the_base_url_reaches_no_caller():
    scrub = Scrub(path="/tenants/acme/v1")
    assert scrub.text("no route /tenants/acme/v1/chat") == "no route [address]/chat"
    assert Scrub(path="/openai/v1").text("see /openai/v1/models") == "see /openai/v1/models"


@pytest.mark.parametrize("document", NOTICES)
async def test_a_notice_is_no_error(make_upstream, make_gateway, wire, document):
    async def script(exchange):
        await exchange.stream(document, wire.chunk("Hello"), document, wire.chunk(finish="stop"))

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.stream())[-1] == b"[DONE]"
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.attempts) == ("success", 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_other_form_of_response_is_none_and_its_usage_counts(
    make_upstream, make_gateway, wire, caplog, *, stream
):
    async def script(exchange):
        if stream:
            await exchange.reply(wire.completion)
        else:
            await exchange.stream(wire.chunk("Hello"), wire.chunk(finish="stop"), wire.usage_chunk())

    gateway = await make_gateway(await make_upstream(script))
    assert (await gateway.chat(stream=stream)).status == 502
    (row,) = (await gateway.finished()).rows
    assert (row.error_kind, row.usage_estimated) == ("bad_response", False)
    assert row.input_tokens > 0
    assert row.output_tokens > 0
    assert reasons(caplog) == [
        "a JSON document instead of an event stream" if stream else "an event stream instead of a JSON document"
    ]


async def test_codes_in_a_json_response_to_a_stream_are_read(make_upstream, make_gateway):
    error = {"error": {"message": "slow down", "code": 429}}
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(error)))
    assert (await gateway.chat(stream=True)).status == 429


@pytest.mark.parametrize("reason", ["ERROR", "Network_Error", "engine_error", "ERROR_LIMIT", "model_error"])
async def test_reasons_to_finish_are_read_in_any_case(make_upstream, make_gateway, wire, reason):
    alpha = await make_upstream(lambda exchange: exchange.stream(wire.chunk(finish=reason)))
    gateway = await make_gateway(alpha, await make_upstream(name="beta"))
    assert (await gateway.stream())[-1] == b"[DONE]"
    assert [each.status for each in (await gateway.finished()).attempts] == ["error", "success"]


async def test_no_word_of_a_refusal_that_blames_the_prompt_is_logged(make_upstream, make_gateway, caplog):
    error = {"error": {"message": "your prompt said: secret", "code": "content_filter"}}
    gateway = await make_gateway(await make_upstream(lambda exchange: exchange.reply(error)))
    await gateway.chat()
    await gateway.finished()
    assert reasons(caplog) == [None]


async def test_usage_under_another_event_name_is_read(make_upstream, make_gateway, wire):
    async def script(exchange):
        await exchange.stream_head()
        for item in (wire.chunk("Hello"), wire.chunk(finish="stop"), wire.usage_chunk(), b"[DONE]"):
            await exchange.send(b"event: completion\n" + wire.sse(item))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    await gateway.chat(stream=True)
    (row,) = (await gateway.finished()).rows
    assert (row.status, row.usage_estimated) == ("success", False)


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": 100, "completion_tokens": 0}, {"input_tokens": 100, "output_tokens": 1}]
)
async def test_what_came_after_the_last_count_is_added_where_a_stream_is_cut(make_upstream, make_gateway, wire, usage):
    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk(usage=usage), wire.chunk("word " * 80)))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    await gateway.chat(stream=True)
    (row,) = (await gateway.finished()).rows
    counted = usage.get("output_tokens", 0)
    assert (row.input_tokens, row.output_tokens, row.usage_estimated) == (100, 100 + counted, True)


async def test_a_running_count_stands_where_nothing_came_after_it(make_upstream, make_gateway, wire):
    usage = {"prompt_tokens": 100, "completion_tokens": 90, "total_tokens": 190}

    async def script(exchange):
        await exchange.stream_head()
        await exchange.send(wire.sse(wire.chunk("word " * 80, usage=usage)))
        await exchange.end()

    gateway = await make_gateway(await make_upstream(script))
    await gateway.chat(stream=True)
    (row,) = (await gateway.finished()).rows
    assert (row.input_tokens, row.output_tokens, row.usage_estimated) == (100, 90, False)
