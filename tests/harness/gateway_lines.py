"""Log lines and spans as the gateway sends them, for a console of the tests."""

import json
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.harness.console import log_record, span
from tests.harness.console_metrics import at

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


def request_line(seconds: float = -10, trace: int | None = None, **fields: Any) -> LogRecord:
    """Return the line of a request that ended at a time relative to the harness's now."""
    line = {
        "level": "info",
        "logger": "gatewayz.request",
        "message": "POST /v1/chat/completions 200",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "duration_ms": 12.5,
        "response_bytes": 10,
        **fields,
    }
    ids = {} if trace is None else {"trace_id": trace.to_bytes(16, "big"), "span_id": bytes(7) + b"\1"}
    body = json.dumps({key: value for key, value in line.items() if value is not None})
    return log_record(body, time_unix_nano=at(seconds), **ids)


def attempt_line(trace: int, provider: str, error_kind: str, reason: str, seconds: float = -10) -> LogRecord:
    """Return the line of a failed attempt."""
    line = {
        "level": "warning",
        "logger": "gatewayz.attempt",
        "message": f"attempt at {provider} failed: {error_kind}",
        "provider": provider,
        "error_kind": error_kind,
        "reason": reason,
        "hint": "check base_url",
    }
    ids = {"trace_id": trace.to_bytes(16, "big"), "span_id": bytes(7) + b"\1"}
    return log_record(json.dumps(line), time_unix_nano=at(seconds), severity_number=13, **ids)


def attempt_span(
    trace: int, number: int, provider: str, error_kind: str | None = None, seconds: float = -10, **more: Any
) -> Span:
    """Return the client span of an attempt; one second long."""
    attributes = {
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": "small",
        "gatewayz.attempt.number": number,
        "gatewayz.attempt.status": "success" if error_kind is None else "error",
        **({} if error_kind is None else {"error.type": error_kind}),
        **more,
    }
    return span(
        "chat small",
        attributes,
        trace_id=trace.to_bytes(16, "big"),
        span_id=bytes(6) + bytes([number, 2]),
        parent_span_id=bytes(7) + b"\1",
        kind=CLIENT,
        start_time_unix_nano=at(seconds),
        end_time_unix_nano=at(seconds + 1),
        status={"code": 0 if error_kind is None else 2},
    )


def server_span(trace: int, seconds: float = -11, length: float = 4, **attributes: Any) -> Span:
    """Return the server span of a request."""
    return span(
        "POST /v1/chat/completions",
        {"gatewayz.model": "small", **attributes},
        trace_id=trace.to_bytes(16, "big"),
        span_id=bytes(7) + b"\1",
        kind=SERVER,
        start_time_unix_nano=at(seconds),
        end_time_unix_nano=at(seconds + length),
    )
