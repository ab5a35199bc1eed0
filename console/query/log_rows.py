"""Log records as rows: a JSON body taken apart, everything else as it came."""

from typing import Any, Final

import msgspec

from console.query.attribute_values import safe_attributes
from console.query.shapes.traces import LogRow
from console.query.times import to_seconds
from console.store.rows import LogRecord

_SEVERITIES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_PER_SEVERITY: Final = 4
_SHOWN: Final = frozenset({"timestamp", "level", "logger", "message"})
_MAX_NUMBER: Final = _PER_SEVERITY * len(_SEVERITIES)
_decode: Final = msgspec.json.decode


def severity_name(number: int) -> str:
    """Return the name of an OTLP severity number; empty where it is not given or unknown."""
    return _SEVERITIES[(number - 1) // _PER_SEVERITY] if 1 <= number <= _MAX_NUMBER else ""


def severity_number(name: str) -> int:
    """Return the lowest number of a severity; raises ValueError for another name."""
    if name.upper() not in _SEVERITIES:
        raise ValueError(f"severity={name!r} is none of {', '.join(_SEVERITIES)}")
    return _SEVERITIES.index(name.upper()) * _PER_SEVERITY + 1


def fields_of(record: LogRecord) -> dict[str, Any]:
    """Return the fields of a body that is a JSON object or an OTLP map; empty for any other body."""
    body: Any = record.body
    if not record.body_is_json and isinstance(body, str) and body.startswith("{"):
        try:
            body = _decode(body)
        except (msgspec.DecodeError, RecursionError):
            return {}
    return body if isinstance(body, dict) else {}


def log_row(record: LogRecord) -> LogRow:
    """Return the row."""
    fields: dict[str, Any] = {name: value for name, value in fields_of(record).items() if name not in _SHOWN}
    if not isinstance(record.body, dict) and not fields and record.body not in (None, record.message):
        # The message is the begin of it.
        fields = {"body": record.body}
    return LogRow(
        id=str(record.id),
        at=to_seconds(record.time_ns),
        severity=severity_name(record.severity_number) or record.severity_text,
        severity_number=record.severity_number,
        service=record.resource.service_name,
        logger=record.logger,
        message=record.message,
        fields=safe_attributes(fields),
        attributes=safe_attributes(record.attributes),
        trace_id=record.trace_id,
        span_id=record.span_id,
    )
