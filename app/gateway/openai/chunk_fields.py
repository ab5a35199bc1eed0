"""The fields of one chunk that decide what the caller gets of it: whether content begins, and what it must not see."""

import json
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from app.gateway.json_bounds import INLINE_BYTES
from app.gateway.openai.response_shape import Choice
from app.gateway.openai.sse import SseEvent
from app.gateway.openai.usage_places import MEMBERS

T = TypeVar("T")

_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CHOICES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw] | None])
USAGE: Final = frozenset({"usage"})
ERROR: Final = frozenset({"error"})
USAGE_AND_ERROR: Final = USAGE | ERROR
_EMPTY: Final = frozenset({b"null", b'""', b"[]", b"{}"})
_FRAME: Final = frozenset(
    {"id", "object", "type", "created", "model", "choices", "system_fingerprint", "service_tier", "provider", "request_id", "x_groq",
     "obfuscation", "p", "base_resp"}
)  # fmt: skip
"""What the chunks of a response have in common: its labels, and padding that hides the length of a chunk."""

_HOLDERS: Final = ("x_groq", *MEMBERS)
_MESSAGES: Final = ("message", "delta")
_MOST_VALUES: Final = 100_000


def has_many_values(data: bytes) -> bool:
    """Whether a chunk has too many values to be read: large ones are few long strings, such as an image; others would stall all requests."""
    return len(data) > INLINE_BYTES and data.count(b",") + data.count(b"[") + data.count(b"{") > _MOST_VALUES


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


def without(event: SseEvent, names: frozenset[str], *, drops_frame: bool = False) -> bytes:
    """Return the event's bytes with fields cut out of the chunk, wherever they stand in it, and the others as they were.

    `drops_frame`: nothing is returned where only what every chunk has is left.
    """
    data = event.data or b""
    try:
        fields = _cut(_FIELDS.decode(data), names)
        if _may_hold(fields.get("choices"), names):
            choices = _CHOICES.decode(fields["choices"])
            for choice in choices:
                if choice is not None:
                    _cut_members(_cut(choice, names), _MESSAGES, names)
            fields["choices"] = msgspec.Raw(msgspec.json.encode(choices))
        _cut_members(fields, _HOLDERS, names)
        if drops_frame and all(name in _FRAME or bytes(value) in _EMPTY for name, value in fields.items()):
            return b""
        rest = msgspec.json.encode(fields)
    except (msgspec.DecodeError, RecursionError):
        # Only the tolerant decoder accepts it.
        chunk = json.loads(data)
        of_chunk = [chunk.get(name) for name in _HOLDERS]
        listed = [choice for choice in chunk.get("choices") or () if isinstance(choice, dict)]
        of_choices = [choice.get(name) for choice in listed for name in _MESSAGES]
        for holder in (chunk, *of_chunk, *listed, *of_choices):
            if isinstance(holder, dict):
                _cut(holder, names)
        if drops_frame and all(name in _FRAME or not value for name, value in chunk.items()):
            return b""
        rest = json.dumps(chunk, separators=(",", ":")).encode()
    return SseEvent(rest, event.others).encode()


def _cut_members(fields: dict[str, msgspec.Raw], members: Iterable[str], names: frozenset[str]) -> None:
    """Take the fields out of those members that are objects."""
    for member in members:
        value = fields.get(member)
        if value is not None and _may_hold(value, names) and bytes(value).startswith(b"{"):
            fields[member] = msgspec.Raw(msgspec.json.encode(_cut(_FIELDS.decode(value), names)))


def _may_hold(raw: msgspec.Raw | None, names: frozenset[str]) -> bool:
    """Whether one of the names is somewhere in undecoded JSON."""
    data = b"" if raw is None else bytes(raw)
    return any(b'"%b"' % name.encode() in data for name in names)


def _cut(fields: dict[str, T], names: frozenset[str]) -> dict[str, T]:
    """Take the fields out of an object."""
    for name in names:
        fields.pop(name, None)
    return fields
