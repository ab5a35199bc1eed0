"""Where in a response or a chunk usage stands: beside the choices, in one, or in another member.

Input: the decoded fields of a document. Output: undecoded `usage` objects, with the index of the choice whose they are.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from app.gateway.openai.error_document import is_filled
from app.gateway.openai.response_shape import Choice, Head
from app.gateway.openai.text_units import ABSENT

MEMBERS: Final = ("response", "data", "metadata", "message")
"""The members of a document that may hold its usage."""


class _Holder(msgspec.Struct, gc=False):
    usage: msgspec.Raw = ABSENT


_HOLDER: Final = msgspec.json.Decoder(_Holder)
_OBJECT: Final = re.compile(rb"\{")
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')
_COUNT: Final = re.compile(rb'_tokens"\s*:')


def usages_of(head: Head, choices: list[Choice] | None) -> Iterator[tuple[msgspec.Raw, bytes | None]]:
    """Return every field of a document that may hold usage, with the index of the choice that holds it."""
    if head.x_groq is not ABSENT:
        with contextlib.suppress(msgspec.DecodeError):
            yield _HOLDER.decode(head.x_groq).usage, None
    if not is_filled(head.usage):
        yield from held_usages(head, choices)
    for choice in choices or ():
        if choice.usage is not ABSENT:
            yield choice.usage, bytes(choice.index)
    yield head.usage, None


def held_usages(head: Head, choices: list[Choice] | None) -> Iterator[tuple[msgspec.Raw, bytes]]:
    """Return the usage in a member, in a message, and in a delta with a reason to finish.

    In a member it is that of the first choice: what stands beside the choices wins over it, so that no
    metadata of a request that a provider repeats replaces a count.
    """
    first = bytes(choices[0].index) if choices else b"0"
    for member in (head.response, head.data, head.metadata, head.message):
        if (usage := held_usage(member)) is not None:
            yield usage, first
    for choice in choices or ():
        index = bytes(choice.index)
        if (usage := held_usage(choice.message)) is not None:
            yield usage, index
        if is_filled(choice.finish_reason) and (usage := held_usage(choice.delta)) is not None:
            yield usage, index


def held_usage(member: msgspec.Raw) -> msgspec.Raw | None:
    """Return the usage in an object; None where it has none that counts tokens."""
    if member is ABSENT or _OBJECT.match(member) is None or _USAGE.search(member) is None:
        return None
    try:
        usage = _HOLDER.decode(member).usage
    except msgspec.DecodeError:
        return None
    return None if _OBJECT.match(usage) is None or _COUNT.search(usage) is None else usage
