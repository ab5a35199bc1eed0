"""Encodes a log record as an OTLP `LogRecord`: the bytes of the SDK's encoder in a quarter of its time.

Format: `opentelemetry/proto/logs/v1/logs.proto`.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, TypeAlias

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import ReadableLogRecord

from otel.delivery.encoding.batch import BatchEncoder, Parts
from otel.delivery.encoding.protobuf import (
    AttributeEncoder,
    any_value,
    delimited,
    pack_fixed32,
    pack_fixed64,
    text_field,
    varint,
)
from otel.logs.fast_logger import FastLogRecord

_TIME: Final = b"\x09"
_SEVERITY_NUMBER: Final = b"\x10"
_SEVERITY_TEXT: Final = b"\x1a"
_BODY: Final = b"\x2a"
_ATTRIBUTES: Final = b"\x32"
_DROPPED_ATTRIBUTES: Final = b"\x38"
_FLAGS: Final = b"\x45"
_TRACE_ID: Final = b"\x4a\x10"
_SPAN_ID: Final = b"\x52\x08"
_OBSERVED_TIME: Final = b"\x59"
_EVENT_NAME: Final = b"\x62"
_TEXT: Final = b"\x0a"
_MAX_SHAPES: Final = 4_096
_Shape: TypeAlias = tuple[SeverityNumber | None, Callable[..., bytes], bytes, bytes]
"""Severity; what packs a record; the bytes between time and text, and those between text and trace id."""


class LogEncoder:
    """Encodes single records. Safe from any thread."""

    def __init__(self) -> None:
        self._attributes = AttributeEncoder(_ATTRIBUTES)
        self._shapes: dict[tuple[str | None, int, int], _Shape] = {}

    def encode(self, item: ReadableLogRecord | FastLogRecord) -> bytes:
        """Return the record's message; raises `UnsupportedValueError`, or what a field of another type raises."""
        if type(item) is FastLogRecord and item.trace_id:
            return self._encode_line(item)
        record = item.log_record
        severity = record.severity_number
        attributes = dict(record.attributes or {})
        return b"".join(
            (
                _TIME + pack_fixed64(record.timestamp) if record.timestamp else b"",
                _SEVERITY_NUMBER + varint(severity.value) if severity is not None and severity.value else b"",
                text_field(_SEVERITY_TEXT, record.severity_text),
                delimited(_BODY, b"" if record.body is None else any_value(record.body)),
                self._attributes.encode(attributes) if attributes else b"",
                _DROPPED_ATTRIBUTES + varint(item.dropped_attributes) if item.dropped_attributes else b"",
                _FLAGS + pack_fixed32(record.trace_flags) if record.trace_flags else b"",
                _TRACE_ID + record.trace_id.to_bytes(16, "big") if record.trace_id else b"",
                _SPAN_ID + record.span_id.to_bytes(8, "big") if record.span_id else b"",
                _OBSERVED_TIME + pack_fixed64(record.observed_timestamp) if record.observed_timestamp else b"",
                text_field(_EVENT_NAME, record.event_name),
            )
        )

    def _encode_line(self, record: FastLogRecord) -> bytes:
        """Return the message of a line of a span: all of its fields are set."""
        body, time_ns = record.body.encode(), record.timestamp
        key = record.severity_text, len(body), record.trace_flags
        shape = self._shapes.get(key)
        if shape is None or shape[0] is not record.severity_number:
            shape = self._shape(record, len(body))
        _, pack, before, after = shape
        of_trace, of_span = record.id_bytes or (record.trace_id.to_bytes(16), record.span_id.to_bytes(8))
        observed_ns = record.observed_timestamp
        return pack(_TIME, time_ns, before, body, after, of_trace, _SPAN_ID, of_span, _OBSERVED_TIME, observed_ns)

    def _shape(self, record: FastLogRecord, body_size: int) -> _Shape:
        """Return what lines of the same severity and length share, from now on from the cache."""
        number, text, flags = record.severity_number, record.severity_text, record.trace_flags
        severity = _SEVERITY_NUMBER + varint(number.value) if number is not None and number.value else b""
        text_size = varint(body_size)
        value_size = varint(1 + len(text_size) + body_size)
        before = b"".join((severity, text_field(_SEVERITY_TEXT, text), _BODY, value_size, _TEXT, text_size))
        after = (_FLAGS + pack_fixed32(flags) if flags else b"") + _TRACE_ID
        pack = Struct(f"<sQ{len(before)}s{body_size}s{len(after)}s16s2s8ssQ").pack
        shape = (number, pack, before, after)
        if len(self._shapes) < _MAX_SHAPES:
            self._shapes[text, body_size, flags] = shape
        return shape


def make_log_batch_encoder() -> BatchEncoder[ReadableLogRecord | FastLogRecord]:
    """Return an encoder of batches of log records."""
    return BatchEncoder(LogEncoder().encode, encode_logs, _parts_of)  # type: ignore[arg-type]  # a fast record has the same shape


def _parts_of(request: Any) -> Parts:
    of_resource = request.resource_logs[0]
    of_scope = of_resource.scope_logs[0]
    return Parts(of_resource, of_scope, of_scope.log_records[0])
