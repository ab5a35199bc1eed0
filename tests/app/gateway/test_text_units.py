"""The estimate of tokens from text, in every script and shape, and that no input makes it slow or deep."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.request import parse_chat, parse_embeddings
from app.gateway.openai.text_units import text_units, tokens_of


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("Hello there", 3),
        ("word " * 1_000, 1_250),
        ("\u4e2d" * 1_000, 1_000),
        ("\u3042\u30a2" * 500, 1_000),
        ("\ud55c" * 1_000, 1_000),
        ("\u0434" * 1_000, 667),
        ("\u00e9" * 1_000, 667),
        ("\u0627" * 1_000, 667),
        ("\u0e01" * 1_000, 1_000),
        ("\U0001f600" * 1_000, 1_334),
        ("\ud83d" * 3, 3),
        ("abcd\u4e2d", 2),
    ],
)
def test_tokens_of_a_text(text, tokens):
    assert tokens_of(text_units(text)) == tokens


@given(st.text(max_size=50), st.text(max_size=50))
def test_the_units_of_texts_add_up(first, second):
    assert text_units(first) + text_units(second) == text_units(first + second)


def chat(messages, **fields):
    return parse_chat(json.dumps({"model": "m", "messages": messages, **fields}).encode())


@pytest.mark.parametrize(
    ("message", "characters"),
    [
        ({"role": "user", "content": "x" * 40}, 40),
        ({"role": "user", "content": None}, 0),
        ({"role": "user"}, 0),
        ({"content": [{"type": "text", "text": "x" * 40}, {"type": "image_url", "image_url": {"url": "y" * 999}}]}, 40),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x" * 40}]}]}, 40),
        ({"content": [{"type": "refusal", "refusal": "x" * 40}]}, 40),
        ({"content": "x" * 8, "reasoning_content": "y" * 16, "reasoning": "z" * 4, "refusal": "r" * 12}, 40),
        ({"tool_calls": [{"function": {"name": "x" * 10, "arguments": "y" * 30}}, {"function": None}, {}]}, 40),
        ({"tool_calls": None, "function_call": {"name": "x" * 10, "arguments": "y" * 30}}, 40),
        ({"content": "", "function_call": "odd"}, 0),
    ],
)
def test_the_text_of_a_message(message, characters):
    assert estimated_input_tokens(chat([message])) == characters // 4


def test_schemas_of_tools_count():
    assert estimated_input_tokens(chat([{"content": "x" * 4}], tools=[])) == 2
    with_tools = chat([{"content": "x" * 4}], tools=[{"type": "function", "function": {"name": "f" * 100}}])
    assert estimated_input_tokens(with_tools) > 25


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        ('"' + "x" * 40 + '"', 10),
        ('["' + "x" * 20 + '", "' + "y" * 20 + '"]', 10),
        ("[1, 2, 3]", 3),
        ("[[1, 2], [3]]", 3),
        ("[7]", 1),
        ("[" * 150 + "7" + "]" * 150, 1),
        ('[{"text": "an object"}]', 6),
        ('["\\ud83d"]', 3),
    ],
)
def test_the_text_of_an_embeddings_request(value, tokens):
    fields = {"model": msgspec.Raw(b'"m"'), "input": msgspec.Raw(value.encode())}
    made = msgspec.structs.replace(parse_embeddings(b'{"model":"m","input":"x"}'), fields=fields)
    assert estimated_input_tokens(made) == tokens


@pytest.mark.parametrize(
    "messages",
    [
        b"[" + b"{}," * 500_000 + b"{}]",
        b'[{"content":[' + b"{}," * 500_000 + b"{}]}]",
        b'[{"content":[' + b'"a",' * 500_000 + b'"a"]}]',
        b'[{"tool_calls":[' + b"{}," * 500_000 + b"{}]}]",
        b'[{"content":' + b"[" * 150 + b"]" * 150 + b"}]",
        b'[{"content":"\\ud83d"}]',
    ],
)
def test_absurd_messages_are_measured_by_their_bytes(messages):
    made = msgspec.structs.replace(chat([{}]), fields={"messages": msgspec.Raw(messages)})
    assert 0 < estimated_input_tokens(made) <= len(messages)
