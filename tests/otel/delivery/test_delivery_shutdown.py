"""Shutdown flushes all signals at once within one deadline, and reports exactly what it lost, whatever the endpoint does."""

import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS, wait_for

pytestmark = pytest.mark.live

SLOW_TIMEOUT = "60000"
"""Of one try: a black hole must not make shutdown wait for it."""

IN_TIME_SECONDS = 20.0
"""Far less than what would be waited for, and more than a busy machine takes."""


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request):
    with OtlpReceiver() if request.param == "http/protobuf" else OtlpGrpcReceiver() as double:
        double.protocol = request.param
        yield double


def harness_for(receiver, **environ):
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": SLOW_TIMEOUT, "OTEL_METRIC_EXPORT_INTERVAL": "60000", **environ}
    harness = DeliveryHarness(receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=receiver.protocol, **environ)
    harness.delivery.start()
    return harness


def otlp_threads():
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("otlp-") and thread.name != "otlp-receiver"
    ]


def assert_stats_and_report_agree(harness, report):
    stats = harness.delivery.stats.snapshot()
    assert {signal: page.dropped["shutdown"] for signal, page in stats.items()} == report.lost_items
    for signal in ("traces", "logs"):
        page = stats[signal]
        assert page.exported + sum(page.dropped.values()) == harness.recorded
        assert (page.queued_items, page.queued_bytes) == (0, 0)


def test_an_endpoint_that_works_gets_everything_and_the_final_metrics(receiver):
    harness = harness_for(receiver, OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_BLRP_SCHEDULE_DELAY="60000")
    harness.record(500)
    report = harness.close(DEADLINE_SECONDS)
    assert report.is_complete
    assert report.lost_items == {"traces": 0, "metrics": 0, "logs": 0}
    assert report.duration_seconds < IN_TIME_SECONDS
    assert sorted(span["attributes"]["n"] for span in receiver.spans) == list(range(500))
    assert len(receiver.log_records) == 500
    assert receiver.metric_value("recorded", kind="harness") == 500
    assert_stats_and_report_agree(harness, report)
    wait_for(lambda: not otlp_threads(), otlp_threads)


@pytest.mark.parametrize("state", ["idle", "sending"])
def test_a_black_hole_costs_the_deadline_and_no_more(receiver, state):
    receiver.black_hole()
    harness = harness_for(receiver)
    harness.record(300)
    if state == "sending":  # with all of its timeout left when shutdown begins
        assert receiver.wait_until(lambda: len(receiver.requests) >= 2)
    began = time.monotonic()
    report = harness.close(1.0)
    assert time.monotonic() - began < IN_TIME_SECONDS
    assert report.lost_items == {"traces": 300, "metrics": 1, "logs": 300}
    assert_stats_and_report_agree(harness, report)
    receiver.accept()
    assert receiver.spans == []


def test_the_threads_end_soon_after_a_shutdown_that_abandoned_items(receiver):
    receiver.black_hole()
    harness = harness_for(receiver)
    harness.record(10)
    assert receiver.wait_until(lambda: len(receiver.requests) >= 2)
    harness.close(0.2)
    wait_for(lambda: not otlp_threads(), otlp_threads)


def test_an_endpoint_that_is_down_is_tried_until_the_deadline_and_used_when_it_comes_back(receiver):
    receiver.stop()
    harness = harness_for(receiver)
    harness.record(100)
    threading.Timer(0.7, receiver.start).start()
    report = harness.close(DEADLINE_SECONDS)
    assert report.is_complete
    assert len(receiver.spans) == 100
    assert receiver.metric_value("recorded", kind="harness") == 100


def test_a_slow_endpoint_is_waited_for_within_the_deadline(receiver):
    receiver.slow(0.3)
    harness = harness_for(receiver)
    harness.record(200)
    report = harness.close(DEADLINE_SECONDS)
    assert report.is_complete
    assert [span["attributes"]["n"] for span in receiver.spans] == list(range(200))


def test_an_endpoint_that_swallows_connection_attempts():
    """A full backlog: the connection is never accepted, so not even the connect succeeds."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        harness = DeliveryHarness(
            f"http://127.0.0.1:{listening.getsockname()[1]}", OTEL_EXPORTER_OTLP_TIMEOUT=SLOW_TIMEOUT
        )
        harness.delivery.start()
        harness.record(10)
        time.sleep(0.1)
        began = time.monotonic()
        report = harness.close(0.5)
        assert time.monotonic() - began < IN_TIME_SECONDS
        assert report.lost_items == {"traces": 10, "metrics": 1, "logs": 10}
        for filler in fillers:
            filler.close()


def test_what_ends_after_shutdown_is_counted_as_lost_to_it(receiver):
    harness = harness_for(receiver)
    harness.record(1)
    first = harness.delivery.shutdown(DEADLINE_SECONDS)
    assert first.is_complete
    harness.record(2)
    stats = harness.delivery.stats.snapshot()
    assert stats["traces"].dropped["shutdown"] == stats["logs"].dropped["shutdown"] == 2
    assert harness.close() == first, "a second shutdown reports the first"
    assert len(receiver.spans) == 1


def test_what_goes_on_recording_does_not_delay_shutdown(receiver):
    receiver.slow(0.05)
    harness = harness_for(receiver)
    harness.record(100)
    ended = threading.Event()

    def record_on():
        while not ended.wait(0.001):
            harness.record()

    recording = threading.Thread(target=record_on)
    recording.start()
    report = harness.delivery.shutdown(DEADLINE_SECONDS)
    ended.set()
    recording.join()
    assert report.duration_seconds < IN_TIME_SECONDS
    stats = harness.delivery.stats.snapshot()
    for signal in ("traces", "logs"):
        page = stats[signal]
        assert page.exported + page.dropped["shutdown"] == harness.recorded
        assert page.exported >= 100


def test_a_process_that_never_shuts_down_ends_all_the_same(receiver):
    receiver.black_hole()
    program = f"""
import sys
from tests.harness.delivery_harness import DeliveryHarness
harness = DeliveryHarness({receiver.endpoint!r}, OTEL_EXPORTER_OTLP_PROTOCOL={receiver.protocol!r}, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
harness.delivery.start()
harness.record(10)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        try:
            assert receiver.wait_until(lambda: bool(receiver.requests)), "nothing was on the wire"
            process.stdin.close()
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            process.kill()  # `Popen` waits at the end of its block


def test_a_collection_that_hangs_does_not_delay_shutdown():
    with OtlpReceiver() as receiver:
        harness = DeliveryHarness(receiver.endpoint, OTEL_METRIC_EXPORT_INTERVAL="60000")
        hanging = threading.Event()
        meter = harness._meters.get_meter("hanging")
        meter.create_observable_gauge("hangs", [lambda options: hanging.wait(DEADLINE_SECONDS) and []])
        harness.delivery.start()
        harness.record(5)
        began = time.monotonic()
        report = harness.delivery.shutdown(0.5)
        assert time.monotonic() - began < IN_TIME_SECONDS
        assert report.lost_items == {"traces": 0, "metrics": 1, "logs": 0}
        hanging.set()
        harness.close()


def test_flush_after_shutdown_reports_failure_and_returns_at_once(receiver):
    receiver.black_hole()
    harness = harness_for(receiver)
    harness.record(1)
    harness.close(0.1)
    began = time.monotonic()
    assert harness.delivery.span_processor.force_flush(
        60_000
    )  # nothing is queued any more: it is in the counters as lost
    assert not harness.delivery.force_flush(DEADLINE_SECONDS)
    assert time.monotonic() - began < IN_TIME_SECONDS
