"""An error in the form in which the OpenAI API writes it.

Input: a `GatewayError`. Output: JSON bytes, alone or as the event that ends a stream. It
decides no status and sends nothing.
"""

import msgspec

from app.errors import GatewayError
from app.gateway.openai.caller_error import error_of_broken_stream
from app.gateway.openai.failures import CallerFaultError, UpstreamFailure
from app.gateway.openai.provider_reason import Scrub, error_json
from app.gateway.openai.sse import SseEvent


class WireError(msgspec.Struct, frozen=True):
    """The object under `error`."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class WireErrorBody(msgspec.Struct, frozen=True):
    """The whole body."""

    error: WireError


def error_body(error: GatewayError) -> bytes:
    """Return the JSON of an error; a provider's own reason is in the one that blames the caller."""
    if isinstance(error, CallerFaultError):
        return error.body
    return msgspec.json.encode(WireErrorBody(WireError(error.message, error.type, error.param, error.code)))


def error_event(error: GatewayError) -> bytes:
    """Return the event with which a stream ends in an error; the official SDKs raise on it."""
    return SseEvent(error_body(error)).encode()


def broken_stream_event(failure: UpstreamFailure, scrub: Scrub) -> bytes:
    """Return the event that ends a stream after its first byte: with the provider's own reason where it gave one."""
    error = error_of_broken_stream(failure)
    if failure.error is None:
        return error_event(error)
    body = error_json(
        failure.error,
        default_message=error.message,
        default_type=error.type,
        default_code=error.code or error.type,
        scrub=scrub,
    )
    return SseEvent(body).encode()
