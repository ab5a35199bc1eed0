"""How long text is, in twelfths of a token: the estimate where a provider reports no count.

Four ASCII characters are a token, and so are three bytes of UTF-8 of any other script: a Chinese
character is one token, a Cyrillic one two thirds, an emoji one and a third. Sums stay whole
numbers, and are rounded up once.
"""

from typing import Final

import msgspec

from app.gateway.json_bounds import WINDOW_BYTES, windows
from app.gateway.openai.long_strings import is_long_string, text_bytes

UNITS_PER_TOKEN: Final = 12
MOST_OBJECTS: Final = 20_000
"""JSON with more objects than this is measured by its bytes: reading each of millions would stall all other requests."""

UNITS_PER_BYTE: Final = 3
"""Of ASCII text; a byte of any other script is more."""
_UNITS_PER_OTHER_BYTE: Final = 4
ABSENT: Final = msgspec.Raw()
"""The default of a field that a document does not have; compare with `is`."""

_NULL: Final = msgspec.Raw(b"null")
_TEXT: Final = msgspec.json.Decoder(str | None)


class Message(msgspec.Struct, gc=False):
    """The fields of a message or of a streamed delta that hold text, undecoded; and the error that some providers put there."""

    content: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class _Part(msgspec.Struct, gc=False):
    text: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT


class _Function(msgspec.Struct, gc=False):
    name: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT


class _ToolCall(msgspec.Struct, gc=False):
    function: msgspec.Raw = ABSENT


MESSAGE: Final = msgspec.json.Decoder(Message)
_PARTS: Final = msgspec.json.Decoder(list[_Part])
_TOOL_CALLS: Final = msgspec.json.Decoder(list[_ToolCall])
_FUNCTION: Final = msgspec.json.Decoder(_Function)


def tokens_of(units: int) -> int:
    """Return the tokens of so many units, rounded up."""
    return -(-units // UNITS_PER_TOKEN)


def text_units(text: str) -> int:
    """Return the length of a text."""
    if text.isascii():
        return len(text) * UNITS_PER_BYTE
    if len(text) > WINDOW_BYTES:
        return sum(text_units(text[start : start + WINDOW_BYTES]) for start in range(0, len(text), WINDOW_BYTES))
    ascii_characters = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "surrogatepass")) - ascii_characters
    return ascii_characters * UNITS_PER_BYTE + other_bytes * _UNITS_PER_OTHER_BYTE


def byte_units(json: bytes | msgspec.Raw) -> int:
    """Return the length of JSON that is not looked into, as if all of it were ASCII text."""
    return memoryview(json).nbytes * UNITS_PER_BYTE


def message_units(message: Message) -> int:
    """Return the length of all text in a message: content in either shape, reasoning, refusal, calls of tools."""
    # Nearly every chunk holds this alone.
    units = 0 if message.content is ABSENT else content_units(message.content)
    if message.reasoning_content is not ABSENT:
        units += content_units(message.reasoning_content)
    if message.reasoning is not ABSENT:
        units += content_units(message.reasoning)
    if message.refusal is not ABSENT:
        units += content_units(message.refusal)
    if message.tool_calls is not ABSENT:
        units += _tool_call_units(message.tool_calls)
    if message.function_call is not ABSENT:
        units += _function_units(message.function_call)
    return units


def content_units(content: msgspec.Raw, *, nested: bool = True) -> int:
    """Return the length of a string, or of the text in a list of parts; images and sounds count nothing."""
    if content is ABSENT:
        return 0
    if is_long_string(content):
        ascii_bytes, other_bytes = text_bytes(content)
        return ascii_bytes * UNITS_PER_BYTE + other_bytes * _UNITS_PER_OTHER_BYTE
    try:
        return text_units(_TEXT.decode(content) or "")
    except msgspec.DecodeError:
        pass
    if _has_many_objects(content):
        return byte_units(content)
    try:
        parts = _PARTS.decode(content)
    except (msgspec.DecodeError, RecursionError):
        # Neither text nor parts, such as a lone surrogate in a request. The provider read it, so it has a length.
        return byte_units(content)
    units = 0
    for part in parts:
        units += content_units(part.text, nested=False) + content_units(part.refusal, nested=False)
        if nested:
            units += content_units(part.thinking, nested=False)
    return units


def _has_many_objects(json: msgspec.Raw) -> bool:
    """Whether there are too many to be read; those in strings count too."""
    return sum(window.count(b"{") for window in windows(memoryview(json))) > MOST_OBJECTS


def _tool_call_units(calls: msgspec.Raw) -> int:
    """Return the length of the called functions' names and arguments."""
    if calls == _NULL:
        return 0
    if _has_many_objects(calls):
        return byte_units(calls)
    try:
        return sum(_function_units(call.function) for call in _TOOL_CALLS.decode(calls))
    except (msgspec.DecodeError, RecursionError):
        return byte_units(calls)


def _function_units(function: msgspec.Raw) -> int:
    """Return the length of a called function's name and arguments."""
    if function is ABSENT:
        return 0
    try:
        called = _FUNCTION.decode(function)
    except (msgspec.DecodeError, RecursionError):
        return 0
    return content_units(called.name, nested=False) + content_units(called.arguments, nested=False)
