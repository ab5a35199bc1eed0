"""A usual chunk means the same whether it is read in one step or field by field."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateway.openai import chunks
from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.response_shape import error_itself
from app.gateway.openai.usual_chunk import read_usual_chunk

FIRST = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
TEXTS = st.none() | st.text(max_size=8) | st.sampled_from(["word ", "\u4e2d", "\ud83d", "a\nb", '"', "x" * 5_000])
OTHERS = st.sampled_from([None, "", 7, {}, [], {"message": "no"}, [{"function": {"name": "f", "arguments": "{}"}}]])
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": TEXTS | st.just([{"type": "text", "text": "part"}]),
        "reasoning_content": TEXTS,
        "reasoning": TEXTS,
        "refusal": TEXTS,
        "tool_calls": OTHERS,
        "function_call": OTHERS,
        "error": OTHERS,
    },
)
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS | st.sampled_from([None, 7, "text"])},
    optional={
        "index": st.sampled_from([0, 1, -1, 2.5, "0", None]),
        "finish_reason": st.sampled_from([None, "", "stop", "error"]),
        "usage": st.sampled_from([None, {"completion_tokens": 3}]),
        "error": OTHERS,
        "logprobs": st.none() | st.just(float("nan")),
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES | st.none(), max_size=2) | st.none()},
    optional={
        "id": st.just("other"),
        "usage": st.sampled_from([None, {"prompt_tokens": 9, "completion_tokens": 7}]),
        "x_groq": st.just({"usage": {"prompt_tokens": 9}}),
        "error": OTHERS,
    },
)


def read(events, *, include_usage):
    reader = StreamChunks(include_usage=include_usage, choices=1, max_event_bytes=1_000_000)
    pieces = [reader.feed(event) for event in events]
    failure = reader.failure and (reader.failure.kind, str(reader.failure))
    usage, state = reader.usage.read(), (reader.complete, reader.done, reader.choices, reader.finish_reason)
    return pieces, failure, usage, state, reader.chunks, reader.output_units, reader.uncounted_units, reader.response_id


@settings(max_examples=400, deadline=None)
@given(st.lists(CHUNKS, min_size=1, max_size=4), st.booleans())
def test_both_ways_of_reading_agree(contents, include_usage):
    events = [FIRST, *(b"data: " + json.dumps(content).encode() + b"\n\n" for content in contents)]
    in_one_step = read(events, include_usage=include_usage)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "read_usual_chunk", lambda _data: None)
        assert read(events, include_usage=include_usage) == in_one_step


def test_text_alone_is_usual_and_everything_else_is_not():
    assert read_usual_chunk(b'{"id":"c","choices":[{"index":1,"delta":{"content":"word "},"finish_reason":null}]}') == (
        b"1",
        15,
    )
    assert read_usual_chunk(b'{"choices":[{"index":0,"delta":{"content":null,"reasoning":"abc"}}]}') == (b"0", 9)
    for other in (
        b'{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[]}}]}',
        b'{"choices":[{"index":0,"delta":{}}],"usage":null}',
        b'{"choices":[{"index":0,"delta":{},"usage":null}]}',
        b'{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{}}]}',
        b'{"choices":[]}',
        b'{"choices":[{"index":0,"delta":{"content":"x"},"error":{"message":"no"}}]}',
        "é".encode(),
        b"[" * 300 + b"]" * 300,
        b'{"choices":[{"index":0,"delta":{"content":"' + b"x" * 5_000 + b'"}}]}',
    ):
        assert read_usual_chunk(other) is None


def test_a_stream_of_calls_of_tools_is_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(chunks, "read_usual_chunk", tried.append)
    call = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"1"}}]}}]}\n\n'
    read([FIRST, call, call, call], include_usage=False)
    assert len(tried) == 1


def test_a_chunk_without_choices_is_an_error_by_any_of_its_fields():
    usage = {"object": "chat.completion.chunk", "id": "", "choices": [], "usage": {"prompt_tokens": 9}}
    assert error_itself(json.dumps(usage).encode()) is None
    for more in ({"object": "error"}, {"errmsg": "no"}, {"success": False}, {"detail": "no"}, {"type": "error"}):
        assert error_itself(json.dumps(usage | more).encode()) == usage | more
