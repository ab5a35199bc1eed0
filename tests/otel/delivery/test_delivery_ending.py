"""The end of a process at a real receiver: gauges are ended there, counters final, and the last lines of the delivery have arrived."""

import io
import json
import logging
import random
import threading
import time

import pytest

from otel.config.environ import telemetry_config_from_environ
from otel.events import RequestFinished, RequestReceived
from otel.labels import LabelBounds
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS

pytestmark = pytest.mark.live

ROUTE = {"app_name": "gw", "method": "GET", "path": "/v1/models"}


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request):
    with OtlpReceiver() if request.param == "http/protobuf" else OtlpGrpcReceiver() as double:
        double.protocol = request.param
        yield double


@pytest.fixture
def stdout():
    return io.StringIO()


@pytest.fixture
def telemetry(receiver, stdout):
    telemetry = build_pipeline(
        telemetry_config_from_environ(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol,
                "OTEL_METRIC_EXPORT_INTERVAL": "200",
            }
        ),
        PipelineSettings(
            bounds=LabelBounds.from_routes("gw", (("p1", "m1"),), paths=frozenset({"/v1/models"})),
            version="1.2.3",
            instance_id="i-1",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            stdout=stdout,
        ),
    )
    handlers = logging.getLogger().handlers[:]
    telemetry.install_logging()
    telemetry.start()
    yield telemetry
    telemetry.shutdown(1.0)
    logging.getLogger().handlers[:] = handlers


def serve(telemetry):
    request = telemetry.recorder.start_request(RequestReceived(method="GET", path="/v1/models"))
    request.finish(RequestFinished(status_code=200, duration_seconds=0.3, outcome="ok"))


def test_the_last_push_ends_every_gauge_and_leaves_the_counts(receiver, telemetry):
    serve(telemetry)
    in_progress = tuple(sorted(ROUTE.items()))
    assert receiver.wait_until(lambda: receiver.metric_value("fastapi_requests_in_progress", **ROUTE) == 0)
    alive = {
        (name, labels)
        for name, metric in receiver.metrics.items()
        if metric.kind == "gauge" or (metric.kind == "sum" and not metric.is_monotonic)
        for labels in metric.points
    }
    assert {name for name, _ in alive} >= {"fastapi_app_info", "gatewayz_telemetry_queued_items"}
    assert telemetry.shutdown(DEADLINE_SECONDS).is_complete
    ended = {(name, labels) for name, metric in receiver.metrics.items() for labels in metric.ended}
    assert ended == alive
    assert ("fastapi_requests_in_progress", in_progress) in ended
    assert not any(receiver.metrics[name].points for name, _ in ended)
    assert receiver.metric_value("fastapi_requests_total", **ROUTE, status_code="200") == 1
    assert receiver.metric_value("fastapi_requests_duration_seconds", **ROUTE).count == 1


def test_the_last_lines_of_the_delivery_itself_arrive_and_is_not_counted_as_lost(receiver, telemetry, stdout):
    """The endpoint is unavailable when the process ends and works again in time: each signal logs that it does and does not reach it."""
    receiver.stop()
    serve(telemetry)
    deadline = time.monotonic() + 5
    while (failing := saying(stdout, "do not reach")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert failing == 3
    threading.Timer(0.3, receiver.start).start()
    report = telemetry.shutdown(5.0)
    assert report.lost_items == {"traces": 0, "metrics": 0, "logs": 0}
    assert saying(stdout, "again, after") == 3
    assert sorted(line["message"] for line in lines(stdout)) == sorted(
        json.loads(record["body"])["message"] for record in receiver.log_records
    )


def lines(stdout):
    """Return the finished log lines."""
    return [json.loads(line) for line in stdout.getvalue().splitlines(keepends=True) if line.endswith("\n")]


def saying(stdout, text):
    """Return how many lines say that."""
    return sum(text in line["message"] for line in lines(stdout))


def test_what_is_logged_in_the_last_moment_is_stored_for_the_next_start(receiver, tmp_path):
    receiver.stop()
    patient = {"OTEL_EXPORTER_OTLP_PROTOCOL": receiver.protocol, "OTEL_BLRP_SCHEDULE_DELAY": "60000"}
    harness = DeliveryHarness(receiver.endpoint, spool=str(tmp_path), **patient)
    harness.delivery.start()
    harness.record(3)
    last_words = threading.Timer(0.4, lambda: harness._logger.emit(body="last words"))
    last_words.start()
    report = harness.close(0.6)
    last_words.join()
    assert report.lost_items == {"traces": 0, "metrics": 0, "logs": 0}
    assert report.stored_items == {"traces": 3, "metrics": 1, "logs": 4}
    receiver.start()
    with DeliveryHarness(receiver.endpoint, spool=str(tmp_path), **patient):
        assert receiver.wait_until(lambda: len(receiver.log_records) == 4)
    assert {record["body"] for record in receiver.log_records} == {0, 1, 2, "last words"}
