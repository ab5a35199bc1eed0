"""Export requests as any sender makes them: spans, log records and counts with chosen names, attributes and bodies."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

RESOURCE = {"service.name": "gatewayz", "service.instance.id": "test"}
START_UNIX_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


def any_value(value: Any) -> AnyValue:
    """Return a Python value as an OTLP one."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    found = AnyValue()
    if isinstance(value, Mapping):
        found.kvlist_value.values.extend(key_values(value))
    else:
        found.array_value.values.extend(any_value(each) for each in value)
    return found


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    """Return attributes as OTLP ones."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def trace_id(number: int) -> bytes:
    """Return 16 bytes that are as good as random, and always the same for the same number."""
    return random.Random(number).randbytes(16)


def trace_request(
    count: int = 1,
    *,
    first: int = 1,
    name: str = "GET /v1/models",
    attributes: Mapping[str, Any] | None = None,
    event_attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    seconds: float = 0.1,
    is_error: bool = False,
    start_unix_ns: int = START_UNIX_NS,
) -> ExportTraceServiceRequest:
    """Return `count` spans, each a trace of its own; attribute `n` numbers them from `first`."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(RESOURCE if resource is None else resource))
    scope = group.scope_spans.add()
    for number in range(first, first + count):
        span = scope.spans.add(
            trace_id=trace_id(number),
            span_id=number.to_bytes(8),
            name=name,
            kind=2,  # SERVER
            start_time_unix_nano=start_unix_ns,
            end_time_unix_nano=start_unix_ns + int(seconds * SECOND_NS),
            attributes=key_values({"n": number, **(attributes or {})}),
        )
        if is_error:
            span.status.code = 2
        if event_attributes is not None:
            span.events.add(name="exception", attributes=key_values(event_attributes))
    return request


def log_request(
    bodies: Sequence[Any],
    *,
    attributes: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    of_trace: bytes = b"",
) -> ExportLogsServiceRequest:
    """Return one log record per body."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values(RESOURCE if resource is None else resource))
    scope = group.scope_logs.add()
    for number, body in enumerate(bodies):
        scope.log_records.add(
            time_unix_nano=START_UNIX_NS + number,
            severity_number=9,  # INFO
            body=any_value(body),
            trace_id=of_trace,
            attributes=key_values(attributes or {}),
        )
    return request


def metric_request(
    values: Sequence[int],
    *,
    resource: Mapping[str, Any] | None = None,
    name: str = "count_total",
    unit: str = "",
    scope: str = "",
) -> ExportMetricsServiceRequest:
    """Return one cumulative counter with a point per value; label `n` numbers them from 0."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(RESOURCE if resource is None else resource))
    scoped = group.scope_metrics.add()
    scoped.scope.name = scope
    metric = scoped.metrics.add(name=name, unit=unit)
    metric.sum.aggregation_temporality = 2  # CUMULATIVE
    metric.sum.is_monotonic = True
    for number, value in enumerate(values):
        metric.sum.data_points.add(
            start_time_unix_nano=START_UNIX_NS,
            time_unix_nano=START_UNIX_NS + SECOND_NS,
            as_int=value,
            attributes=key_values({"n": str(number)}),
        )
    return request
