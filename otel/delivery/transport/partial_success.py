"""PARTIAL SUCCESS: reads an OTLP answer: how many items of an acknowledged request the endpoint rejected, and why."""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel.config.otlp import Signal


def read_partial_success(signal: Signal, answer: bytes) -> tuple[int, str]:
    """Return (rejected items, message); an answer that is not protobuf is taken for an acknowledgement without remarks."""
    try:
        if signal == "traces":
            traces = ExportTraceServiceResponse.FromString(answer).partial_success
            return traces.rejected_spans, traces.error_message
        if signal == "metrics":
            metrics = ExportMetricsServiceResponse.FromString(answer).partial_success
            return metrics.rejected_data_points, metrics.error_message
        logs = ExportLogsServiceResponse.FromString(answer).partial_success
    except Exception:  # noqa: BLE001  DecodeError has no typed home, and the status has already said what matters
        return 0, ""
    return logs.rejected_log_records, logs.error_message
