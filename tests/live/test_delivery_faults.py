"""A steady stream of all three signals through every fault of an endpoint in turn: nothing lost, nothing twice, nothing out of order."""

import threading
import time

import pytest

from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import wait_for

pytestmark = pytest.mark.live

FAULT_SECONDS = 1.0
TIMEOUT_MS = "1500"
"""A response that comes later makes the sender repeat what was received: long enough for a busy machine."""
PER_SECOND = 500


LEAST_RECORDED = 50
"""In each fault, of some five hundred: were one record to wait for the endpoint, there would be a handful."""


class Stream:
    """Records at a steady rate on a thread of its own, as requests do, and remembers the slowest record."""

    def __init__(self, harness):
        self._harness = harness
        self._ended = threading.Event()
        self.slowest_seconds = 0.0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(1 / PER_SECOND):
            began = time.perf_counter()
            self._harness.record()
            self.slowest_seconds = max(self.slowest_seconds, time.perf_counter() - began)


def suffer(harness, state):
    """Let a fault last, and at least until every signal has noticed it twice."""
    before = {signal: page.retries for signal, page in harness.delivery.stats.snapshot().items()}
    began = time.monotonic()
    while True:
        seconds = time.monotonic() - began
        assert seconds < 15, f"no signal noticed the fault: {state}"
        stats = harness.delivery.stats.snapshot()
        if seconds >= FAULT_SECONDS and all(page.retries >= before[signal] + 2 for signal, page in stats.items()):
            return
        time.sleep(0.02)


def outage(receiver, status):
    """Down, black hole, 503, each for a while, each followed by a moment of health."""
    receiver.stop()
    yield "down"
    receiver.start()
    yield "up"
    receiver.black_hole()
    yield "black hole"
    receiver.accept()
    yield "up"
    receiver.respond_status(status)
    yield "503"
    receiver.accept()
    yield "up"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_fault_of_the_endpoint_loses_or_doubles_anything(protocol):
    double = OtlpReceiver() if protocol == "http/protobuf" else OtlpGrpcReceiver()
    with (
        double as receiver,
        DeliveryHarness(
            receiver.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_TIMEOUT=TIMEOUT_MS
        ) as harness,
    ):
        with Stream(harness) as stream:
            for state in outage(receiver, 503 if protocol == "http/protobuf" else "UNAVAILABLE"):
                if state == "up":
                    assert harness.delivery.force_flush(10.0), "the endpoint is back and does not get what waited"
                else:
                    before = harness.recorded
                    suffer(harness, state)
                    # No fault is felt: a record never waits for the endpoint.
                    assert harness.recorded - before > LEAST_RECORDED, state
        report = harness.close(4.0)

        # Nor does it wait for one try into the black hole, which ends no sooner.
        assert stream.slowest_seconds < int(TIMEOUT_MS) / 1000
        assert harness.recorded > 1_000
        expected = list(range(harness.recorded))
        assert [span["attributes"]["n"] for span in receiver.spans] == expected
        assert [record["body"] for record in receiver.log_records] == expected
        assert len({span["span_id"] for span in receiver.spans}) == harness.recorded
        assert receiver.metric_value("recorded", kind="harness") == harness.recorded
        assert report.is_complete
        stats = harness.delivery.stats.snapshot()
        assert (stats["traces"].exported, stats["logs"].exported) == (harness.recorded, harness.recorded)


def test_an_outage_longer_than_the_buffer_loses_the_oldest_and_counts_each():
    with OtlpReceiver() as receiver, DeliveryHarness(receiver.endpoint, buffer_bytes=60_000) as harness:
        receiver.stop()
        for _ in range(40):
            harness.record(50)
            time.sleep(0.01)
        wait_for(
            lambda: harness.delivery.stats.snapshot()["traces"].dropped["buffer_full"],
            "the bound was never reached",
            timeout_seconds=5,
        )
        receiver.start()
        harness.delivery.force_flush(8.0)
        stats = harness.delivery.stats.snapshot()
        arrived = [span["attributes"]["n"] for span in receiver.spans]
        assert arrived == sorted(set(arrived))
        assert arrived[-1] == harness.recorded - 1, "the newest survive"
        assert len(arrived) == stats["traces"].exported
        assert stats["traces"].exported + stats["traces"].dropped["buffer_full"] == harness.recorded
        assert stats["logs"].exported + stats["logs"].dropped["buffer_full"] == harness.recorded
        assert receiver.metric_value("recorded", kind="harness") == harness.recorded, (
            "counts survive: they are cumulative"
        )
