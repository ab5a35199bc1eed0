"""A response that is not streamed, checked just enough to be passed on byte for byte.

Input: the body of a 2xx response. Output: what accounting needs of it, and the provider's
failure where the response is an error inside a 2xx. A pure function of bytes. Only the fields that
are read become objects, whatever the size of the body.
"""

import re
from http import HTTPStatus
from typing import Final

import msgspec

from app.gateway.openai.chunks import StreamChunks
from app.gateway.openai.failures import UpstreamFailure, failure_of_error_object
from app.gateway.openai.request import Operation
from app.gateway.openai.response_shape import (
    Choice,
    Head,
    decode_chat,
    decode_head,
    error_beside,
    error_itself,
    error_within,
    message_of,
    text_of,
)
from app.gateway.openai.text_units import ABSENT, message_units
from app.gateway.openai.usage import ReportedUsage, UsageReader
from app.gateway.openai.usage_places import usages_of
from app.gateway.openai.usual_completion import read_usual_completion

_LIST: Final = re.compile(rb"\[\s*[^\s\]]")
_STREAM: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_MOST_STREAM_BYTES: Final = 256 * 1024


class ParsedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What accounting reads of a response. `failure` is set where it is an error; its `usage` counts all the same."""

    usage: ReportedUsage | None
    output_units: int = 0
    choices: int = 1
    response_id: str | None = None
    response_model: str | None = None
    finish_reason: str | None = None
    failure: UpstreamFailure | None = None


def read_response(body: bytes, operation: Operation) -> ParsedResponse:
    """Check a response and read it; raises `UpstreamFailure` where it is not the wire format."""
    try:
        return _read_embeddings(body) if operation == "embeddings" else _read_chat(body)
    except (ValueError, RecursionError) as error:
        if _STREAM.match(body) is not None:
            return _read_stream(body)
        reason = (
            str(error)
            if isinstance(error, _NotAResponseError)
            else "the body is not the JSON of a response"
            if body
            else "the body is empty"
        )
        raise UpstreamFailure("bad_response", http_status=HTTPStatus.OK, reason=reason) from None


class _NotAResponseError(ValueError):
    """A document that is not a response; its text is the reason."""


def _read_stream(body: bytes) -> ParsedResponse:
    """Read a stream that was not requested: it is not a response, but may report usage and the provider's error."""
    chunks = StreamChunks(include_usage=True, choices=1, max_event_bytes=_MOST_STREAM_BYTES)
    chunks.feed(body[:_MOST_STREAM_BYTES])
    failure = chunks.failure
    if failure is None or failure.error is None:
        failure = UpstreamFailure(
            "bad_response", http_status=HTTPStatus.OK, reason="an event stream instead of a JSON document"
        )
    return ParsedResponse(usage=chunks.usage.read(), failure=failure)


def _read_chat(body: bytes) -> ParsedResponse:
    """Read a chat completion; raises ValueError for anything else."""
    usual = read_usual_completion(body)
    if usual is not None and (reported := usual.reported) is not None:
        return ParsedResponse(
            usage=reported,
            output_units=usual.units,
            response_id=usual.id or None,
            response_model=usual.model or None,
            finish_reason=usual.choices[0].finish_reason or None,
        )
    head, choices = decode_chat(body)
    error = error_beside(head) or (None if choices else error_itself(body))
    units, finish_reason = 0, None
    for choice in choices or ():
        message = message_of(choice.message)
        if message is not None:
            units += message_units(message)
        reason = text_of(choice.finish_reason)
        error = error or error_within(choice, message, reason)
        finish_reason = finish_reason or reason
    if not error and not choices:
        raise _NotAResponseError("no choices")
    return _response(head, choices, error, units, finish_reason)


def _read_embeddings(body: bytes) -> ParsedResponse:
    """Read a list of embeddings; raises ValueError for anything else."""
    head = decode_head(body)
    error = error_beside(head) or error_itself(body)
    if not error and (head.data is ABSENT or _LIST.match(memoryview(head.data)) is None):
        raise _NotAResponseError("no data")
    return _response(head, None, error)


def _response(
    head: Head, choices: list[Choice] | None, error: object, units: int = 0, finish_reason: str | None = None
) -> ParsedResponse:
    """Collect what was read."""
    usage = UsageReader()
    for raw, choice in usages_of(head, choices):
        usage.add(raw, choice)
    return ParsedResponse(
        usage=usage.read(),
        output_units=units,
        choices=len(choices or ()) or 1,
        response_id=text_of(head.id),
        response_model=text_of(head.model),
        finish_reason=finish_reason,
        failure=failure_of_error_object(error, http_status=HTTPStatus.OK) if error else None,
    )
