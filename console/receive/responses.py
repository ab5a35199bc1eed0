"""Responses of OTLP/HTTP: a signal's response message, or `google.rpc.Status` with the reason.

Source: the OTLP specification, "OTLP/HTTP Response". Both messages are written by hand: they have
one or two fields.
"""

from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from console.receive.content import Format
from console.store.records import Signal

MEDIA_TYPES: Final[dict[Format, str]] = {"protobuf": "application/x-protobuf", "json": "application/json"}
_REFUSED_FIELD: Final[dict[Signal, str]] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    body: bytes
    media_type: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def accepted(signal: Signal, encoding: Format, refused: int, reason: str) -> Response:
    """Return the response to a request that is stored, with a partial success where items of it were refused."""
    if encoding == "json":
        partial = {"partialSuccess": {_REFUSED_FIELD[signal]: str(refused), "errorMessage": reason}} if refused else {}
        body = msgspec.json.encode(partial)
    elif refused:
        # Export*ServiceResponse.partial_success; in it the number and the reason.
        text = reason.encode()
        partial_success = b"\x08" + _varint(refused) + b"\x12" + _varint(len(text)) + text
        body = b"\x0a" + _varint(len(partial_success)) + partial_success
    else:
        body = b""
    return Response(HTTPStatus.OK, body, MEDIA_TYPES[encoding])


def refused(
    status: HTTPStatus, reason: str, encoding: Format = "protobuf", headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Response:
    """Return the response to a request of which nothing is stored."""
    if encoding == "json":
        return Response(status, msgspec.json.encode({"message": reason}), MEDIA_TYPES["json"], headers)
    text = reason.encode()
    return Response(status, b"\x12" + _varint(len(text)) + text, MEDIA_TYPES["protobuf"], headers)


def overloaded(reason: str, retry_after_seconds: int, encoding: Format = "protobuf") -> Response:
    """Return the response to a request that should be sent again."""
    headers = ((b"retry-after", str(retry_after_seconds).encode()),)
    return refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, encoding, headers)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004  seven bits a byte
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
