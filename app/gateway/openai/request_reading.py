"""From the bytes of a body to a `CallRequest`, without holding up the event loop.

Input: a body of any shape within its bound. Output: the request, or `InvalidRequestError`. A small
or simple body is read at once. Any other is read in a child process, which reports where the
fields are and how many tokens they may be, so that nothing is scanned again here.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from app.errors import InvalidRequestError, OverloadedError
from app.gateway.capacity.offload import Offload, OffloadError
from app.gateway.json_bounds import is_light
from app.gateway.openai.input_estimate import estimated_input_tokens
from app.gateway.openai.request import CallRequest, Operation, parse_chat, parse_embeddings

_PARSE: Final[Mapping[Operation, Callable[[bytes], CallRequest]]] = MappingProxyType(
    {"chat": parse_chat, "embeddings": parse_embeddings}
)
_SHORT_BYTES: Final = 1_024
_RETRY_AFTER_SECONDS: Final = 1.0


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a body found; long fields are given by their position in it."""

    model: str
    stream: bool
    include_usage: bool
    stream_options: dict[str, bytes] | None
    fields: dict[str, bytes | tuple[int, int]]
    estimated_input_tokens: int | None


async def read_request(body: bytes, operation: Operation, work: Offload, *, owner: str) -> CallRequest:
    """Return the request; raises `InvalidRequestError`, or `OverloadedError` where reading it took too long."""
    if is_light(body):
        return _PARSE[operation](body)
    try:
        summary = await work.run("requests", owner, summarize, body, operation)
    except OffloadError as error:
        if error.reason == "memory":
            raise InvalidRequestError("The request body has too many values.") from None
        raise OverloadedError(
            "The request body could not be read in time.", retry_after_seconds=_RETRY_AFTER_SECONDS
        ) from None
    view = memoryview(body)
    return CallRequest(
        operation=operation,
        model=summary.model,
        stream=summary.stream,
        include_usage=summary.include_usage,
        body=body,
        fields={
            name: msgspec.Raw(found if isinstance(found, bytes) else view[found[0] : found[1]])
            for name, found in summary.fields.items()
        },
        stream_options=None
        if summary.stream_options is None
        else {name: msgspec.Raw(value) for name, value in summary.stream_options.items()},
        estimated_input_tokens=summary.estimated_input_tokens,
    )


def summarize(body: bytes, operation: Operation) -> RequestSummary:
    """Read a body; runs in the child process."""
    request = _PARSE[operation](body)
    options = request.stream_options
    return RequestSummary(
        model=request.model,
        stream=request.stream,
        include_usage=request.include_usage,
        stream_options=None if options is None else {name: bytes(raw) for name, raw in options.items()},
        fields={name: _position(body, bytes(raw)) for name, raw in request.fields.items()},
        estimated_input_tokens=_estimate(request),
    )


def _estimate(request: CallRequest) -> int | None:
    """Count the input, which would hold up the event loop; None where the process has too little memory left."""
    try:
        return estimated_input_tokens(request)
    except MemoryError:
        return None


def _position(body: bytes, value: bytes) -> bytes | tuple[int, int]:
    """Return a short value itself, and of a long one where its bytes begin and end; if they occur twice, either position will do."""
    if len(value) <= _SHORT_BYTES:
        return value
    start = body.find(value)
    return value if start < 0 else (start, start + len(value))
