"""The response to bytes that become no request: an error object and the end of the connection."""

from http import HTTPStatus
from typing import Final

import msgspec

from app.gateway.openai.error_body import WireError, WireErrorBody
from app.server.http_head import RequestRefusedError

_TYPES: Final = {HTTPStatus.NOT_IMPLEMENTED: "server_error", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "server_error"}


def refusal(error: RequestRefusedError) -> bytes:
    """Return the whole response, in OpenAI's error shape."""
    kind = _TYPES.get(error.status, "invalid_request_error")
    body = msgspec.json.encode(WireErrorBody(WireError(error.message, kind, None, error.code)))
    return b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (
        error.status,
        error.status.phrase.encode(),
        len(body),
        body,
    )


def late_head(seconds: float) -> RequestRefusedError:
    """Return the refusal of a head that took too long."""
    message = f"The request's head did not arrive within {seconds:g} s."
    return RequestRefusedError(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", message)
