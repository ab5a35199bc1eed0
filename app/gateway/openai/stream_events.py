"""The events of a stream that are not chunks: errors by their name, JSON outside of data lines, and one that the end cut short.

Input: events. Output: what they say; the reason of an error is read from any of the envelopes of a refusal. Pure.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from app.gateway.openai.failures import MAX_ERROR_BYTES, UpstreamFailure, failure_of_error_object, failure_of_reason
from app.gateway.openai.provider_reason import ProviderReason, read_reason
from app.gateway.openai.response_shape import (
    Choice,
    Head,
    decode_chat,
    error_beside,
    error_itself,
    error_within,
    message_of,
    text_of,
)
from app.gateway.openai.sse import EventTooLargeError, SseEvent, SseSplitter

END_MARKERS: Final = frozenset({b"[DONE]", b'"[DONE]"'})
NO_CONTENT: Final = frozenset({b"", b"null", b"{}", b"[]", b'""'}) | END_MARKERS

_ERROR_NAMES: Final = (b"error", b"exception")
_UNEXPLAINED: Final = "The provider ended its response with an error event."


def is_chunk_name(name: bytes) -> bool:
    """Whether events of this name are a part of the response."""
    return name in {b"", b"message"} or name.endswith(_ERROR_NAMES)


def named_error(event: SseEvent) -> ProviderReason | None:
    """Read the reason of an event that is an error by its name: `error`, `exception`, AWS's such as `internalServerException`.

    None for every other. A name that says more than that is a code.
    """
    if not event.others or not (name := event.name).endswith(_ERROR_NAMES):
        return None
    data = (event.data or b"").strip()
    reason = ProviderReason() if data in NO_CONTENT else read_reason(data[:MAX_ERROR_BYTES])
    codes = reason.codes if name in _ERROR_NAMES else (*reason.codes, name.decode("utf-8", "replace"))
    return msgspec.structs.replace(reason, message=reason.message or _UNEXPLAINED, codes=codes)


def bare_error(event: SseEvent) -> ProviderReason | None:
    """Return the reason of an error by its name alone, without data that explain it."""
    return named_error(event) if event.others and (event.data or b"").strip() in NO_CONTENT else None


def failure_of(error: object) -> UpstreamFailure:
    """Classify an error of a stream: its reason, or an error object whose reason has not been read yet."""
    if isinstance(error, ProviderReason):
        return failure_of_reason(error, http_status=HTTPStatus.OK)
    return failure_of_error_object(error, http_status=HTTPStatus.OK)


def read_stray(stray: bytes, *, is_late: bool) -> tuple[Head, list[Choice] | None, object]:
    """Read JSON outside of data lines, and the error in it; `is_late`: after the first content what is no document is ignored."""
    try:
        head, choices = decode_chat(stray)
        error = error_beside(head) or (None if choices else error_itself(stray))
    except (ValueError, RecursionError):
        if is_late:
            return Head(), None, None
        reason = read_reason(stray[:MAX_ERROR_BYTES])
        # Such as a list with an error in it.
        return Head(), None, {"message": reason.message, "code": reason.codes[0]} if reason.codes else None
    for choice in choices or ():
        error = error or error_within(choice, message_of(choice.message), text_of(choice.finish_reason))
    return head, choices, error


def cut_event(splitter: SseSplitter) -> list[SseEvent]:
    """Return the event that the end of the body cut short, unless the cut is in the middle of its data."""
    try:
        events = splitter.close()
        for event in events:
            if event.data is not None and event.data.strip() not in NO_CONTENT:
                decode_chat(event.data)
    except (EventTooLargeError, ValueError, RecursionError):
        return []
    return events


def unreadable(event: SseEvent) -> str:
    """Return why an event is not a chunk, as it is logged."""
    is_object = (event.data or b"").lstrip().startswith(b"{")
    return "a chunk that cannot be read" if is_object else "an event whose data is no JSON object"
