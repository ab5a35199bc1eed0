"""Reads the bearer token and the body of a request under `/v1`, within bounds.

It decodes nothing; a request that it refuses raises a `GatewayError`.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from app.errors import BodyTooLargeError, InvalidApiKeyError, InvalidRequestError, RequestTimeoutError
from app.gateway.cancellation import InterruptedCallError
from app.gateway.capacity.offload import join
from otel.instrument.asgi import Receive, Scope

_SCHEME: Final = "bearer"
_MAX_LENGTH_DIGITS: Final = 18


def bearer_secret(scope: Scope) -> str:
    """Return the secret of `Authorization: Bearer <secret>`; raises `InvalidApiKeyError` for anything else, two headers included."""
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if not values:
        raise InvalidApiKeyError("No API key provided: send it as 'Authorization: Bearer YOUR_KEY'.")
    scheme, _, secret = values[0].decode("latin-1").partition(" ")
    secret = secret.strip()
    if len(values) > 1 or scheme.lower() != _SCHEME or not secret:
        raise InvalidApiKeyError("The Authorization header must be 'Bearer YOUR_KEY'.")
    return secret


def declared_length(scope: Scope, max_bytes: int) -> int:
    """Return the declared size of the body, 0 where none is declared; raises `BodyTooLargeError` where it is over the limit."""
    length = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            if len(value) > _MAX_LENGTH_DIGITS or not value.isdigit():
                raise InvalidRequestError("The Content-Length header is not a length.")
            length = int(value)
            if length > max_bytes:
                raise _too_large(max_bytes)
    return length


async def read_body(receive: Receive, *, max_bytes: int, seconds: float, hold: Callable[[int], None]) -> bytes:
    """Return the whole body; `hold` gets its size as it grows, and raises where there is no room.

    Raises `BodyTooLargeError`, `RequestTimeoutError` when it has not arrived within `seconds`, `InterruptedCallError` when the client leaves.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _read_body(receive, max_bytes, hold)
    except TimeoutError:
        raise RequestTimeoutError(f"The request body did not arrive within {seconds:g} s.") from None


async def _read_body(receive: Receive, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the whole body, however long it takes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InterruptedCallError("client_left")
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        hold(size)
        parts.append(part)
        if not message.get("more_body", False):
            return await join(parts)


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body is over the limit of {max_bytes} bytes.")
