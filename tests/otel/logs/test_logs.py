"""Each line is one JSON object whose OTLP body and stdout form agree, with the trace it belongs to and without secrets."""

import json
import logging

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel.logs.writer import LogWriter, StdlibHandler
from otel.redaction import KnownSecrets

NOW_NS = 1_700_000_000_123_456_789


class Sink:
    """Everything that a log writer wrote."""

    def __init__(self, secrets: KnownSecrets | None = None) -> None:
        self.lines: list[str] = []
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))
        self.writer = LogWriter(
            self.provider.get_logger("test"), self.lines.append, lambda: NOW_NS, secrets=secrets or KnownSecrets()
        )

    @property
    def records(self):
        return [item.log_record for item in self.exporter.get_finished_logs()]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def logger(sink: Sink):
    logger = logging.Logger("some.library")
    logger.addHandler(StdlibHandler(sink.writer))
    return logger


def test_a_line_is_the_body_and_stdout_adds_the_trace(sink: Sink) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    span = tracer.start_span("request")
    sink.writer.emit(
        "error", "gatewayz", "failed", {"provider": "p", "status": 502, "none": None}, context=set_span_in_context(span)
    )
    (record,) = sink.records
    body = json.loads(record.body)
    assert list(body) == ["timestamp", "level", "logger", "message", "provider", "status"]
    assert body == {
        "timestamp": "2023-11-14T22:13:20.123456Z",
        "level": "error",
        "logger": "gatewayz",
        "message": "failed",
        "provider": "p",
        "status": 502,
    }
    context = span.get_span_context()
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert (record.severity_text, record.severity_number.name) == ("error", "ERROR")
    assert record.timestamp == NOW_NS
    assert not record.attributes  # each key stands in one place
    stdout = json.loads(sink.lines[0])
    assert stdout == body | {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def test_a_line_outside_any_request_has_no_ids(sink: Sink) -> None:
    sink.writer.emit("info", "gatewayz", "started", {})
    assert "trace_id" not in json.loads(sink.lines[0])
    assert sink.records[0].body == sink.lines[0]


def test_fields_cannot_replace_the_lines_own_keys(sink: Sink) -> None:
    sink.writer.emit("info", "gatewayz", "m", {"level": "critical", "trace_id": "forged", "ok": True})
    line = json.loads(sink.lines[0])
    assert line["level"] == "info"
    assert "trace_id" not in line
    assert line["ok"] is True


def test_library_lines_carry_extras_exceptions_and_no_secrets(sink: Sink, logger: logging.Logger) -> None:
    try:
        raise ValueError("refused sk-abcdefghijklmnop1234567")
    except ValueError:
        logger.exception(
            "calling %s", "upstream", extra={"attempt": 2, "headers": ["authorization: Bearer abcdefghijk"]}
        )
    line = json.loads(sink.lines[0])
    assert (line["level"], line["logger"], line["message"], line["attempt"]) == (
        "error",
        "some.library",
        "calling upstream",
        2,
    )
    assert line["exception_type"] == "ValueError"
    assert "Traceback" in line["exception"]
    assert "abcdefghijk" not in sink.lines[0]
    assert "abcdefghijk" not in sink.records[0].body


@pytest.mark.parametrize(
    ("level", "name"),
    [(10, "debug"), (15, "debug"), (20, "info"), (30, "warning"), (35, "warning"), (40, "error"), (50, "critical")],
)
def test_levels_are_lower_case(sink: Sink, level: int, name: str) -> None:
    logger = logging.Logger("x")
    logger.addHandler(StdlibHandler(sink.writer, level=0))
    logger.log(level, "m")
    assert json.loads(sink.lines[0])["level"] == name


def test_a_broken_log_call_is_reported_not_raised(sink: Sink, logger: logging.Logger) -> None:
    logger.warning("%d items", "three")
    line = json.loads(sink.lines[0])
    assert "cannot be formatted" in line["message"]
    assert line["level"] == "warning"


def test_hostile_text_stays_one_line(sink: Sink, logger: logging.Logger) -> None:
    logger.warning('a\nb\r\u2028"c"\x00\ud800')
    assert len(sink.lines) == 1
    assert "\n" not in sink.lines[0]
    json.loads(sink.lines[0])


REASONS = [
    'GET "http://tenant/?api_key=CANARY123" says 500',
    '{"api_key": "CANARY123"}',
    "'password': 'CANARY123'",
    'password="CANARY123"',
    "postgresql://u:CANARY123@db",
    'quoted: "{\\"password\\":\\"CANARY123\\"}"',
    "the key is CANARY123",
]


@pytest.mark.parametrize("text", REASONS)
@pytest.mark.parametrize("place", ["message", "field", "exception", "object"])
def test_a_redacted_line_is_valid_and_without_the_secret(text: str, place: str) -> None:
    sink = Sink(KnownSecrets(["CANARY123"]))
    logger = logging.Logger("x")
    logger.addHandler(StdlibHandler(sink.writer))
    error = (ValueError, ValueError(text), None) if place == "exception" else None
    extra = {"detail": text} if place == "field" else {"detail": [text]} if place == "object" else {}
    logger.warning("%s", text if place == "message" else "m", extra=extra, exc_info=error)
    for line in (sink.lines[0], sink.records[0].body):
        assert "CANARY" not in line
        assert "[redacted]" in line
        assert json.loads(line)["level"] == "warning"


def test_a_field_with_the_name_of_a_secret_is_redacted(sink: Sink, logger: logging.Logger) -> None:
    logger.warning("m", extra={"api_key": "v", "client_secret": "w", "token_count": "3"})
    line = json.loads(sink.lines[0])
    assert (line["api_key"], line["client_secret"], line["token_count"]) == ("[redacted]", "[redacted]", "3")


def test_a_secret_at_a_cut_is_not_shown_in_part(sink: Sink, logger: logging.Logger) -> None:
    logger.warning("%s sk-abcdefghijklmnop1234567", "x" * 8_180)
    assert "sk-a" not in sink.lines[0]


class Hostile:
    """Raises on every use."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    __str__ = __repr__
    __format__ = __repr__  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError


class HostileError(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    @property
    def __notes__(self) -> list[str]:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "value", [Hostile(), [Hostile()], HostileText("t"), 2**80, float("nan"), b"\xff", {1: Hostile()}, object, "\ud800"]
)
def test_no_object_breaks_logging(sink: Sink, logger: logging.Logger, value: object) -> None:
    logger.warning("m", extra={"value": value, "\ud800": 1})
    logger.warning("%s", value)
    assert [json.loads(line)["level"] for line in sink.lines] == ["warning"] * 2


def test_no_exception_breaks_logging(sink: Sink, logger: logging.Logger) -> None:
    try:
        raise HostileError
    except HostileError:
        logger.exception("m")
    assert json.loads(sink.lines[0])["exception_type"] == "HostileError"


def test_own_fields_of_any_kind_break_no_line(sink: Sink) -> None:
    sink.writer.emit("info", "x", "m", {"a": 2**80, "b": Hostile()}, trusted=True)  # type: ignore[dict-item]
    assert json.loads(sink.lines[0])["a"] in {2**80, str(2**80)}
