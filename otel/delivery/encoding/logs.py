"""Encodes a log record as an OTLP `LogRecord`: the bytes of the SDK's encoder in a quarter of its time.

Format: `opentelemetry/proto/logs/v1/logs.proto`.
"""

from struct import Struct
from typing import Any, Final

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
_pack_time: Final = Struct("<sQ").pack
_pack_ids: Final = Struct("<2s16s2s8ssQ").pack
_NO_SEVERITY: Final = (object(), b"")
_MAX_SEVERITIES: Final = 100


class LogEncoder:
    """Encodes single records. Safe from any thread."""

    def __init__(self) -> None:
        self._attributes = AttributeEncoder(_ATTRIBUTES)
        self._severities: dict[str | None, tuple[SeverityNumber | None, bytes]] = {}

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
        number, severity = self._severities.get(record.severity_text, _NO_SEVERITY)
        if number is not record.severity_number:
            severity = self._severity(record)
        body, flags = record.body.encode(), record.trace_flags
        text_size = varint(len(body))
        return b"".join(
            (
                _pack_time(_TIME, record.timestamp),
                severity,
                _BODY,
                varint(1 + len(text_size) + len(body)),
                _TEXT,
                text_size,
                body,
                _FLAGS + pack_fixed32(flags) if flags else b"",
                _pack_ids(
                    _TRACE_ID,
                    record.trace_id.to_bytes(16),
                    _SPAN_ID,
                    record.span_id.to_bytes(8),
                    _OBSERVED_TIME,
                    record.observed_timestamp,
                ),
            )
        )

    def _severity(self, record: FastLogRecord) -> bytes:
        """Return the fields of the severity, from now on from the cache: there are six."""
        number, text = record.severity_number, record.severity_text
        encoded = _SEVERITY_NUMBER + varint(number.value) if number is not None and number.value else b""
        encoded += text_field(_SEVERITY_TEXT, text)
        if len(self._severities) < _MAX_SEVERITIES:
            self._severities[text] = number, encoded
        return encoded


def make_log_batch_encoder() -> BatchEncoder[ReadableLogRecord | FastLogRecord]:
    """Return an encoder of batches of log records."""
    return BatchEncoder(LogEncoder().encode, encode_logs, _parts_of)  # type: ignore[arg-type]  # a fast record has the same shape


def _parts_of(request: Any) -> Parts:
    of_resource = request.resource_logs[0]
    of_scope = of_resource.scope_logs[0]
    return Parts(of_resource, of_scope, of_scope.log_records[0])
