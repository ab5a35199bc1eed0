"""Delivery against real receivers, over HTTP and over gRPC: whatever the endpoint does, nothing is lost, doubled or reordered."""

import logging
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS, wait_for
from tests.harness.watched_sender import acknowledged

pytestmark = pytest.mark.live


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request):
    with OtlpReceiver() if request.param == "http/protobuf" else OtlpGrpcReceiver() as double:
        double.protocol = request.param
        yield double


@pytest.fixture
def harness(receiver):
    with DeliveryHarness(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=receiver.protocol) as harness:
        yield harness


def numbers(receiver):
    """What arrived, in order: the numbers of the spans, and those of the log records."""
    return [span["attributes"]["n"] for span in receiver.spans], [record["body"] for record in receiver.log_records]


def assert_all_arrived_once_and_in_order(receiver, harness):
    expected = list(range(harness.recorded))
    receiver.wait_until(
        lambda: (
            len(receiver.spans) >= harness.recorded
            and len(receiver.log_records) >= harness.recorded
            and receiver.metric_value("recorded", kind="harness") == harness.recorded
        )
    )
    assert receiver.metric_value("recorded", kind="harness") == harness.recorded
    # The receiver has the last batch a moment before its acknowledgement is in the counters.
    assert harness.delivery.force_flush(DEADLINE_SECONDS)
    assert numbers(acknowledged(receiver.requests, harness.tries)) == (expected, expected)
    stats = harness.delivery.stats.snapshot()
    assert not any(sum(page.dropped.values()) for page in stats.values())
    assert (stats["traces"].exported, stats["logs"].exported) == (harness.recorded, harness.recorded)


def wait_for_failure(harness, failures=1):
    wait_for(lambda: harness.delivery.stats.snapshot()["traces"].retries >= failures, "nothing failed")


def test_an_endpoint_that_accepts(receiver, harness):
    harness.record(200)
    assert_all_arrived_once_and_in_order(receiver, harness)
    span, record = receiver.spans[0], receiver.log_records[0]
    assert (record["trace_id"], record["span_id"]) == (span["trace_id"], span["span_id"])
    assert span["resource"]["service.instance.id"] == record["resource"]["service.instance.id"] == "harness"
    metric = receiver.metrics["recorded"]
    assert (metric.kind, metric.is_monotonic, metric.is_cumulative) == ("sum", True, True)
    assert len([request for request in receiver.requests if request.signal == "traces"]) >= 4


def test_an_endpoint_that_is_down_and_comes_back(receiver, harness):
    harness.record(10)
    assert_all_arrived_once_and_in_order(receiver, harness)
    receiver.stop()
    harness.record(100)
    wait_for_failure(harness, 2)
    harness.record(100)
    receiver.start()
    assert_all_arrived_once_and_in_order(receiver, harness)


def test_a_black_hole_that_comes_to_life(receiver):
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol, "OTEL_EXPORTER_OTLP_TIMEOUT": "500"}
    with DeliveryHarness(receiver.endpoint, **environ) as harness:
        receiver.black_hole()
        harness.record(100)
        wait_for_failure(harness)
        harness.record(100)
        receiver.accept()
        assert_all_arrived_once_and_in_order(receiver, harness)


def test_a_slow_endpoint(receiver, harness):
    receiver.slow(0.1)
    harness.record(300)
    assert_all_arrived_once_and_in_order(receiver, harness)
    assert harness.delivery.stats.snapshot()["traces"].retries == 0


def test_unavailable_with_a_requested_wait(receiver, harness):
    if receiver.protocol == "grpc":
        receiver.respond_status("UNAVAILABLE", retry_after_seconds=0.7)
    else:
        receiver.respond_status(503, retry_after="1")
    harness.record(100)
    wait_for_failure(harness)
    receiver.accept()
    assert_all_arrived_once_and_in_order(receiver, harness)
    # After the requested wait it was tried once and not sooner: the first try of traces, and then the one that was accepted.
    tries = [request for request in receiver.requests if request.signal == "traces"]
    assert [request.accepted for request in tries[:2]] == [False, True]


@pytest.mark.parametrize(
    ("http_status", "grpc_code"),
    [(429, "RESOURCE_EXHAUSTED"), (408, "DEADLINE_EXCEEDED"), (502, "ABORTED"), (504, "DATA_LOSS"), (500, "INTERNAL")],
)
def test_statuses_that_are_tried_again(receiver, harness, http_status, grpc_code):
    receiver.respond_status(grpc_code if receiver.protocol == "grpc" else http_status)
    harness.record(70)
    wait_for_failure(harness)
    receiver.accept()
    assert_all_arrived_once_and_in_order(receiver, harness)


@pytest.mark.parametrize(
    ("http_status", "grpc_code"), [(400, "INVALID_ARGUMENT"), (401, "UNAUTHENTICATED"), (404, "UNIMPLEMENTED")]
)
def test_statuses_that_refuse(receiver, harness, caplog, http_status, grpc_code):
    receiver.respond_status(grpc_code if receiver.protocol == "grpc" else http_status)
    harness.record(130)
    assert harness.delivery.force_flush(DEADLINE_SECONDS)
    stats = harness.delivery.stats.snapshot()
    for signal in ("traces", "logs"):
        assert (stats[signal].dropped["rejected"], stats[signal].exported, stats[signal].retries) == (130, 0, 0)
        tries = [request for request in receiver.requests if request.signal == signal]
        assert len({request.body for request in tries}) == len(tries), "a refused batch was sent again"
    assert stats["metrics"].dropped["rejected"] >= 1
    lines = [record.getMessage() for record in caplog.records if record.name == "otel.delivery"]
    assert len(lines) == 3
    assert all("refused" in line and (str(http_status) in line or grpc_code in line) for line in lines)


def test_a_message_that_is_too_large_for_grpc_is_refused():
    with (
        OtlpGrpcReceiver() as receiver,
        DeliveryHarness(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as harness,
    ):
        receiver.respond_status("RESOURCE_EXHAUSTED", message="grpc: received message larger than max (5 vs. 4)")
        harness.record(1)
        assert harness.delivery.force_flush(DEADLINE_SECONDS)
        assert harness.delivery.stats.snapshot()["traces"].dropped["rejected"] == 1


def _span_count(body):
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def test_partial_success(receiver, harness, caplog):
    receiver.partial_success(3, "timestamps too old")
    harness.record(64)
    assert harness.delivery.force_flush(DEADLINE_SECONDS)
    stats = harness.delivery.stats.snapshot()
    bodies = [request.body for request in receiver.requests if request.signal == "traces"]
    # A busy machine may send a batch of fewer spans than the endpoint says it rejected.
    rejected = sum(min(3, _span_count(body)) for body in bodies)
    assert stats["traces"].dropped["rejected"] == rejected > 0
    assert stats["traces"].exported == 64 - rejected
    assert stats["metrics"].exported == 0
    assert any("timestamps too old" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_headers_user_agent_and_compression(receiver, compression):
    with DeliveryHarness(
        receiver.endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL=receiver.protocol,
        OTEL_EXPORTER_OTLP_COMPRESSION=compression,
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20token,x-scope-orgid=blue",
    ) as harness:
        harness.record(100)
        assert_all_arrived_once_and_in_order(receiver, harness)
    for request in receiver.requests:
        assert request.headers["authorization"] == "Bearer token"
        assert request.headers["x-scope-orgid"] == "blue"
        assert "OTel-OTLP-Exporter-Python" in request.headers["user-agent"]
        if receiver.protocol == "http/protobuf":
            assert request.headers["content-type"] == "application/x-protobuf"
            assert request.headers.get("content-encoding", "none") == compression


def test_one_connection_per_signal_is_kept_alive():
    with OtlpReceiver() as receiver, DeliveryHarness(receiver.endpoint) as harness:
        for _ in range(5):
            harness.record(64)
            assert harness.delivery.force_flush(DEADLINE_SECONDS)
        assert len(receiver.requests) >= 15
        assert receiver.connections_accepted == 3


def test_an_idle_connection_that_the_endpoint_closed_is_no_failure(caplog):
    with OtlpReceiver() as receiver:
        with DeliveryHarness(receiver.endpoint, OTEL_METRICS_EXPORTER="none") as harness:
            harness.record(1)
            assert harness.delivery.force_flush(DEADLINE_SECONDS)
            receiver.stop()
            receiver.start()
            harness.record(1)
            assert harness.delivery.force_flush(DEADLINE_SECONDS)
            assert harness.delivery.stats.snapshot()["traces"].retries == 0
        assert len(receiver.spans) == 2
    assert not caplog.records


def test_a_connection_that_breaks_in_the_middle_of_the_response_is_tried_again_with_the_same_bytes():
    with OtlpReceiver() as receiver, DeliveryHarness(receiver.endpoint, OTEL_METRICS_EXPORTER="none") as harness:
        receiver.close_mid_response(kept=True)
        harness.record(1)
        wait_for_failure(harness)
        receiver.accept()
        assert harness.delivery.force_flush(DEADLINE_SECONDS)
        bodies = {request.body for request in receiver.requests if request.signal == "traces"}
        assert len(bodies) == 1
        # It was kept and never acknowledged: the receiver has it twice, under one span id.
        assert len({span["span_id"] for span in receiver.spans}) == 1
        assert len(receiver.spans) >= 2


def test_an_outage_is_one_line_per_change_and_signal(receiver, harness, caplog):
    caplog.set_level(logging.DEBUG)
    harness.record(1)
    assert_all_arrived_once_and_in_order(receiver, harness)
    receiver.stop()
    harness.record(10)
    wait_for_failure(harness, 3)
    receiver.start()
    assert_all_arrived_once_and_in_order(receiver, harness)
    lines_of_delivery = [record for record in caplog.records if record.name == "otel.delivery"]
    for signal in ("traces", "logs", "metrics"):
        lines = [record.getMessage() for record in lines_of_delivery if record.getMessage().startswith(signal)]
        assert [("do not reach" in line, "again" in line) for line in lines] == [(True, True), (False, True)]


def test_starting_and_recording_connect_to_nothing():
    with OtlpReceiver() as receiver:
        harness = DeliveryHarness(receiver.endpoint)
        harness.record(10)
        assert receiver.connections_accepted == 0
        # Never started, and delivered all the same: what is logged while a start fails must get out.
        assert harness.close(DEADLINE_SECONDS).is_complete
        assert numbers(receiver) == (list(range(10)), list(range(10)))


def test_a_flush_covers_its_own_signal_and_reports_failure_in_time(receiver, harness):
    harness.record(5)
    assert harness.delivery.span_processor.force_flush(5_000)
    assert len(receiver.spans) == 5
    receiver.black_hole()
    harness.record(5)
    began = time.monotonic()
    assert not harness.delivery.span_processor.force_flush(200)
    assert time.monotonic() - began < 8.0, "the timeout of a try is ten seconds"
    receiver.accept()


def test_unsampled_spans_are_not_delivered():
    with OtlpReceiver() as receiver, DeliveryHarness(receiver.endpoint) as harness:
        harness.record(5)
        for decision in (Decision.DROP, Decision.RECORD_ONLY):
            harness._tracer.sampler = StaticSampler(decision)
            harness.record(5)
        assert harness.delivery.force_flush(DEADLINE_SECONDS)
        assert len(receiver.spans) == 5
        assert len(receiver.log_records) == 15
