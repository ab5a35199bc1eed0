"""The fields of one chunk that decide what the caller gets of it: whether content begins, and what it must not see."""

import json
from typing import Final, TypeVar

import msgspec

from app.gateway.openai.response_shape import Choice
from app.gateway.openai.sse import SseEvent

T = TypeVar("T")

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw] | None])
_EMPTY: Final = frozenset({b"null", b'""', b"[]", b"{}"})


def begins(choices: list[Choice] | None) -> bool:
    """Whether a chunk without text begins the response all the same: a reason to finish, a sound, an image; the role alone does not."""
    for choice in choices or ():
        if bytes(choice.finish_reason) not in {b"", *_EMPTY}:
            return True
        try:
            delta = _FIELDS.decode(choice.delta)
        except (msgspec.DecodeError, RecursionError):
            continue
        if any(name != "role" and bytes(value) not in _EMPTY for name, value in delta.items()):
            return True
    return False


def without(event: SseEvent, names: frozenset[str]) -> bytes:
    """Return the event's bytes with fields cut out of the chunk, its choices and its extension, and the others as they were."""
    data = event.data or b""
    try:
        fields = _cut(_FIELDS.decode(data), names)
        if _may_hold(fields.get("choices"), names):
            choices = [choice and _cut(choice, names) for choice in _CHOICES.decode(fields["choices"])]
            fields["choices"] = msgspec.Raw(msgspec.json.encode(choices))
        if _may_hold(fields.get("x_groq"), names):
            fields["x_groq"] = msgspec.Raw(msgspec.json.encode(_cut(_FIELDS.decode(fields["x_groq"]), names)))
        rest = msgspec.json.encode(fields)
    except (msgspec.DecodeError, RecursionError):
        # Only the tolerant decoder accepts it.
        chunk = json.loads(data)
        for holder in (chunk, chunk.get("x_groq"), *(chunk.get("choices") or ())):
            if isinstance(holder, dict):
                _cut(holder, names)
        rest = json.dumps(chunk, separators=(",", ":")).encode()
    return SseEvent(rest, event.others).encode()


def _may_hold(raw: msgspec.Raw | None, names: frozenset[str]) -> bool:
    """Whether one of the names is somewhere in undecoded JSON."""
    data = b"" if raw is None else bytes(raw)
    return any(b'"%b"' % name.encode() in data for name in names)


def _cut(fields: dict[str, T], names: frozenset[str]) -> dict[str, T]:
    """Take the fields out of an object."""
    for name in names:
        fields.pop(name, None)
    return fields
