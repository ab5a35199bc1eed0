"""A log request's messages become records of log records.

Source: `opentelemetry/proto/logs/v1/logs.proto`. A text body that is a JSON object, as the
gateway's are, gives the message, the logger and, for the line of a request, its columns.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from console.receive.attributes import attributes_of, value_of
from console.receive.origin import origins
from console.receive.promoted import text
from console.receive.refusals import Refusals
from console.receive.request_fields import REQUEST_LOGGER, request_columns
from console.receive.times import MAX_NS
from console.store.records import LogGroup, LogRecordRecord
from console.store.values import EMPTY, Value, decode, encode

_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MESSAGE_CHARS: Final = 500
_WORDS_CHARS: Final = 4_096
_MAX_JSON_CHARS: Final = 65_536
_MAX_SEVERITY: Final = 24
_NOT_SEARCHED: Final = frozenset({"timestamp", "level", "trace_id", "span_id"})


def log_groups(request: Any, now_ns: int, refusals: Refusals) -> list[LogGroup]:
    """Return the records of an `ExportLogsServiceRequest`; invalid records go to `refusals`."""
    groups = []
    for origin, scoped in origins(request.resource_logs, "scope_logs"):
        records = [
            record
            for message in scoped.log_records
            if (record := _record(message, origin.scope.name, now_ns, refusals)) is not None
        ]
        if records:
            groups.append(LogGroup(origin, records))
    return groups


def _record(message: Any, scope_name: str, now_ns: int, refusals: Refusals) -> LogRecordRecord | None:
    observed_ns = message.observed_time_unix_nano
    time_ns = message.time_unix_nano or observed_ns or now_ns
    if time_ns > MAX_NS or observed_ns > MAX_NS:
        refusals.refuse("a log record has a time after the year 2262")
        return None
    body = value_of(message.body)
    attributes = attributes_of(message.attributes)
    fields = _fields(body)
    trace_id = _identifier(message.trace_id, _TRACE_ID_BYTES)
    logger = text(fields.get("logger")) or scope_name or None
    is_json = body is not None and not isinstance(body, str)
    stored = encode(body) if is_json else body
    severity = message.severity_number
    return LogRecordRecord(
        (
            time_ns,
            observed_ns,
            severity if 0 <= severity <= _MAX_SEVERITY else 0,
            message.severity_text,
            trace_id,
            _identifier(message.span_id, _SPAN_ID_BYTES),
            message.flags,
            logger,
            message.event_name,
            (text(fields.get("message")) or stored or "")[:_MESSAGE_CHARS],  # type: ignore[index]  # a text
            stored,
            int(is_json),
            encode(attributes) if attributes else EMPTY,
            message.dropped_attributes_count,
        ),
        _words(fields or {"": body}, attributes),
        request_columns(time_ns, trace_id, fields) if logger == REQUEST_LOGGER and "status" in fields else None,
    )


def _identifier(value: bytes, length: int) -> bytes | None:
    """Return an id that is valid, else None: a record without a trace is one, too."""
    return value if len(value) == length and any(value) else None


def _fields(body: Value) -> Mapping[str, Value]:
    """Return the fields of a structured body, or of a text that is a JSON object."""
    if isinstance(body, dict):
        return body
    if isinstance(body, str) and body.startswith("{") and len(body) <= _MAX_JSON_CHARS:
        try:
            found = decode(body)
        except (msgspec.DecodeError, RecursionError):
            return {}
        if isinstance(found, dict):
            return found
    return {}


def _words(fields: Mapping[str, Value], attributes: Mapping[str, Value]) -> str:
    """Return the texts of a record, for full-text search."""
    return " ".join((*_texts(fields), *_texts(attributes)))[:_WORDS_CHARS]


def _texts(values: Mapping[str, Value]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, str):
            if key not in _NOT_SEARCHED:
                yield value
        elif isinstance(value, (dict, list)):
            yield encode(value)
