"""A steady stream of all three signals through every fault of an endpoint in turn: nothing lost, nothing twice, nothing out of order."""

import threading
import time

import pytest

from tests.harness.delivery_harness import DeliveryHarness
from tests.harness.otlp_grpc_receiver import OtlpGrpcReceiver
from tests.harness.otlp_receiver import OtlpReceiver
from tests.harness.polling import DEADLINE_SECONDS, wait_for
from tests.harness.watched_sender import acknowledged

pytestmark = pytest.mark.live

FAULT_SECONDS = 1.0
TIMEOUT_MS = "1500"
PER_SECOND = 500


LEAST_RECORDED = 50
"""In each fault. Were each record to wait for one try into the black hole, they would take longer than a test waits."""


class Stream:
    """Records at a steady rate on a thread of its own, as requests do."""

    def __init__(self, harness):
        self._harness = harness
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(1 / PER_SECOND):
            self._harness.record()


def suffer(harness, state):
    """Let a fault last, and at least until every signal has noticed it twice, which no record has waited for."""
    before = {signal: page.retries for signal, page in harness.delivery.stats.snapshot().items()}
    enough = harness.recorded + LEAST_RECORDED
    began = time.monotonic()
    wait_for(
        lambda: (
            time.monotonic() - began >= FAULT_SECONDS
            and harness.recorded >= enough
            and all(page.retries >= before[signal] + 2 for signal, page in harness.delivery.stats.snapshot().items())
        ),
        f"a signal did not notice the fault, or a record waited for it: {state}",
    )


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
        with Stream(harness):
            for state in outage(receiver, 503 if protocol == "http/protobuf" else "UNAVAILABLE"):
                if state == "up":
                    assert harness.delivery.force_flush(DEADLINE_SECONDS), (
                        "the endpoint is back and does not get what waited"
                    )
                else:
                    suffer(harness, state)
        report = harness.close(DEADLINE_SECONDS)

        expected = list(range(harness.recorded))
        received = acknowledged(receiver.requests, harness.tries)
        assert [span["attributes"]["n"] for span in received.spans] == expected
        assert [record["body"] for record in received.log_records] == expected
        assert len({span["span_id"] for span in received.spans}) == harness.recorded
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
        )
        receiver.start()
        harness.delivery.force_flush(DEADLINE_SECONDS)
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
