"""Encodes a log record as an OTLP `LogRecord`: the bytes of the SDK's encoder in a quarter of its time.

Format: `opentelemetry/proto/logs/v1/logs.proto`.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, TypeAlias

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.trace import TraceFlags

from otel.delivery.encoding.batch import BatchEncoder, EncodedItem, Parts
from otel.delivery.encoding.protobuf import (
    AttributeEncoder,
    any_value,
    delimited,
    pack_fixed32,
    pack_fixed64,
    text_field,
    varint,
)
from otel.logs.fast_logger import FastLogRecord, LogOrigin, OfferLine

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
        id_bytes = record.trace_id.to_bytes(16), record.span_id.to_bytes(8)
        number, text, flags = record.severity_number, record.severity_text, record.trace_flags
        return self.encode_line(record.timestamp, number, text, record.body, flags, id_bytes, record.observed_timestamp)

    def encode_line(  # noqa: PLR0917  keyword arguments cost as much as a field
        self,
        unix_ns: int,
        number: SeverityNumber | None,
        severity_text: str | None,
        line: str,
        flags: int,
        id_bytes: tuple[bytes, bytes],
        observed_ns: int,
    ) -> bytes:
        """Return the message of a line of a span, whose ids are those bytes."""
        body = line.encode()
        key = severity_text, len(body), flags
        shape = self._shapes.get(key)
        if shape is None or shape[0] is not number:
            shape = self._shape(number, *key)
        _, pack, before, after = shape
        of_trace, of_span = id_bytes
        return pack(_TIME, unix_ns, before, body, after, of_trace, _SPAN_ID, of_span, _OBSERVED_TIME, observed_ns)

    def _shape(self, number: SeverityNumber | None, text: str | None, body_size: int, flags: int) -> _Shape:
        """Return what lines of the same severity and length share, from now on from the cache."""
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


class LogBatchEncoder(BatchEncoder[ReadableLogRecord | FastLogRecord]):
    """Encodes batches of log records."""

    def __init__(self) -> None:
        self._logs = LogEncoder()
        super().__init__(self._logs.encode, encode_logs, _parts_of)  # type: ignore[arg-type]  # a fast record has the same shape

    def offer_line_early(self, offer: Callable[[EncodedItem], None]) -> OfferLine:
        """Return what offers a line of a span, encoded; it returns False, and offers nothing, for one that it cannot encode."""
        encode_line, head_of = self._logs.encode_line, self.head_of
        latest: tuple[object, Any] = (None, None)

        def offer_line(  # noqa: PLR0917  as above
            origin: LogOrigin,
            unix_ns: int,
            number: SeverityNumber,
            severity_text: str,
            line: str,
            flags: int,
            id_bytes: tuple[bytes, bytes],
        ) -> bool:
            nonlocal latest
            try:
                body = encode_line(unix_ns, number, severity_text, line, flags, id_bytes, unix_ns)
                if latest[0] is not origin:
                    record = FastLogRecord(origin, unix_ns, unix_ns, 1, 1, TraceFlags(flags), number, severity_text, "")
                    latest = origin, head_of(record)
            except Exception:  # noqa: BLE001  what it raises again as any other record is counted
                return False
            offer((latest[1], body))
            return True

        return offer_line


def make_log_batch_encoder() -> LogBatchEncoder:
    """Return an encoder of batches of log records."""
    return LogBatchEncoder()


def _parts_of(request: Any) -> Parts:
    of_resource = request.resource_logs[0]
    of_scope = of_resource.scope_logs[0]
    return Parts(of_resource, of_scope, of_scope.log_records[0])
