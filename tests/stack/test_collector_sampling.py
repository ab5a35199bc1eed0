"""Tail sampling keeps every error and every slow trace and a share of the rest; span metrics know of all of them."""

from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.harness.polling import read_until
from tests.stack.collector_harness import running_collector, to_files
from tests.stack.otlp_requests import trace_request

FILES = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml", "tail-sampling.yaml")
ENVIRON = {
    "SAMPLING_DECISION_WAIT": "1s",
    "SAMPLING_SLOW_MS": "2000",
    "SAMPLING_PERCENT": "10",
    "SPAN_METRICS_INTERVAL": "300ms",
}


async def test_what_matters_is_kept_and_everything_is_counted(binaries: dict[str, Path], tmp_path: Path) -> None:
    overlay = to_files(tmp_path, "traces", "metrics")
    pipelines = overlay["service"]["pipelines"]
    pipelines["traces/sampled"] = pipelines.pop("traces")
    async with running_collector(binaries["otelcol"], tmp_path, FILES, overlay, ENVIRON) as harness:
        assert await harness.export(trace_request(20, first=1, is_error=True)) == 200
        assert await harness.export(trace_request(20, first=101, seconds=2.5)) == 200
        for first in range(1_001, 3_001, 100):
            assert await harness.export(trace_request(100, first=first, seconds=0.5)) == 200

        async def calls() -> float:
            points = harness.written().metric_points("traces_spanmetrics_calls_total")
            return sum(value for value in points.values() if isinstance(value, float))

        assert await read_until(calls, lambda found: found >= 2_040) == 2_040
        decisions = "otelcol_processor_tail_sampling_global_count_traces_sampled"
        assert await harness.wait_counter(decisions, 2_040) == 2_040
        written = await harness.wait_written(spans=int(await harness.counter(decisions, sampled="true")))
    kept = [span["attributes"]["n"] for span in written.spans]
    assert len(kept) == len(set(kept))
    assert {*range(1, 21), *range(101, 121)} <= set(kept)
    assert 100 <= len(kept) - 40 <= 300  # 10 % of 2 000

    latency = written.metric_points("traces_spanmetrics_latency")
    labels = [dict(each) for each in latency]
    assert all(label.keys() >= {"service", "span.name", "span.kind", "status.code"} for label in labels)
    assert {label["service"] for label in labels} == {"gatewayz"}
    assert {label["status.code"] for label in labels} == {"STATUS_CODE_UNSET", "STATUS_CODE_ERROR"}
    assert written.metrics["traces_spanmetrics_latency"].kind == "histogram"
    assert any(has_exemplars(request.body) for request in written.requests if request.signal == "metrics")


def has_exemplars(body: bytes) -> bool:
    """Whether a histogram in a request has exemplars: they come with the first push after their spans."""
    return any(
        point.exemplars
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        for point in metric.histogram.data_points
    )
