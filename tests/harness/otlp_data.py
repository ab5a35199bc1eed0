"""Decodes what an OTLP receiver double received: spans, log records and metric points as plain dictionaries.

Any thread may add requests. Duplicates are kept.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel.config.otlp import Signal
from tests.harness.polling import DEADLINE_SECONDS

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""The attributes of a metric point, sorted by key: usable as a key."""


class HistogramPoint(msgspec.Struct, frozen=True):
    """One point of an explicit-bucket histogram; `bucket_counts` has one more entry than `bounds`."""

    count: int
    sum: float
    bounds: tuple[float, ...]
    bucket_counts: tuple[int, ...]


PointValue: TypeAlias = float | HistogramPoint

_NO_RECORDED_VALUE: Final = 1
"""DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK of OTLP."""


class ReceivedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state of one metric. `kind` is OTLP's name: `sum`, `gauge`, `histogram` or another.

    `ended` are the points of which the push says that they have no value any more; `points` lacks them.
    """

    name: str
    kind: str
    unit: str
    description: str
    is_monotonic: bool
    is_cumulative: bool
    points: Mapping[Labels, PointValue]
    ended: frozenset[Labels]
    exemplar_trace_ids: tuple[str, ...]


class ReceivedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One export request as it came in at `received_seconds` of the monotonic clock, whatever the response. Header names are in lower case."""

    signal: Signal
    headers: Mapping[str, str]
    body: bytes
    accepted: bool
    received_seconds: float


class ReceivedTelemetry:
    """A thread-safe store of what was accepted, and of every request."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._requests: list[ReceivedRequest] = []
        self._spans: list[dict[str, Any]] = []
        self._log_records: list[dict[str, Any]] = []
        self._metrics: dict[str, ReceivedMetric] = {}

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request in order of arrival, refused ones included."""
        with self._changed:
            return list(self._requests)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Accepted spans in order of arrival.

        Keys: name, kind (`SERVER` …), trace_id, span_id, parent_span_id (hex; empty without a parent), flags, attributes, events, links, status
        (`UNSET`, `OK`, `ERROR`), start_unix_ns, end_unix_ns, resource, scope.
        """
        with self._changed:
            return list(self._spans)

    @property
    def log_records(self) -> list[dict[str, Any]]:
        """Accepted log records in order of arrival.

        Keys: body, severity_text, severity_number, attributes, trace_id, span_id (hex; empty without one), unix_ns, resource, scope.
        """
        with self._changed:
            return list(self._log_records)

    @property
    def metrics(self) -> dict[str, ReceivedMetric]:
        """The newest accepted state of each metric, by name."""
        with self._changed:
            return dict(self._metrics)

    def spans_named(self, name: str) -> list[dict[str, Any]]:
        """Return the accepted spans of that name."""
        return [span for span in self.spans if span["name"] == name]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the accepted spans of one trace."""
        return [span for span in self.spans if span["trace_id"] == trace_id]

    def metric_points(self, name: str) -> Mapping[Labels, PointValue]:
        """Return the newest points of a metric by their labels; empty when it never came."""
        metric = self.metrics.get(name)
        return {} if metric is None else metric.points

    def metric_value(self, name: str, **labels: str) -> PointValue | None:
        """Return the newest value of the point with exactly these labels, or None."""
        return self.metric_points(name).get(tuple(sorted(labels.items())))

    def wait_until(self, condition: Callable[[], bool], timeout_seconds: float = DEADLINE_SECONDS) -> bool:
        """Wait until the condition holds, looking after each request; returns whether it does."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not condition():
                left_seconds = deadline - time.monotonic()
                if left_seconds <= 0:
                    return False
                self._changed.wait(min(left_seconds, 0.1))
        return True

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._requests.clear()
            self._spans.clear()
            self._log_records.clear()
            self._metrics.clear()

    def take(self, signal: Signal, headers: Mapping[str, str], body: bytes, *, accept: bool) -> None:
        """Keep one request; raises where an accepted body is not OTLP."""
        received_seconds = time.monotonic()
        spans, records, metrics = _decode(signal, body) if accept else ([], [], {})
        request = ReceivedRequest(
            signal=signal, headers=headers, body=body, accepted=accept, received_seconds=received_seconds
        )
        with self._changed:
            self._requests.append(request)
            self._spans += spans
            self._log_records += records
            self._metrics.update(metrics)
            self._changed.notify_all()


def _decode(
    signal: Signal, body: bytes
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, ReceivedMetric]]:
    """Decode one request body into spans, log records or metrics."""
    if signal == "traces":
        traces = ExportTraceServiceRequest.FromString(body)
        return (
            [
                _span(span) | {"resource": attributes(group.resource.attributes), "scope": scope.scope.name}
                for group in traces.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ],
            [],
            {},
        )
    if signal == "logs":
        logs = ExportLogsServiceRequest.FromString(body)
        return (
            [],
            [
                _log_record(record) | {"resource": attributes(group.resource.attributes), "scope": scope.scope.name}
                for group in logs.resource_logs
                for scope in group.scope_logs
                for record in scope.log_records
            ],
            {},
        )
    pushed = ExportMetricsServiceRequest.FromString(body)
    return (
        [],
        [],
        {
            metric.name: _metric(metric)
            for group in pushed.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
        },
    )


def _span(span: Span) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "trace_id": span.trace_id.hex(),
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "flags": span.flags,
        "attributes": attributes(span.attributes),
        "events": [
            {"name": event.name, "unix_ns": event.time_unix_nano, "attributes": attributes(event.attributes)}
            for event in span.events
        ],
        "links": [{"trace_id": link.trace_id.hex(), "span_id": link.span_id.hex()} for link in span.links],
        "status": ("UNSET", "OK", "ERROR")[span.status.code],
        "start_unix_ns": span.start_time_unix_nano,
        "end_unix_ns": span.end_time_unix_nano,
    }


def _log_record(record: LogRecord) -> dict[str, Any]:
    return {
        "body": _value(record.body),
        "severity_text": record.severity_text,
        "severity_number": record.severity_number,
        "attributes": attributes(record.attributes),
        "trace_id": record.trace_id.hex(),
        "span_id": record.span_id.hex(),
        "unix_ns": record.time_unix_nano,
    }


def _metric(metric: Metric) -> ReceivedMetric:
    kind = metric.WhichOneof("data") or ""
    data = getattr(metric, kind)
    return ReceivedMetric(
        name=metric.name,
        kind=kind,
        unit=metric.unit,
        description=metric.description,
        is_monotonic=bool(getattr(data, "is_monotonic", False)),
        is_cumulative=getattr(data, "aggregation_temporality", 2) == 2,
        points={
            _labels(point): _point(kind, point) for point in data.data_points if not point.flags & _NO_RECORDED_VALUE
        },
        ended=frozenset(_labels(point) for point in data.data_points if point.flags & _NO_RECORDED_VALUE),
        exemplar_trace_ids=tuple(
            exemplar.trace_id.hex() for point in data.data_points for exemplar in getattr(point, "exemplars", ())
        ),
    )


def _labels(point: Any) -> Labels:
    return tuple(sorted((key, str(value)) for key, value in attributes(point.attributes).items()))


def _point(kind: str, point: Any) -> PointValue:
    if kind == "histogram":
        return HistogramPoint(point.count, point.sum, tuple(point.explicit_bounds), tuple(point.bucket_counts))
    if kind in {"sum", "gauge"}:
        return float(point.as_int) if point.WhichOneof("value") == "as_int" else float(point.as_double)
    return float(point.count)


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """Return OTLP key-value pairs as a dictionary."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    """Return an OTLP value as a Python one."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
