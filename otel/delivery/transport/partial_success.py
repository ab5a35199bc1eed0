"""Reads from an OTLP response how many items of an acknowledged request the endpoint rejected, and why."""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel.config.otlp import Signal


def read_partial_success(signal: Signal, body: bytes) -> tuple[int, str]:
    """Return (rejected items, message); a body that is not protobuf counts as an acknowledgement without rejections."""
    try:
        if signal == "traces":
            traces = ExportTraceServiceResponse.FromString(body).partial_success
            return traces.rejected_spans, traces.error_message
        if signal == "metrics":
            metrics = ExportMetricsServiceResponse.FromString(body).partial_success
            return metrics.rejected_data_points, metrics.error_message
        logs = ExportLogsServiceResponse.FromString(body).partial_success
    except Exception:  # noqa: BLE001  DecodeError is not typed, and the status is already known
        return 0, ""
    return logs.rejected_log_records, logs.error_message
