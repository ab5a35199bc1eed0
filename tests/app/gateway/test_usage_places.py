"""Usage at unusual places of a response: it is counted, hidden from a caller that did not ask, and what stands beside it is not."""

import json

import pytest

from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.completion import read_response

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
OTHER = {"prompt_tokens": 90, "completion_tokens": 80, "total_tokens": 170}
FRAME = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TEXT = {**FRAME, "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]}
CITED = {"citations": ["https://a.example"]}


def sse(document, name=""):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + text + b"\n\n"


def read(*events, asks=False):
    """What the caller gets of the events behind the first content, and the usage."""
    chunks = StreamChunks(include_usage=asks, choices=1, max_event_bytes=100_000)
    chunks.feed(sse(TEXT))
    output = b"".join([chunks.feed(event) for event in events])
    usage = chunks.usage.read()
    assert chunks.failure is None
    return output, None if usage is None else (usage.input_tokens, usage.output_tokens)


def documents(output):
    return [json.loads(event.removeprefix(b"data: ")) for event in output.split(b"\n\n") if event]


MORE = [
    {**FRAME, "choices": [], **CITED},
    {**FRAME, **CITED},
    {**FRAME, "choices": None, **CITED},
    {**FRAME, "choices": {}, **CITED},
    {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
    {**FRAME, "choices": [], "system_fingerprint": "fp", "timings": {"predicted_n": 5}},
    {"choices": [], "note": "the end"},
]


@pytest.mark.parametrize("chunk", MORE)
def test_what_else_a_chunk_of_usage_has_goes_on_without_it(chunk):
    output, usage = read(sse({**chunk, "usage": USAGE}))
    assert documents(output) == [chunk]
    assert usage == (10, 4)


@pytest.mark.parametrize("chunk", MORE)
def test_a_caller_that_asked_gets_all_of_it(chunk):
    event = sse({**chunk, "usage": USAGE})
    assert read(event, asks=True) == (event, (10, 4))


@pytest.mark.parametrize(
    "chunk",
    [
        {},
        {**FRAME, "choices": []},
        {**FRAME, "choices": None, "system_fingerprint": "fp", "service_tier": "flex", "provider": "x"},
        {**FRAME, "choices": {}, "obfuscation": "a8", "x_groq": {"id": "r"}, "citations": [], "metadata": None},
        {"id": "c", "choices": [], "base_resp": {"status_code": 0, "status_msg": ""}},
    ],
)
def test_a_chunk_of_usage_alone_does_not_go_on(chunk):
    assert read(sse({**chunk, "usage": USAGE})) == (b"", (10, 4))


def test_what_only_the_tolerant_decoder_reads_goes_on_too():
    cited = b'{"choices":[],"note":"\\ud83d","usage":{"prompt_tokens":10,"completion_tokens":4},"citations":["u"]}'
    output, usage = read(sse(cited))
    assert (b"usage" in output, b"citations" in output, usage) == (False, True, (10, 4))
    alone = b'{"choices":[],"id":"\\ud83d","usage":{"prompt_tokens":10,"completion_tokens":4}}'
    assert read(sse(alone)) == (b"", (10, 4))


def of_choice(**fields):
    return {**FRAME, "choices": [{"index": 0, "finish_reason": "stop", **fields}]}


HELD = [
    of_choice(delta={"usage": USAGE}),
    of_choice(delta={"content": "", "usage": USAGE}),
    of_choice(message={"role": "assistant", "content": "", "usage": USAGE}),
    {**of_choice(delta={}), "metadata": {"usage": USAGE}},
    {"response": {"id": "r", "usage": USAGE}, "type": "response.completed"},
    {"data": {"usage": USAGE, "note": "x"}},
    {"metadata": {"usage": USAGE}},
    {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 4}}},
    {"usage": None, "data": {"usage": USAGE}},
]


@pytest.mark.parametrize("chunk", HELD)
def test_usage_in_a_member_is_counted_and_hidden(chunk):
    output, usage = read(sse(chunk))
    assert usage == (10, 4)
    assert b"_tokens" not in output
    assert (b"stop" in output) == ("choices" in chunk)
    assert (b"note" in output) == ("note" in chunk.get("data", {}))
    assert read(sse(chunk), asks=True) == (sse(chunk), (10, 4))


@pytest.mark.parametrize("chunk", HELD)
def test_usage_beside_the_choices_wins_over_that_in_a_member(chunk):
    for events in (
        [sse(chunk), sse({"usage": OTHER})],
        [sse({"usage": OTHER}), sse(chunk)],
        [sse(chunk | {"usage": OTHER})],
    ):
        assert read(*events)[1] == (90, 80)


@pytest.mark.parametrize("member", ["response", "data", "metadata", "message"])
@pytest.mark.parametrize(
    "value", [None, 7, "usage", [{"usage": USAGE}], {"usage": "how to"}, {"usage": {"disk": 5}}, {"usage": None}]
)
def test_a_member_without_counts_is_left_as_it_is(member, value):
    event = sse({**FRAME, member: value})
    assert read(event) == (event, None)


@pytest.mark.parametrize("name", ["response.completed", "message_start"])
def test_usage_in_an_event_of_another_name_is_counted_and_the_event_is_not_passed_on(name):
    for member in ("response", "message"):
        assert read(sse({member: {"usage": USAGE}}, name), asks=True) == (b"", (10, 4))


def test_an_anthropic_stream_reports_in_two_parts():
    begin = sse({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}})
    end = sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}})
    assert read(begin, end)[1] == (10, 4)


@pytest.mark.parametrize(
    "document",
    [
        of_choice(message={"content": "x", "usage": USAGE}),
        *(
            {**of_choice(message={"content": "x"}), member: {"usage": USAGE}}
            for member in ("response", "data", "metadata")
        ),
    ],
)
def test_a_whole_response_is_read_in_the_same_way(document):
    found = read_response(json.dumps(document).encode(), "chat").usage
    assert (found.input_tokens, found.output_tokens) == (10, 4)
    beside = read_response(json.dumps({**document, "usage": OTHER}).encode(), "chat").usage
    assert (beside.input_tokens, beside.output_tokens) == (90, 80)


def test_each_choice_has_its_own():
    chunks = StreamChunks(include_usage=False, choices=2, max_event_bytes=100_000)
    for index in (0, 1):
        chunks.feed(
            sse({"choices": [{"index": index, "delta": {"content": "x", "usage": USAGE}, "finish_reason": "stop"}]})
        )
    found = chunks.usage.read()
    assert (found.input_tokens, found.output_tokens) == (10, 8)
