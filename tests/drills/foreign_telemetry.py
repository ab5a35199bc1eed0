"""Telemetry that a store refuses, or that stands in for what this gateway never sends, over OTLP."""

import io
from collections.abc import Mapping
from typing import Any

import aiohttp
import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.stack.otlp_requests import RESOURCE, SECOND_NS, any_value, key_values, log_request, metric_request, trace_id

_PATHS = {
    ExportTraceServiceRequest: "traces",
    ExportLogsServiceRequest: "logs",
    ExportMetricsServiceRequest: "metrics",
}


async def export(session: aiohttp.ClientSession, collector_url: str, request: Any) -> int:
    """Send a request; return the status."""
    async with session.post(
        f"{collector_url}/v1/{_PATHS[type(request)]}",
        data=io.BytesIO(request.SerializeToString()),
        headers={"content-type": "application/x-protobuf"},
    ) as response:
        await response.read()
        return response.status


async def export_to_tempo(address: str, request: ExportTraceServiceRequest) -> None:
    """Send spans to Tempo itself: the Collector looks for secrets in every byte, which takes a minute for as many."""
    async with grpc.aio.insecure_channel(address) as channel:
        await TraceServiceStub(channel).Export(request)


def old_metric(number: int) -> ExportMetricsServiceRequest:
    """Return a counter of months ago, which Prometheus refuses as out of bounds."""
    return metric_request([number], name="drill_total")


def old_log(number: int) -> ExportLogsServiceRequest:
    """Return a line of months ago, which Loki refuses as too old."""
    return log_request([{"level": "info", "logger": "drill", "message": f"old {number}"}])


def large_trace(number: int, now_ns: int, spans: int = 1_000, bytes_of_span: int = 1_800) -> ExportTraceServiceRequest:
    """Return a part of one trace; several of them are more than Tempo takes of one."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(key_values(RESOURCE))
    scope = group.scope_spans.add()
    for index in range(spans):
        scope.spans.add(
            trace_id=trace_id(1),
            span_id=(number * spans + index + 1).to_bytes(8),
            name="drill",
            kind=2,
            start_time_unix_nano=now_ns - SECOND_NS,
            end_time_unix_nano=now_ns,
            attributes=key_values({"filling": "x" * bytes_of_span}),
        )
    return request


def counter(name: str, value: int, attributes: Mapping[str, str], now_ns: int) -> ExportMetricsServiceRequest:
    """Return a counter with one point of now."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values({"service.name": "drill", "service.instance.id": "drill"}))
    metric = group.scope_metrics.add().metrics.add(name=name)
    metric.sum.aggregation_temporality = 2
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(
        start_time_unix_nano=now_ns - 60 * SECOND_NS,
        time_unix_nano=now_ns,
        as_int=value,
        attributes=key_values(attributes),
    )
    return request


def slow_responses(count: int, attributes: Mapping[str, str], now_ns: int) -> ExportMetricsServiceRequest:
    """Return the histogram of a service all of whose responses took between 2 and 5 seconds."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values({"service.name": "drill", "service.instance.id": "drill"}))
    metric = group.scope_metrics.add().metrics.add(name="fastapi_requests_duration_seconds")
    metric.histogram.aggregation_temporality = 2
    metric.histogram.data_points.add(
        start_time_unix_nano=now_ns - 60 * SECOND_NS,
        time_unix_nano=now_ns,
        count=count,
        sum=3.0 * count,
        explicit_bounds=[2.0, 5.0],
        bucket_counts=[0, count, 0],
        attributes=key_values(attributes),
    )
    return request


def log_flood(count: int, now_ns: int, bytes_of_line: int = 2_000) -> ExportLogsServiceRequest:
    """Return many lines of now."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    group.resource.attributes.extend(key_values(RESOURCE))
    scope = group.scope_logs.add()
    for number in range(count):
        body = {"level": "info", "logger": "drill", "message": "x" * bytes_of_line}
        scope.log_records.add(time_unix_nano=now_ns + number, severity_number=9, body=any_value(body))
    return request
