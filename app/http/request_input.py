"""Reads the bearer token and the body of a request under `/v1`, within bounds.

A body is held once: as it came, or as it was decoded. A request that is refused here raises a
`GatewayError`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from app.errors import BodyTooLargeError, InvalidApiKeyError, InvalidRequestError, RequestTimeoutError
from app.gateway.cancellation import InterruptedCallError
from app.gateway.capacity.growing_bytes import GrowingBytes
from app.http.content_coding import BodyDecoder
from app.http.header_values import header_values
from otel.instrument.asgi import Receive, Scope

_SCHEME: Final = "bearer"
_MAX_LENGTH_DIGITS: Final = 18


def bearer_secret(scope: Scope) -> str:
    """Return the secret of `Authorization: Bearer <secret>`; raises `InvalidApiKeyError` for anything else, two headers included."""
    values = header_values(scope, b"authorization")
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
    for value in header_values(scope, b"content-length"):
        if len(value) > _MAX_LENGTH_DIGITS or not value.isdigit():
            raise InvalidRequestError("The Content-Length header is not a length.")
        length = int(value)
        if length > max_bytes:
            raise _too_large(max_bytes)
    return length


async def read_body(
    receive: Receive,
    codings: tuple[str, ...],
    *,
    max_bytes: int,
    seconds: float | None,
    hold: Callable[[int], None],
    let_others_run: Callable[[], Awaitable[None]],
) -> bytes:
    """Return the whole body without its codings; `hold` gets its size as it grows, and raises where there is no room.

    Raises `BodyTooLargeError`, `RequestTimeoutError` when it has not arrived within `seconds` (None: it has arrived), `InterruptedCallError`
    when the client leaves, `InvalidRequestError` when it is not in its coding. `let_others_run` is awaited within long decoding.
    """
    if seconds is None and not codings:
        return await _read_body(receive, max_bytes, hold)
    try:
        async with asyncio.timeout(seconds):
            if not codings:
                return await _read_body(receive, max_bytes, hold)
            decoder = BodyDecoder(codings, max_bytes=max_bytes, hold=hold, let_others_run=let_others_run)
            return await _read_coded_body(receive, max_bytes, decoder)
    except TimeoutError:
        raise RequestTimeoutError(f"The request body did not arrive within {seconds:g} s.") from None


async def _read_body(receive: Receive, max_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the whole body, however long it takes."""
    part, more = await _receive_part(receive)
    if not more:
        # Nearly every body comes in one piece.
        _check_size(len(part), max_bytes)
        hold(len(part))
        return part
    body = GrowingBytes()
    while True:
        _check_size(body.size + len(part), max_bytes)
        hold(body.size + len(part))
        body.add(part)
        if not more:
            return body.take()
        part, more = await _receive_part(receive)


async def _read_coded_body(receive: Receive, max_bytes: int, decoder: BodyDecoder) -> bytes:
    """Return the decoded body; of what came nothing is held longer than it takes to decode it."""
    size, more = 0, True
    while more:
        part, more = await _receive_part(receive)
        size += len(part)
        _check_size(size, max_bytes)
        await decoder.add(part)
    return decoder.end()


async def _receive_part(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of the body, and whether more follow."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise InterruptedCallError("client_left")
    return message.get("body", b""), message.get("more_body", False)


def _check_size(size: int, max_bytes: int) -> None:
    """Raise `BodyTooLargeError` where the body is over its bound."""
    if size > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body is over the limit of {max_bytes} bytes.")
