"""TOKEN USAGE: how many tokens an answer took, as the provider says or, where it says nothing usable, as we estimate.

Comes in: decoded JSON of unknown shape. Goes out: counts that are integers in range. It prices nothing and records nothing.
"""

from typing import Any, Final

import msgspec

from app.gateway.json_bounds import is_light
from app.gateway.request_body import CallRequest

CHARACTERS_PER_TOKEN: Final = 4
"""The usual rule of thumb for English text; estimates are marked as such everywhere."""

MAX_TOKENS: Final = 1_000_000_000
"""A count above this is a defect of the provider, not usage."""

_TEXT_FIELDS: Final = frozenset({"content", "reasoning_content", "reasoning", "refusal"})


class ReportedUsage(msgspec.Struct, frozen=True):
    """What a provider reported; None for a count that is missing or absurd."""

    input_tokens: int | None = None
    output_tokens: int | None = None


def read_usage(usage: object) -> ReportedUsage | None:
    """Read a `usage` object; None where it holds no count at all. Also takes the names `input_tokens` and `output_tokens`."""
    if not isinstance(usage, dict):
        return None
    reported = ReportedUsage(
        _count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        _count(usage.get("completion_tokens", usage.get("output_tokens"))),
    )
    return None if reported.input_tokens is None and reported.output_tokens is None else reported


def tokens_of(characters: int) -> int:
    """Estimate the tokens of a text by its length, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def input_characters(request: CallRequest) -> int:
    """Count the text that a request sends: messages' text, or the input of an embeddings request; images count nothing."""
    raw = request.fields.get("messages" if request.operation == "chat" else "input")
    if raw is not None and not is_light(text := bytes(raw)):
        # To look at each of so many values takes too long.
        return len(text)
    try:
        value = msgspec.json.decode(raw) if raw is not None else None
    except (ValueError, RecursionError):
        # A lone surrogate, say: the provider read it, so it has a length. Its bytes are near enough for an estimate.
        return len(bytes(raw)) if raw is not None else 0
    if request.operation == "embeddings":
        return _embedding_characters(value)
    return sum(text_characters(message) for message in value) if isinstance(value, list) else 0


def text_characters(message: object) -> int:
    """Count the text of a message or of a streamed delta: content in either shape, reasoning, refusal, tool calls."""
    if not isinstance(message, dict):
        return 0
    total = 0
    for name, value in message.items():
        if name in _TEXT_FIELDS:
            if isinstance(value, str):
                total += len(value)
            elif isinstance(value, list):
                total += sum(
                    len(part["text"]) for part in value if isinstance(part, dict) and _is_text(part.get("text"))
                )
        elif name == "tool_calls" and isinstance(value, list):
            total += sum(_function_characters(call.get("function")) for call in value if isinstance(call, dict))
        elif name == "function_call":
            total += _function_characters(value)
    return total


def _function_characters(function: object) -> int:
    """Count the name and the arguments of a called function."""
    if not isinstance(function, dict):
        return 0
    return sum(len(function[key]) for key in ("name", "arguments") if _is_text(function.get(key)))


def _embedding_characters(value: object) -> int:
    """Count a string, a list of strings, or token ids (each stands for one token)."""
    if not isinstance(value, str | list):
        return 0
    total = 0
    rest: list[Any] = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, list):
            rest.extend(item)
        else:
            total += CHARACTERS_PER_TOKEN
    return total


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> int | None:
    """Return a token count, or None for what cannot be one. Some servers write whole numbers as 12.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value
