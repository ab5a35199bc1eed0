"""Renders each log record as one JSON object and sends it to stdout and by OTLP.

The object is the body of the OTLP log record, whose trace and span ids are OTLP fields; the line on
stdout has both ids added. Secrets are redacted from each value before encoding. A field of the body
is not repeated as an attribute, because Loki's `| json` would show it twice. `StdlibHandler` brings
the records of the standard library's loggers.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from otel.logs.fast_logger import FastLogger
from otel.logs.line_template import Line, LineTemplate
from otel.redaction import REDACTED, KnownSecrets, is_secret_name
from otel.traces.context import TracedContext
from otel.traces.fast_span import FastSpan

_NANOSECONDS: Final = 1_000_000_000
_SEVERITIES: Final = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
_STANDARD_RECORD_KEYS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}
_RESERVED_KEYS: Final = frozenset({"timestamp", "level", "logger", "message", "trace_id", "span_id"})
_MAX_TEXT: Final = 8_192
_MAX_READ: Final = 16_384
_EXCEPTION: Final = "exception"
_NUMBERS: Final = frozenset({bool, int, float})
_NO_SECRETS: Final = KnownSecrets()
_QUOTES_CALLERS: Final = ("opentelemetry.trace", "opentelemetry.baggage")
"""These loggers quote a malformed `tracestate` or `baggage`, which is a caller's free text."""

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}

FieldValue = str | int | float | bool | None


class LogWriter:
    """Renders and writes log lines. Safe from any thread; never raises.

    `write_line` takes the stdout form of lines at `stdout_level` and above, `otlp` takes every
    record. `unix_ns` is the wall clock in nanoseconds.
    """

    def __init__(
        self,
        otlp: Logger | None,
        write_line: Callable[[str], None] | None,
        unix_ns: Callable[[], int],
        *,
        stdout_level: str = "debug",
        secrets: KnownSecrets = _NO_SECRETS,
    ) -> None:
        self._otlp = otlp
        self._write_line = write_line
        self._unix_ns = unix_ns
        self._on_stdout = frozenset(name for name, rank in _LEVELS.items() if rank >= _LEVELS[stdout_level])
        self._redact = secrets.redact
        self._encode = msgspec.json.Encoder(enc_hook=_shown).encode
        self._second: tuple[int, str] = (-1, "")

    def emit(
        self,
        level: str,
        logger: str,
        message: str,
        fields: Mapping[str, FieldValue],
        *,
        context: Context | None = None,
        unix_ns: int | None = None,
        trusted: bool = False,
    ) -> None:
        """Write one line.

        `trusted` lines hold only bounded values and skip redaction; fields that are None are
        omitted.
        """
        now_ns = self._unix_ns() if unix_ns is None else unix_ns
        line: dict[str, FieldValue] = {
            "timestamp": self._rfc3339(now_ns),
            "level": level,
            "logger": logger,
            "message": message,
        }
        line.update({key: value for key, value in fields.items() if value is not None and key not in _RESERVED_KEYS})
        if not trusted:
            line = {key: self._clean(key, value) for key, value in line.items()}
        try:
            body = self._encode(line).decode()
        except Exception:  # noqa: BLE001  a lone surrogate, which UTF-8 cannot encode; an integer over 64 bits
            body = self._encode({_encodable(key): _encodable(value) for key, value in line.items()}).decode()
        self._send(level, now_ns, body, context)

    def write(self, line: Line, context: Context) -> None:
        """Write a line that holds only bounded values."""
        now_ns = self._unix_ns()
        line.timestamp = self._rfc3339(now_ns)
        try:
            body = self._encode(line).decode()
        except Exception:  # noqa: BLE001  as in `emit`
            fields = msgspec.structs.asdict(line)
            self.emit(line.level, line.logger, line.message, fields, context=context, unix_ns=now_ns, trusted=True)
        else:
            self._send(line.level, now_ns, body, context)

    def write_known(self, template: LineTemplate, values: tuple[float, ...], context: Context) -> None:
        """Write a line of a template."""
        now_ns = self._unix_ns()
        seconds, rest_ns = divmod(now_ns, _NANOSECONDS)
        known, text = self._second
        if seconds != known:
            text = self._text_of(seconds)
        self._send(template.level, now_ns, template.line((text, rest_ns // 1000, *values)), context)

    def _send(self, level: str, now_ns: int, body: str, context: Context | None) -> None:
        severity, otlp = _SEVERITIES.get(level) or SeverityNumber.UNSPECIFIED, self._otlp
        is_traced = type(context) is TracedContext
        span = context.span_context if is_traced else get_current_span(context).get_span_context()  # type: ignore[union-attr]  # narrowed by its type
        id_bytes = context.span.id_bytes if is_traced and type(context.span) is FastSpan else None  # type: ignore[union-attr]  # likewise
        if is_traced and now_ns and type(otlp) is FastLogger:
            otlp.emit_line(now_ns, severity, level, body, span, id_bytes)
        elif otlp is not None:
            otlp.emit(
                timestamp=now_ns,
                observed_timestamp=now_ns,
                context=context,
                severity_number=severity,
                severity_text=level,
                body=body,
            )
        if self._write_line is not None and level in self._on_stdout:
            if id_bytes is not None:
                body = f'{body[:-1]},"trace_id":"{id_bytes[0].hex()}","span_id":"{id_bytes[1].hex()}"}}'
            elif span[5]:  # whether it is valid; its properties cost more than all of this
                body = '%s,"trace_id":"%032x","span_id":"%016x"}' % (body[:-1], span[0], span[1])  # noqa: UP031  a third of the time
            self._write_line(body)

    def _clean(self, key: str, value: FieldValue) -> FieldValue:
        """Return a value without secrets, at most `_MAX_TEXT` long."""
        if not isinstance(value, str):
            return value
        if is_secret_name(key):
            return REDACTED
        return _bounded(self._redact(value), is_end=key == _EXCEPTION)

    def _rfc3339(self, unix_ns: int) -> str:
        """Return a UTC timestamp with microseconds.

        Lines of the same second share their beginning.
        """
        seconds, rest_ns = divmod(unix_ns, _NANOSECONDS)
        known, text = self._second
        if seconds != known:
            text = self._text_of(seconds)
        return f"{text}.{rest_ns // 1000:06d}Z"

    def _text_of(self, seconds: int) -> str:
        """Return a timestamp up to its seconds, which is that of the lines to come."""
        text = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"
        self._second = (seconds, text)
        return text


class StdlibHandler(logging.Handler):
    """Sends records of standard loggers to a `LogWriter`, in the context of the current span."""

    def __init__(self, writer: LogWriter, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record.

        One that cannot be formatted is replaced by a message that names its source line.
        """
        if record.name.startswith(_QUOTES_CALLERS) and record.levelno < logging.ERROR:
            return
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001  a broken log call of a library must not break its caller
            message = f"log record of {record.pathname}:{record.lineno} cannot be formatted: {type(error).__name__}"
        fields: dict[str, FieldValue] = {
            str(key): _scalar(value) for key, value in vars(record).items() if key not in _STANDARD_RECORD_KEYS
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["exception_type"] = record.exc_info[0].__name__
            fields[_EXCEPTION] = _traceback(record.exc_info)
        self._writer.emit(
            _level_name(record.levelno),
            record.name,
            _read(message),
            fields,
            unix_ns=int(record.created * _NANOSECONDS),
        )


def stdlib_level(name: str) -> int:
    """Return the lowest level to take from standard loggers: DEBUG for `debug`, else INFO."""
    return min(logging.INFO, _LEVELS[name])


def _level_name(level: int) -> str:
    """Return the lower-case level name at or below `level`."""
    for bound, name in (
        (logging.CRITICAL, "critical"),
        (logging.ERROR, "error"),
        (logging.WARNING, "warning"),
        (logging.INFO, "info"),
    ):
        if level >= bound:
            return name
    return "debug"


def _scalar(value: object) -> FieldValue:
    """Return a JSON scalar: Loki's `| json` drops arrays and flattens objects."""
    kind = type(value)
    if kind is str:
        return _read(value)  # type: ignore[arg-type]  # narrowed by its type
    if value is None or kind in _NUMBERS:
        return value  # type: ignore[return-value]  # likewise
    return _read(_shown(value))


def _shown(value: object) -> str:
    """Return the text of an object, even where its `repr` raises."""
    try:
        # `repr` would quote a subclass of `str`.
        return str.__str__(value) if isinstance(value, str) else repr(value)
    except Exception as error:  # noqa: BLE001  a `__repr__` may raise anything
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def _traceback(exc_info: tuple[type[BaseException], BaseException, Any] | tuple[None, None, None]) -> str:
    """Return the end of the traceback, which names the exception."""
    try:
        return _bounded("".join(traceback.format_exception(*exc_info)), is_end=True, limit=_MAX_READ)
    except Exception as error:  # noqa: BLE001  an exception may raise while it is formatted
        return f"the traceback cannot be formatted: {type(error).__name__}"


def _read(text: str) -> str:
    """Return the part of a text that is processed.

    It is cut before redaction, so no secret loses its beginning.
    """
    return _bounded(text, limit=_MAX_READ)


def _bounded(text: str, *, is_end: bool = False, limit: int = _MAX_TEXT) -> str:
    """Return the beginning of a text, or its end."""
    if len(text) <= limit:
        return text
    return text[-limit:] if is_end else text[:limit]


def _encodable(value: Any) -> Any:
    """Return the value with `?` for what UTF-8 cannot encode; large integers become text."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if value is None or type(value) in {bool, float} else str(value)
