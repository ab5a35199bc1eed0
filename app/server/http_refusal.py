"""The response to bytes that are not a request: an error object and the end of the connection."""

from http import HTTPStatus
from typing import Final

import msgspec

from app.gateway.openai.error_body import WireError, WireErrorBody
from app.server.http_head import RequestRefusedError

_TYPES: Final = {
    HTTPStatus.NOT_IMPLEMENTED: "server_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "server_error",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: "server_error",
}


def refusal(error: RequestRefusedError) -> bytes:
    """Return the whole response, in OpenAI's error shape."""
    kind = _TYPES.get(error.status, "invalid_request_error")
    body = msgspec.json.encode(WireErrorBody(WireError(error.message, kind, None, error.code)))
    retry_after = b"retry-after: 1\r\n" if error.status == HTTPStatus.SERVICE_UNAVAILABLE else b""
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n%bconnection: close\r\ncontent-length: %d\r\n\r\n%b"
        % (
            error.status,
            error.status.phrase.encode(),
            retry_after,
            len(body),
            body,
        )
    )


def late_head(seconds: float) -> RequestRefusedError:
    """Return the refusal of a head that took too long."""
    message = f"The request's head did not arrive within {seconds:g} s."
    return RequestRefusedError(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", message)


def no_connection() -> RequestRefusedError:
    """Return the refusal of a request on a connection beyond the bound."""
    message = "The gateway has as many client connections as it admits, and all of them are being served."
    return RequestRefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "overloaded", message)
