"""Reading a stream of any events in any segmentation of its bytes: the same output, usage, text and end."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.response_shape import LONGEST_INDEX_BYTES, MOST_CHOICES


def data(value, *, name=None):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + text + b"\n\n"


def choice(index=0, finish=None, **delta):
    return {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}


EVENTS = st.sampled_from(
    [
        data(choice(role="assistant", content="")),
        data(choice(content="Hello")),
        data(choice(content="\u4e2d\U0001f600")),
        data(b'{"choices":[{"delta":{"content":"\\ud83d"},"logprobs":[-Infinity,NaN]}],"usage":null}'),
        data(choice(index=1, content="second")),
        data(choice(index=1, finish="stop")),
        data(choice(finish="stop")),
        data(choice(finish="content_filter")),
        data({**choice(finish="stop"), "usage": {"prompt_tokens": 9}}),
        data({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7}}),
        data({"choices": None, "usage": {"completion_tokens": 8}}),
        data({"choices": [{"index": 0, "delta": {}, "usage": {"total_tokens": 30}}]}),
        data({"x_groq": {"usage": {"prompt_tokens": -1}}}),
        data({"object": "chat.completion.chunk"}),
        data(b""),
        data(b"null"),
        data(b"{}"),
        b"event: ping\n\n",
        data({"type": "ping"}, name=b"ping"),
        b": comment\n\n",
        b"retry: 10\n\n",
        b"\n\n",
        data(b"[DONE]"),
        data(b'"[DONE]"'),
        data({"choices": {}}),
        data({"choices": {}, "usage": {"prompt_tokens": 9, "completion_tokens": 7}}),
        data({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7}, "citations": ["u"]}),
        data({"metadata": {"usage": {"prompt_tokens": 9, "completion_tokens": 7}}}),
        data({"response": {"usage": {"output_tokens": 7}}}, name=b"response.completed"),
        data({"choices": [{"delta": {"usage": {"completion_tokens": 7}}, "finish_reason": "stop"}]}),
        data({"message": "no"}, name=b"internalServerException"),
        data({"error": {"message": "no", "code": 503}}),
        data({**choice(content="x"), "error": {"message": "no"}}),
        data({**choice(content="x"), "error": None}),
        data(choice(content="x", error={"message": "no"})),
        data(choice(content="x", finish="error")),
        data(b"Internal Server Error", name=b"error"),
        data(b"{oops"),
        data(b"7"),
        data({"choices": 7}),
        b"data: {\ndata: }\n\n",
        b'data: {"choices":[{"index":0,"delta":\ndata: {"content":"two lines"}}]}\n\n',
    ]
)


def outcome(pieces, *, include_usage=False, choices=1):
    chunks = StreamChunks(include_usage=include_usage, choices=choices, max_event_bytes=1_000_000)
    output = b"".join([chunks.feed(piece) for piece in pieces])
    output += chunks.end()
    return {
        "output": output,
        "units": chunks.output_units,
        "usage": chunks.usage.read(),
        "failure": chunks.failure.kind if chunks.failure else None,
        "done": chunks.done,
        "complete": chunks.complete,
        "finish_reason": chunks.finish_reason,
        "choices": chunks.choices,
        "id": chunks.response_id,
    }


@settings(max_examples=300)
@given(
    events=st.lists(EVENTS, max_size=8),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(0, 900), max_size=12),
    end=st.integers(0, 3),
    include_usage=st.booleans(),
    choices=st.integers(1, 2),
)
def test_any_segmentation_reads_the_same(*, events, line_end, cuts, end, include_usage, choices):
    body = b"".join(events)
    body = body[: len(body) - end].replace(b"\n", line_end)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:stop] for start, stop in itertools.pairwise(edges)]
    options = {"include_usage": include_usage, "choices": choices}
    whole = outcome([body], **options)
    assert outcome(pieces, **options) == whole
    assert outcome([body[place : place + 1] for place in range(len(body))], **options) == whole
    assert (whole["failure"] is None) == whole["complete"]


@settings(max_examples=200)
@given(events=st.lists(EVENTS, max_size=8))
def test_what_the_caller_gets_says_what_was_counted(events):
    """The text in the output is the text that is counted, and usage is in it only for a caller that asked."""
    found = outcome([b"".join(events)])
    again = outcome([found["output"]])
    if found["output"]:
        assert again["units"] == found["units"]
    assert b"prompt_tokens" not in found["output"]
    assert b"completion_tokens" not in found["output"]


@pytest.mark.parametrize("size", [1, 100, 70_000])
def test_chunks_without_content_are_held_up_to_a_bound(size):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=1_000_000)
    role = data({**choice(role="assistant", content=""), "padding": "x" * size})
    held = 0
    while not (output := chunks.feed(role)):
        held += 1
        assert held * len(role) <= 64 * 1024
    assert output == role * (held + 1)


@pytest.mark.parametrize("value", [b"[1],", b"{},", b'"",'])
def test_a_chunk_of_very_many_values_is_none(value):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=64_000_000)
    head = b'{"choices":[{"index":0,"delta":{"content":"Hello"}}],"x":['
    assert chunks.feed(b"data: " + head + value * 300_000 + b"1]}\n\n") == b""
    assert chunks.failure.kind == "bad_response"


@pytest.mark.parametrize("more", [{}, {"role": "assistant"}, {"tool_calls": [{"index": 0}]}])
def test_what_is_kept_of_choices_without_end_is_bounded(more):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=1_000_000)
    for index in range(1_000):
        piece = data(choice(index=index, content="a", **more))
        assert chunks.feed(piece) == piece
        chunks.feed(data(choice(index=index, finish="stop", **more)))
    assert chunks.choices == MOST_CHOICES
    assert chunks.failure is None


@pytest.mark.parametrize("digits", [LONGEST_INDEX_BYTES, 2_000, 100_000])
def test_an_index_that_is_longer_than_any_is_not_kept(digits):
    chunks = StreamChunks(include_usage=False, choices=1, max_event_bytes=1_000_000)
    first, long = data(choice(content="a")), data(choice(index="9" * digits, content="b"))
    assert chunks.feed(first) + chunks.feed(long) == first + long
    usage = {"index": "9" * digits, "delta": {}, "usage": {"total_tokens": 30}}
    chunks.feed(data({"choices": [usage]}))
    assert chunks.choices == 1
    assert chunks.usage.read() is None
    chunks.feed(data(choice(finish="stop")))
    assert chunks.complete
