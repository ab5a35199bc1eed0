"""Maps exceptions to responses: OpenAI's error shape under `/v1`, problem+json elsewhere.

A traceback goes to the log, never to the client. A 5xx is recorded as an `ExceptionMapped` of its
request.
"""

import logging
import re
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from app.gateway.openai.error_body import WireError, WireErrorBody
from app.http.responses import send_json
from otel.events import ExceptionMapped
from otel.instrument.asgi import Scope, Send, request_scope

_LOGGER: Final = logging.getLogger("gatewayz.app")
_API: Final = "/v1"
_OF_THE_API: Final = re.compile(
    r"/+(?:v1/+)*(?:(?:chat|audio|images|beta)/|(?:completions|embeddings|models|responses|moderations|files|batches)(?:/|$))"
)
"""Paths that a client of the OpenAI API requests with a base URL that does not end in `/v1`."""

_NO_V1: Final = "Unknown request URL: a client's base URL must end in /v1, as in http://HOST:PORT/v1."
_NOT_SERVED: Final = re.compile(r"/v1/(?:responses|completions|messages)(?:/|$)")
"""Other APIs of a language model, which clients use unless configured for chat completions."""

_CHAT_ONLY: Final = (
    "Unknown request URL: this API is not served. Set the client to chat completions (POST /v1/chat/completions), as in `.chat()` of"
    " @ai-sdk/openai or OpenAIChatModel of pydantic-ai."
)
_MESSAGES: Final = {
    404: "Unknown request URL. See GET /v1/models, POST /v1/chat/completions and POST /v1/embeddings; a client's base URL ends in /v1.",
    405: "Method not allowed for this URL.",
    500: "The gateway failed to serve the request. The trace id in x-trace-id finds the reason in its logs.",
}
_NO_SUCH_PATH: Final = (
    "There is no such path: GET / lists all. The API is below /v1, as in POST /v1/chat/completions; health is GET /health/ready,"
    " metrics are GET /metrics."
)
_CODES: Final = {404: "unknown_url", 405: "method_not_allowed", 500: "internal_error"}


def exception_handlers() -> ExceptionHandlersMap:
    """Return the application's handlers."""
    return {HTTPException: http_exception_response, Exception: exception_response}


def http_exception_response(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Return the response to an error of routing or of the framework, which has its own status."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return exception_response(request, error)
    return _response(request, error.status_code, dict(error.headers or {}))


def exception_response(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Return the response to an unexpected exception."""
    _report(cast("Scope", request.scope), error)
    return _response(request, HTTPStatus.INTERNAL_SERVER_ERROR, {})


async def send_failure(scope: Scope, send: Send, error: Exception) -> None:
    """Send the response to an unexpected exception in a route of the API that the framework does not serve."""
    _report(scope, error)
    body, _ = _content(scope["path"], HTTPStatus.INTERNAL_SERVER_ERROR)
    await send_json(send, HTTPStatus.INTERNAL_SERVER_ERROR, body, [])


def _report(scope: Scope, error: Exception) -> None:
    request_scope(scope).record(ExceptionMapped(exception_type=type(error).__name__))
    _LOGGER.error("a request failed unexpectedly", exc_info=error)


def _response(request: Request[Any, Any, Any], status_code: int, headers: dict[str, str]) -> Response[bytes]:
    """Return the framework's response to an error."""
    body, media_type = _content(request.scope["path"], status_code)
    return Response(body, status_code=status_code, media_type=media_type, headers=headers)


def _content(path: str, status_code: int) -> tuple[bytes, str]:
    """Write the error in the shape that its path promises; return its media type too."""
    status = HTTPStatus(status_code)
    message = _MESSAGES.get(status_code, status.phrase)
    is_api = path == _API or path.startswith(f"{_API}/")
    if status is HTTPStatus.NOT_FOUND and not is_api and _OF_THE_API.match(path):
        is_api, message = True, _NO_V1
    elif status is HTTPStatus.NOT_FOUND and _NOT_SERVED.match(path):
        message = _CHAT_ONLY
    if is_api:
        kind = "server_error" if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
        error = WireErrorBody(WireError(message, kind, None, _CODES.get(status_code)))
        return msgspec.json.encode(error), "application/json"
    problem = {"type": "about:blank", "title": status.phrase, "status": status_code}
    if status is HTTPStatus.NOT_FOUND:
        problem["detail"] = _NO_SUCH_PATH
    return msgspec.json.encode(problem), "application/problem+json"
