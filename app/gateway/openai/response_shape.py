"""The wire format of responses as typed structs: what accounting reads, undecoded until it is needed; everything else is skipped.

Errors are looked for wherever providers put them inside a 200: beside the choices, in a choice, in
a message, as the reason why a choice finished, or as an object of its own.
"""

import re
from typing import Final

import msgspec

from app.gateway.openai.error_document import is_error_document
from app.gateway.openai.lenient_json import decode_document
from app.gateway.openai.outcome_words import is_failure, is_well, names_no_error
from app.gateway.openai.text_units import ABSENT, MESSAGE, Message

MOST_CHOICES: Final = 128
"""The most choices that the API offers; what a provider sends beyond is ignored."""

LONGEST_INDEX_BYTES: Final = 32
"""A choice whose index is longer, as it was sent, is known by none."""

NULL: Final = msgspec.Raw(b"null")
_SMALL_BYTES: Final = 64 * 1024
_MAX_ERROR_BYTES: Final = 64 * 1024
_LONGEST_REASON: Final = 80


class Choice(msgspec.Struct, gc=False):
    """One choice, of a whole response (`message`) or of a chunk (`delta`)."""

    index: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    finish_reason: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class Head(msgspec.Struct, gc=False):
    """The fields of a response or of a chunk beside its choices; the last ones for the usage that they may hold."""

    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT
    base_resp: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    data: msgspec.Raw = ABSENT
    metadata: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT


class Chat(Head, gc=False):
    """A chunk of a stream, or a whole response of usual size."""

    choices: list[Choice | None] | None = None


class LargeChat(Head, gc=False):
    """A large document, whose choices are still undecoded: a list of millions would be as many objects."""

    choices: msgspec.Raw = ABSENT


class _Outcome(msgspec.Struct, gc=False):
    status_code: int | float | str | None = 0


class _LongError(msgspec.Struct, gc=False):
    code: str | int | None = None
    type: str | None = None
    message: str | None = None


HEAD: Final = msgspec.json.Decoder(Head)
_CHAT: Final = msgspec.json.Decoder(Chat)
_LARGE_CHAT: Final = msgspec.json.Decoder(LargeChat)
# Of a long array the decoder makes objects of the first elements alone, and skips the others.
_FIRST_CHOICES: Final = msgspec.json.Decoder(
    msgspec.defstruct(
        "_FirstChoices",
        [(f"choice_{index}", Choice | None, None) for index in range(MOST_CHOICES)],
        array_like=True,
        gc=False,
    )
    | None
)
_LONG_ERROR: Final = msgspec.json.Decoder(_LongError)
# Of a list the first alone: Google's error in response to a stream is a list of one.
_LISTED: Final = msgspec.json.Decoder(msgspec.defstruct("_Listed", [("first", Head)], array_like=True, gc=False))
_OUTCOME: Final = msgspec.json.Decoder(_Outcome)
_EMPTY_OBJECT: Final = re.compile(rb"\{\s*\}")
_TEXT: Final = msgspec.json.Decoder(str | None)


def decode_chat(data: bytes) -> tuple[Head, list[Choice] | None]:
    """Return a response or a chunk with its choices, None where it has no list of them; raises ValueError for what is neither."""
    try:
        return _decoded(data)
    except msgspec.ValidationError:
        if (listed := _listed_error(data)) is None:
            raise
        return listed, None


def _decoded(data: bytes) -> tuple[Head, list[Choice] | None]:
    """Decode a response or a chunk, and of many choices the first."""
    if len(data) <= _SMALL_BYTES:
        try:
            chat = decode_document(data, _CHAT)
        except msgspec.ValidationError:
            head = decode_document(data, _LARGE_CHAT)
            if not _is_empty(head.choices):
                raise
            return head, []
        found = chat.choices
        return chat, found if found is None else [choice for choice in found if choice is not None]
    large = decode_document(data, _LARGE_CHAT)
    if large.choices is ABSENT:
        return large, None
    if _is_empty(large.choices):
        return large, []
    first = _FIRST_CHOICES.decode(large.choices)
    if first is None:
        return large, None
    return large, [choice for choice in msgspec.structs.astuple(first) if choice is not None]


def decode_head(data: bytes) -> Head:
    """Return the fields of a response without choices; raises ValueError for what is none."""
    try:
        return decode_document(data, HEAD)
    except msgspec.ValidationError:
        if (listed := _listed_error(data)) is None:
            raise
        return listed


def message_of(raw: msgspec.Raw) -> Message | None:
    """Return a message or a delta; None where it is no object."""
    try:
        return MESSAGE.decode(raw)
    except msgspec.DecodeError:
        return None


def text_of(raw: msgspec.Raw) -> str | None:
    """Return a string that is not empty; None for anything else."""
    if raw is ABSENT or raw == NULL:
        return None
    try:
        return _TEXT.decode(raw) or None
    except msgspec.DecodeError:
        return None


def error_beside(head: Head) -> object:
    """Return the error beside or instead of the choices; empty ones (`null`, `{}`, `""`) are none, nor are those of success."""
    error = _named(head.error)
    if error or head.base_resp is ABSENT:
        return error
    try:
        # MiniMax's.
        return None if is_well(_OUTCOME.decode(head.base_resp).status_code) else _value(head.base_resp)
    except msgspec.DecodeError:
        return None


def error_within(choice: Choice, message: Message | None, finish_reason: str | None) -> object:
    """Return the error in a choice, in its message or delta, or in its reason to finish."""
    if error := _named(choice.error) or (None if message is None else _named(message.error)):
        return error
    if finish_reason is not None and is_failure(finish_reason):
        reason = finish_reason[:_LONGEST_REASON]
        return {"message": f"The provider ended its response with the reason {reason}.", "type": reason}
    return None


def error_itself(document: bytes) -> object:
    """Return a document without choices that is itself an error: `{"type": "error", ...}`, `{"code": 1301, "msg": ...}`."""
    return _value(msgspec.Raw(document)) if is_error_document(document) else None


def _listed_error(data: bytes) -> Head | None:
    """Return the first document of a list, where it is an error; None for every other."""
    try:
        first: Head = decode_document(data, _LISTED).first  # type: ignore[attr-defined]  # of a class made above
    except msgspec.DecodeError:
        return None
    return None if _named(first.error) is None else first


def _is_empty(choices: msgspec.Raw) -> bool:
    """Whether choices are an object without fields: so do encoders write an empty list that have one type for both."""
    return _EMPTY_OBJECT.fullmatch(choices) is not None


def _named(raw: msgspec.Raw) -> object:
    """Decode a member `error`; None where it is absent, empty, or says that there is no error."""
    if raw is ABSENT or raw == NULL:
        return None
    error = _value(raw)
    return None if names_no_error(error) else error


def _value(raw: msgspec.Raw) -> object:
    """Decode an error; of a very long one only its codes and its message, and one that cannot be read is still one."""
    try:
        if memoryview(raw).nbytes > _MAX_ERROR_BYTES:
            return msgspec.structs.asdict(_LONG_ERROR.decode(raw))
        error = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {"message": "The provider's error cannot be read."}
    # Some servers always send the object, and fill it with nulls.
    return None if isinstance(error, dict) and not any(error.values()) else error
