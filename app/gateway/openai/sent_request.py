"""Searches what the caller sent for what a provider's message quotes.

Input: the body as the caller sent it. Output: whether it has a name, or words in a row. Words are
looked for in its strings alone: `model` and `messages` are in each request. The work is linear, and
bounded: of a larger body the beginning alone is searched.
"""

import contextlib
import json
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import msgspec

MOST_SEARCHED_BYTES: Final = 256 * 1024

_STRING: Final = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:\\?\Z|"(\s*+:)?)', re.DOTALL)
"""Any string, with a colon where it is a name; the last may be cut."""
_CUT_ESCAPE: Final = re.compile(r"\\u[0-9a-fA-F]{0,3}\Z")
_OWN_MODEL: Final = re.compile(r'"model"\s*:\s*"(?:[^"\\]|\\.){0,500}"')
_MEMBER: Final = re.compile(rb'"([\w.-]{1,64})"\s*+:')
_MOST_MEMBERS: Final = 200
_MOST_LEVELS: Final = 3
# What is in them, a caller's user or its tools have written: no member that a provider reads.
_CONTENTS: Final = frozenset(
    {"messages", "tools", "functions", "response_format", "metadata", "input", "prompt", "documents"}
)
_BETWEEN_STRINGS: Final = "\0"
# Anything but ASCII letters and digits, and what is left of an escape that a message shows as such.
_BETWEEN_WORDS: Final = r"(?:[^a-z0-9\0]|(?<=\\)u[0-9a-f]{4}|(?<=\\)[nrtbf])+"
_SEPARATOR: Final = re.compile(_BETWEEN_WORDS)
_ESCAPED_LETTER: Final = "\\u"
_UNCOMMON: Final = re.compile(r"[\d_/@\s-]")


class SentRequest:
    """The body of one request, decoded when it is searched for the first time."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.is_too_large = len(body) > MOST_SEARCHED_BYTES

    def has_member(self, name: str) -> bool:
        """Whether the request itself has a member of this name; in one that is too large, anything in it."""
        if self._members is not None:
            return name in self._members
        return b'"%b"' % name.encode() in self._body

    @cached_property
    def _members(self) -> dict[str, msgspec.Raw] | None:
        """The request's own members, undecoded; None where it is too large, or no JSON."""
        if self.is_too_large:
            return None
        try:
            return msgspec.json.decode(self._body, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    @cached_property
    def member_names(self) -> tuple[list[str], list[str]]:
        """The names of the request's own members, and those of objects inside them, but for what is content.

        In a request that is too large, or no JSON, it is all names in its first and last parts.
        """
        if self._members is not None:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                inner = [msgspec.json.decode(raw) for name, raw in self._members.items() if name not in _CONTENTS]
                return list(self._members)[:_MOST_MEMBERS], _inner_names(inner, _MOST_LEVELS)[:_MOST_MEMBERS]
        half = MOST_SEARCHED_BYTES // 2
        first, last = (_MEMBER.findall(part) for part in (self._body[:half], self._body[half:][-half:]))
        return [name.decode() for name in (*first[:_MOST_MEMBERS], *last[-_MOST_MEMBERS:])], []

    def names(self, name: str) -> bool:
        """Whether the request has this name in lower case, but for that of its model; a common word has to be a whole string."""
        if _UNCOMMON.search(name):
            return name in self._lowered or name in self._text
        return f'"{name}"' in self._lowered or f"{_BETWEEN_STRINGS}{name}{_BETWEEN_STRINGS}" in self._text

    def has_in_a_row(self, text: str) -> bool:
        """Whether a string has the words of a text in lower case one after another, whatever is between them.

        A text without ASCII letters and digits, such as Chinese, has to be there as it is.
        """
        words = [word for word in _SEPARATOR.split(text) if word]
        if not words and not text.isascii():
            return text in self._text
        if _ESCAPED_LETTER not in self._beginning and any(word not in self._lowered for word in words):
            # Usually, and without a look at each string.
            return False
        return bool(words) and re.search(_BETWEEN_WORDS.join(words), self._text) is not None

    @cached_property
    def _beginning(self) -> str:
        """What is searched, as it was sent, without the model."""
        return _OWN_MODEL.sub("", self._body[:MOST_SEARCHED_BYTES].decode("utf-8", "replace"), count=1)

    @cached_property
    def _lowered(self) -> str:
        return self._beginning.lower()

    @cached_property
    def _text(self) -> str:
        """All strings in lower case, without escapes and with a mark around them."""
        strings = [string for string, colon in _STRING.findall(_CUT_ESCAPE.sub("", self._beginning)) if not colon]
        if "\\" in self._beginning:
            try:
                strings = json.loads('["' + '","'.join(strings) + '"]', strict=False)
            except ValueError:
                # No JSON: it is searched as it is.
                strings = [self._beginning]
        text = _BETWEEN_STRINGS.join(string.replace(_BETWEEN_STRINGS, " ") for string in strings)
        return f"{_BETWEEN_STRINGS}{text}{_BETWEEN_STRINGS}".lower()


def _inner_names(values: Iterable[object], levels: int) -> list[str]:
    """Return the names of members inside values, nearer ones first."""
    held = [value for value in values if isinstance(value, dict)]
    if not held or not levels:
        return []
    names = [name for value in held for name in value]
    return names + _inner_names([inner for value in held for inner in value.values()], levels - 1)
