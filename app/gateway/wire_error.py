"""WIRE ERROR: an error in the form in which the OpenAI API writes it.

Comes in: a `GatewayError`. Goes out: JSON bytes, alone or as the event that ends a stream. It decides no status and sends nothing.
"""

import msgspec

from app.errors import GatewayError
from app.gateway.sse import SseEvent
from app.gateway.upstream_failure import CallerFaultError


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
