"""Sends the gateway's JSON responses and event streams as ASGI messages.

Litestar's response classes are not used on this path: they cost a multiple, and their streams do
not end deterministically when a client leaves.
"""

import math
from http import HTTPStatus
from typing import Final, TypeAlias

from app.errors import GatewayError, UnreadableBodyError, UnsupportedCodingError
from app.gateway.openai.error_body import error_body
from app.gateway.openai.failures import CallerFaultError
from app.gateway.ports import LimitDecision
from app.gateway.tracebacks import drop_tracebacks
from app.http.content_coding import ACCEPTED
from otel.instrument.asgi import Send

Headers: TypeAlias = list[tuple[bytes, bytes]]

PROVIDER_HEADER: Final = b"x-gatewayz-provider"
CACHE_HEADER: Final = b"x-gatewayz-cache"

_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # A reverse proxy (nginx) must not buffer the stream.
    (b"x-accel-buffering", b"no"),
]
_MS_PER_SECOND: Final = 1_000


async def send_json(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a JSON response."""
    head = [_JSON, (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_error(send: Send, error: GatewayError, headers: Headers) -> None:
    """Send an error in OpenAI's shape; what the error holds of the request is freed."""
    drop_tracebacks(error)
    await send_json(send, status_of(error), error_body(error), [*headers, *error_headers(error)])


class StreamSender:
    """Sends one event stream; the head goes out with the first piece, and until then an error can still have a status."""

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send = send
        self._headers = headers
        self.started = False

    def add_header(self, name: bytes, value: bytes) -> None:
        """Add a header, unless the head has already gone out."""
        if not self.started:
            self._headers = [*self._headers, (name, value)]

    async def write(self, piece: bytes, *, last: bool = False) -> None:
        """Send a piece; waits while the client is slow."""
        if not self.started:
            self.started = True
            await self._send(
                {"type": "http.response.start", "status": HTTPStatus.OK, "headers": [*_STREAM, *self._headers]}
            )
        await self._send({"type": "http.response.body", "body": piece, "more_body": not last})


def status_of(error: GatewayError) -> int:
    """Return the HTTP status of an error."""
    return error.response_status if isinstance(error, CallerFaultError) else error.status


def error_headers(error: GatewayError) -> Headers:
    """Return the headers of an error."""
    if isinstance(error, UnsupportedCodingError):
        return [(b"accept-encoding", ACCEPTED)]
    if isinstance(error, UnreadableBodyError):
        return [(b"connection", b"close")]
    status = status_of(error)
    if status == HTTPStatus.UNAUTHORIZED:
        return [(b"www-authenticate", b'Bearer realm="api"')]
    if status not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return []
    # Whole seconds, rounded up: a client that waits so long must not be refused again.
    return [(b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_seconds or 1.0)))]


def limit_headers(decision: LimitDecision) -> Headers:
    """Return the rate-limit headers; what is unlimited has none."""
    if decision.limit_requests is None and decision.limit_tokens is None:
        return []
    pairs = (
        (b"x-ratelimit-limit-requests", decision.limit_requests),
        (b"x-ratelimit-remaining-requests", decision.remaining_requests),
        (b"x-ratelimit-limit-tokens", decision.limit_tokens),
        (b"x-ratelimit-remaining-tokens", decision.remaining_tokens),
    )
    headers = [(name, b"%d" % value) for name, value in pairs if value is not None]
    resets = (
        (b"x-ratelimit-reset-requests", decision.reset_requests_seconds),
        (b"x-ratelimit-reset-tokens", decision.reset_tokens_seconds),
    )
    return headers + [(name, duration_text(seconds).encode()) for name, seconds in resets if seconds is not None]


def duration_text(seconds: float) -> str:
    """Return a duration as OpenAI writes it: `6m0s`, `1s`, `120ms`; rounded up, never 0 for what is not over."""
    milliseconds = math.ceil(seconds * 1_000)
    if milliseconds < _MS_PER_SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
