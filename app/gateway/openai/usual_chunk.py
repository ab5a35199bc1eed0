"""Reads the usual chunk of a stream, one choice with text and nothing else, in one step.

`response_shape.py` reads every other, field by field and more tolerantly. A chunk that is read here
means the same there: tests compare the two. `usual_completion.py` does the same for whole responses.
"""

from typing import Final

import msgspec

from app.gateway.json_bounds import MAX_DEPTH, check_depth
from app.gateway.openai.text_units import ABSENT, text_units

_LONGEST_BYTES: Final = 4 * 1024
_SHALLOW_BYTES: Final = 2 * MAX_DEPTH
"""Shorter JSON is not nested too deeply."""


class UsualText(msgspec.Struct, gc=False):
    """A delta or a message of text. A value where only null is allowed makes it another one."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: None = None
    function_call: None = None
    error: None = None


class _Choice(msgspec.Struct, gc=False):
    delta: UsualText
    index: msgspec.Raw = ABSENT
    finish_reason: None = None
    usage: msgspec.Raw = ABSENT
    error: None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: tuple[_Choice]
    usage: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    error: None = None
    base_resp: None = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


def read_usual_chunk(data: bytes) -> tuple[bytes, int] | None:
    """Return the index of the one choice and the length of its text; None where the chunk is not the usual one."""
    if len(data) > _LONGEST_BYTES or not data.isascii():
        return None
    try:
        if len(data) > _SHALLOW_BYTES:
            check_depth(data)
        chunk = _CHUNK.decode(data)
    except (ValueError, RecursionError):
        return None
    choice = chunk.choices[0]
    if chunk.usage is not ABSENT or chunk.x_groq is not ABSENT or choice.usage is not ABSENT:
        return None
    delta = choice.delta
    units = text_units(delta.content) if delta.content else 0
    if delta.reasoning_content or delta.reasoning or delta.refusal:
        units += units_beside_content(delta)
    return bytes(choice.index), units


def units_beside_content(text: UsualText) -> int:
    """Return the length of reasoning and refusal, which few streams have."""
    return sum(text_units(each) for each in (text.reasoning_content, text.reasoning, text.refusal) if each)
