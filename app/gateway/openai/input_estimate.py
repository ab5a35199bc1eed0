"""How many tokens a request sends, estimated from its text where the provider reports no count.

It reads the caller's JSON, which was checked as far as it had to be, and whose cost to read is
bounded: a request with absurdly many objects is measured by its bytes.
"""

from typing import Final

import msgspec

from app.gateway.openai.request import CallRequest
from app.gateway.openai.text_units import (
    MOST_OBJECTS,
    UNITS_PER_TOKEN,
    Message,
    byte_units,
    message_units,
    text_units,
    tokens_of,
)

_MESSAGES: Final = msgspec.json.Decoder(list[Message])
_TEXTS: Final = msgspec.json.Decoder(list[str])
_TEXT: Final = msgspec.json.Decoder(str)
_SCHEMAS: Final = ("tools", "functions", "response_format")
"""What a request holds beside its messages that providers bill as input."""


def estimated_input_tokens(request: CallRequest) -> int:
    """Return the tokens of the messages and of the tools' schemas, or of the input of an embeddings request; images count nothing."""
    if request.estimated_input_tokens is not None:
        return request.estimated_input_tokens
    fields = request.fields
    if request.operation == "embeddings":
        return tokens_of(_embedding_units(bytes(fields["input"])) if "input" in fields else 0)
    units = _messages_units(bytes(fields["messages"])) if "messages" in fields else 0
    return tokens_of(units + sum(byte_units(fields[name]) for name in _SCHEMAS if name in fields))


def _messages_units(raw: bytes) -> int:
    """Return the length of the text in a list of messages."""
    if raw.count(b"{") > MOST_OBJECTS:
        return byte_units(raw)
    try:
        return sum(message_units(message) for message in _MESSAGES.decode(raw))
    except (msgspec.DecodeError, RecursionError):
        return byte_units(raw)


def _embedding_units(raw: bytes) -> int:
    """Return the length of a string, of a list of strings, or of token ids in any nesting: each stands for one token."""
    quotes = raw.count(b'"')
    if not quotes:
        # Every number but the last is followed by a comma.
        return (raw.count(b",") + 1) * UNITS_PER_TOKEN
    if quotes > 2 * MOST_OBJECTS:
        return byte_units(raw)
    try:
        if raw.startswith(b'"'):
            return text_units(_TEXT.decode(raw))
        return sum(text_units(text) for text in _TEXTS.decode(raw))
    except (msgspec.DecodeError, RecursionError):
        return byte_units(raw)
