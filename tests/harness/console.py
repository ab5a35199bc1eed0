"""A console's store and OTLP endpoint inside a test, and messages to send to it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from console.receive.http_app import OtlpApp
from console.store.limits import Limits
from console.store.store import Store

NOW_S = 1_900_000_000
SECOND_NS = 1_000_000_000
NOW_NS = NOW_S * SECOND_NS
PROTOBUF = "application/x-protobuf"
RESPONSES = {
    "/v1/traces": ExportTraceServiceResponse,
    "/v1/metrics": ExportMetricsServiceResponse,
    "/v1/logs": ExportLogsServiceResponse,
}
_FIELDS = {bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value", str: "string_value"}
_ids = itertools.count(1)


class ConsoleClock:
    """The wall clock of a console; a test moves it."""

    def __init__(self, now_s: float = NOW_S) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class OpenConsole:
    """A store with its endpoint. `lines` are what it printed for the operator."""

    def __init__(self, path: Path, limits: Limits, clock: ConsoleClock, token: str | None = None) -> None:
        self.clock = clock
        self.lines: list[str] = []
        self.store = Store(path, limits, unix_s=clock, print_line=self.lines.append)
        self.app = OtlpApp(self.store, token=token, unix_s=clock)

    async def post(
        self, path: str, body: bytes, *, media_type: str = PROTOBUF, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send one request to the endpoint."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4318") as client:
            return await client.post(path, content=body, headers={"content-type": media_type, **(headers or {})})

    async def send(self, request: Any) -> Any:
        """Send a request message; assert that it is accepted and return the response message."""
        path = {
            ExportTraceServiceRequest: "/v1/traces",
            ExportMetricsServiceRequest: "/v1/metrics",
            ExportLogsServiceRequest: "/v1/logs",
        }[type(request)]
        response = await self.post(path, request.SerializeToString())
        assert response.status_code == 200, response.content
        return RESPONSES[path].FromString(response.content)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a query."""
        with self.store.readers.connection() as connection:
            return connection.execute(sql, values).fetchall()


@contextmanager
def open_console(
    folder: Path, limits: Limits | None = None, clock: ConsoleClock | None = None, token: str | None = None
) -> Iterator[OpenConsole]:
    """Yield a console on `console.sqlite` in a folder, which a second one may open again."""
    console = OpenConsole(folder / "console.sqlite", limits or Limits(), clock or ConsoleClock(), token)
    try:
        yield console
    finally:
        console.store.close()


def any_value(value: Any) -> AnyValue:
    """Return the message of a value."""
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=map(any_value, value)))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
    field = _FIELDS.get(type(value))
    return AnyValue() if field is None else AnyValue(**{field: value})


def key_values(attributes: dict[str, Any]) -> list[KeyValue]:
    """Return the messages of attributes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def resource(**attributes: Any) -> Resource:
    """Return a resource; dots in names are written as two underscores."""
    named = {key.replace("__", "."): value for key, value in (attributes or {"service__name": "shop"}).items()}
    return Resource(attributes=key_values(named))


def span(name: str = "GET /", attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    """Return a valid span with new ids."""
    number = next(_ids)
    defaults = {
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "start_time_unix_nano": NOW_NS,
        "end_time_unix_nano": NOW_NS + 5_000_000,
        "kind": Span.SPAN_KIND_SERVER,
    }
    return Span(name=name, attributes=key_values(attributes or {}), **{**defaults, **fields})


def log_record(body: Any = "hello", attributes: dict[str, Any] | None = None, **fields: Any) -> LogRecord:
    """Return a log record."""
    values = {"time_unix_nano": NOW_NS, "severity_number": 9, "severity_text": "info", **fields}
    return LogRecord(body=any_value(body), attributes=key_values(attributes or {}), **values)


def traces(*spans: Span, origin: Resource | None = None) -> ExportTraceServiceRequest:
    """Return a request with spans of one scope."""
    scoped = ScopeSpans(spans=spans)
    scoped.scope.name = "shop.tracer"
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=origin or resource(), scope_spans=[scoped])]
    )


def logs(*records: LogRecord, origin: Resource | None = None) -> ExportLogsServiceRequest:
    """Return a request with log records of one scope."""
    scoped = ScopeLogs(log_records=records)
    scoped.scope.name = "shop.logger"
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=origin or resource(), scope_logs=[scoped])])


def metrics(*declared: Metric, origin: Resource | None = None) -> ExportMetricsServiceRequest:
    """Return a request with metrics of one scope."""
    scoped = ScopeMetrics(metrics=declared)
    scoped.scope.name = "shop.meter"
    group = ResourceMetrics(resource=origin or resource(), scope_metrics=[scoped])
    return ExportMetricsServiceRequest(resource_metrics=[group])
