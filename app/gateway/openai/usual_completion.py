"""Reads the usual whole response, one choice of text and a plain usage, in one step.

`completion.py` reads every other, field by field and more tolerantly. A response
that is read here means the same there: tests compare the two.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from app.gateway.json_bounds import check_depth, check_utf8
from app.gateway.openai.outcome_words import is_failure
from app.gateway.openai.text_units import text_units
from app.gateway.openai.usage import ReportedUsage
from app.gateway.openai.usage_fields import MAX_COUNT, RawDetails, RawUsage
from app.gateway.openai.usual_chunk import UsualText, units_beside_content

_LONGEST_BYTES: Final = 32 * 1024
_COUNTED: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS: Final = frozenset(name for name in RawUsage.__struct_fields__ if name.endswith("_details"))

_Count: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]

_NoDetails = msgspec.defstruct(
    "_NoDetails", [(name, Literal[0] | None, None) for name in RawDetails.__struct_fields__], gc=False
)
"""Details of which nothing was used: most providers send them so."""


class _Choice(msgspec.Struct, gc=False):
    message: UsualText
    finish_reason: str | None = None
    usage: None = None
    error: None = None


class _Counts(msgspec.Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count
    total_tokens: _Count


_PlainUsage = msgspec.defstruct(
    "_PlainUsage",
    [
        (name, _NoDetails | None if name in _DETAILS else None, None)
        for name in RawUsage.__struct_fields__
        if name not in _COUNTED
    ],
    bases=(_Counts,),
    gc=False,
)
"""A usage of input, output and total, and of no other field that is read anywhere."""


class UsualCompletion(msgspec.Struct, gc=False):
    """What accounting needs of a usual response."""

    choices: tuple[_Choice]
    usage: _PlainUsage  # type: ignore[valid-type]  # made from the fields of another class
    id: str | None = None
    model: str | None = None
    error: None = None
    x_groq: None = None
    base_resp: None = None

    @property
    def units(self) -> int:
        """The length of the text (`text_units.py`)."""
        message = self.choices[0].message
        units = text_units(message.content) if message.content else 0
        if message.reasoning_content or message.reasoning or message.refusal:
            units += units_beside_content(message)
        return units

    @property
    def reported(self) -> ReportedUsage | None:
        """The counts; None where they contradict each other."""
        counts: _Counts = self.usage
        input_tokens, output_tokens, total = counts.prompt_tokens, counts.completion_tokens, counts.total_tokens
        return ReportedUsage(input_tokens, output_tokens, total) if input_tokens + output_tokens == total else None


_COMPLETION: Final = msgspec.json.Decoder(UsualCompletion)


def read_usual_completion(body: bytes) -> UsualCompletion | None:
    """Return a response; None where it is not the usual one."""
    if len(body) > _LONGEST_BYTES:
        return None
    try:
        check_depth(body)
        if not body.isascii():
            check_utf8(body)
        found = _COMPLETION.decode(body)
    except (ValueError, RecursionError):
        return None
    reason = found.choices[0].finish_reason
    return None if reason is not None and is_failure(reason) else found
