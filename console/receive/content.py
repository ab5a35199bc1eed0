"""The content of a request: unpacked within a bound, then parsed as protobuf or as JSON."""

import zlib
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no type information
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from console.receive.message_count import check_message_count
from console.receive.nested_count import check_nested_count, nested_fields
from console.receive.otlp_json import parse_json
from console.store.records import Signal
from console.store.work import MalformedError, TooLargeError

Format: TypeAlias = Literal["protobuf", "json"]

_REQUESTS: Final[dict[Signal, type[Any]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_NESTED: Final = {signal: nested_fields(request.DESCRIPTOR) for signal, request in _REQUESTS.items()}
_MAX_VALUES: Final = 1_000_000
"""Attributes, elements of lists, events and so on. 20 000 spans may have 50 of them each."""

_GZIP: Final = 31
"""zlib's window bits for a gzip header."""
_DIGEST_BYTES: Final = 16


class Content(NamedTuple):
    """What came over the network, and how it is encoded."""

    signal: Signal
    body: bytes
    is_gzip: bool
    format: Format


def unpack(content: Content, max_bytes: int) -> bytes:
    """Return the decoded body; raises `MalformedError` where it is no gzip or larger than the bound."""
    if not content.is_gzip:
        return content.body
    found = bytearray()
    rest = content.body
    while rest:
        decompressor = zlib.decompressobj(_GZIP)
        try:
            found += decompressor.decompress(rest, max_bytes - len(found) + 1)
        except zlib.error as error:
            raise MalformedError(f"the body is not gzip: {error}") from None
        if len(found) > max_bytes:
            raise TooLargeError(f"the body has more than {max_bytes} bytes when decompressed; send smaller batches")
        if not decompressor.eof:
            raise MalformedError("the gzip body ends early")
        rest = decompressor.unused_data
    return bytes(found)


def parse(signal: Signal, body: bytes, encoding: Format, most: int) -> Any:
    """Return the request's message; raises `MalformedError`, which `TooLargeError` is.

    `most`: of messages down to spans, records and points.
    """
    if encoding == "json":
        return parse_json(_REQUESTS[signal], signal, body, most)
    check_nested_count(_NESTED[signal], body, check_message_count(signal, body, most), _MAX_VALUES)
    try:
        return _REQUESTS[signal].FromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is no {_REQUESTS[signal].__name__}: {error}") from None


def digest(signal: Signal, body: bytes) -> bytes:
    """Return what identifies a body."""
    return blake2b(body, digest_size=_DIGEST_BYTES, person=signal.encode()).digest()
