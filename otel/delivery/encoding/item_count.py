"""Counts the items of an encoded export request from its bytes: the number in a spool file may be wrong."""

from typing import Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no type information
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel.config.otlp import Signal

_ONE: Final = 1
"""A metric push is one item; so is a request that cannot be decoded, which the endpoint refuses."""


def count_items(signal: Signal, payload: bytes) -> int:
    """Return the number of spans or log records in a request, at least 1: what holds none is still one request."""
    try:
        if signal == "traces":
            spans = ExportTraceServiceRequest.FromString(payload)
            return sum(len(scoped.spans) for each in spans.resource_spans for scoped in each.scope_spans) or _ONE
        if signal == "logs":
            logs = ExportLogsServiceRequest.FromString(payload)
            return sum(len(scoped.log_records) for each in logs.resource_logs for scoped in each.scope_logs) or _ONE
    except DecodeError:
        pass
    return _ONE
