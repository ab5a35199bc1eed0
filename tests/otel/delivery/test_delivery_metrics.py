"""Metrics are cumulative: the newest push replaces an undelivered one, and the last collection is pushed at shutdown."""

import random

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.metric_push import FIRST_PUSH_SECONDS, MetricPush
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Refused, RetryLater
from tests.harness.clock import ManualClock
from tests.harness.scripted_sender import ScriptedSender

INTERVAL = 15.0


class Harness:
    """A push whose collections are numbered: the body of the third is `b"3"`."""

    def __init__(self, outcomes=(), collect=None):
        self.clock = ManualClock()
        self.sender = ScriptedSender(outcomes)
        self.collections = 0
        self.acknowledged_after = []
        self.push = MetricPush(
            collect or self._collect,
            self,
            self.sender,
            Backoff(random.Random(3).random, self.clock),
            StateLog("metrics", "collector:4318", self.clock),
            interval_seconds=INTERVAL,
            timeout_seconds=10.0,
            clock=self.clock,
        )

    def _collect(self):
        self.collections += 1
        return MetricsData(resource_metrics=["not empty"])

    def encode(self, data, *, is_last):
        if data is None:
            return b""
        return b"%d%s" % (self.collections, b" last" if is_last else b"")

    def acknowledged(self):
        self.acknowledged_after.append(len(self.sender.attempts))

    def run(self, seconds):
        """Step as the thread does for a while."""
        end = self.clock() + seconds
        while self.clock() < end:
            self.clock.advance(min(self.push.step(), end - self.clock()))

    @property
    def stats(self):
        return self.push.queue.stats()

    @property
    def dropped(self):
        return {reason: count for reason, count in self.stats.dropped.items() if count}


def test_the_first_push_comes_early_and_then_one_every_interval():
    harness = Harness()
    harness.run(FIRST_PUSH_SECONDS / 2)
    assert harness.sender.accepted == []
    harness.run(FIRST_PUSH_SECONDS)
    assert harness.sender.accepted == [b"1"]
    harness.run(INTERVAL * 3)
    assert harness.sender.accepted == [b"1", b"2", b"3", b"4"]
    assert (harness.stats.exported, harness.stats.queued_items, harness.dropped) == (4, 0, {})


def test_a_failed_push_is_tried_again_and_replaced_by_the_next_one_without_a_loss():
    harness = Harness([RetryLater(reason="down")] * 8)
    harness.run(INTERVAL * 3)
    bodies = [body for body, _ in harness.sender.attempts]
    assert bodies[:3] == [b"1", b"1", b"1"]
    assert b"2" in bodies
    assert harness.sender.accepted[0] != b"1"
    assert bodies == sorted(bodies)
    assert harness.dropped == {}
    assert harness.stats.retries == 8


def test_what_is_queued_is_one_push():
    harness = Harness([RetryLater(reason="down", retry_after_seconds=50)])
    harness.run(INTERVAL * 2)
    assert (harness.stats.queued_items, harness.stats.queued_bytes) == (1, 1)


@pytest.mark.parametrize("outcome", [Refused(reason="HTTP 400"), Accepted(rejected_items=5, message="bad")])
def test_a_push_that_is_refused_or_rejected_in_part_is_one_lost_push(outcome):
    harness = Harness([outcome])
    harness.run(INTERVAL)
    assert (harness.dropped, harness.stats.exported) == ({"rejected": 1}, 0)
    assert len(harness.sender.attempts) == 1


def test_a_collection_that_fails_is_counted_logged_once_and_does_not_end_the_pushing(caplog):
    failures = [ValueError("callback"), ValueError("callback")]

    def collect():
        if failures:
            raise failures.pop()
        return MetricsData(resource_metrics=["not empty"])

    harness = Harness(collect=collect)
    harness.run(INTERVAL * 4)
    assert harness.dropped == {"encoding": 2}
    assert harness.stats.exported >= 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # it fails, it works again


def test_an_empty_collection_pushes_nothing():
    harness = Harness(collect=lambda: None)
    harness.push.flush()
    mark = harness.push.queue.mark() - 1
    harness.run(INTERVAL * 2)
    assert harness.sender.attempts == []
    assert harness.push.queue.is_past(mark)


def test_a_flush_is_over_when_something_collected_after_it_is_delivered():
    harness = Harness([RetryLater(reason="down")])
    mark = harness.push.queue.mark()
    harness.push.flush()
    harness.push.step()
    assert not harness.push.queue.is_past(mark)
    harness.run(1.0)
    assert harness.push.queue.is_past(mark)
    assert harness.collections == 1


def test_a_push_that_was_on_the_wire_when_the_flush_was_requested_does_not_complete_it():
    harness = Harness()
    send = harness.sender.send

    def send_slowly(body, timeout_seconds):
        harness.mark = harness.push.queue.mark()
        harness.push.flush()
        return send(body, timeout_seconds)

    harness.sender.send = send_slowly
    harness.clock.advance(FIRST_PUSH_SECONDS)
    harness.push.step()
    harness.sender.send = send
    assert harness.stats.exported == 1
    assert not harness.push.queue.is_past(harness.mark)
    harness.push.step()
    assert harness.push.queue.is_past(harness.mark)
    assert harness.collections == 2


def test_shutdown_collects_once_more_and_is_done_when_that_is_delivered():
    harness = Harness()
    harness.run(INTERVAL)
    harness.push.enter_shutdown(harness.clock() + 4)
    assert not harness.push.is_done
    harness.push.step()
    assert harness.push.is_done
    assert harness.sender.accepted[-1] == b"%d last" % harness.collections
    assert harness.push.queue.abandon() == 0


def test_shutdown_abandons_at_the_deadline_and_counts_one_lost_push():
    harness = Harness([RetryLater(reason="down")] * 1_000)
    harness.run(INTERVAL)
    harness.push.enter_shutdown(harness.clock() + 4)
    harness.run(4.1)
    assert harness.push.is_done
    assert harness.push.queue.abandon() == 1
    assert harness.push.queue.abandon() == 1
    assert (harness.dropped, harness.stats.queued_items) == ({"shutdown": 1}, 0)
    assert all(timeout_seconds <= 4 for _, timeout_seconds in harness.sender.attempts[-3:])


def test_only_what_was_accepted_whole_counts_as_acknowledged():
    outcomes = [RetryLater(reason="down"), Accepted(), Accepted(rejected_items=1, message="bad"), Refused(reason="no")]
    harness = Harness(outcomes)
    harness.run(INTERVAL * 4)
    assert len(harness.sender.attempts) == 5
    assert harness.acknowledged_after == [2, 5]


def test_every_collection_of_a_shutdown_is_a_last_one_and_none_before_is():
    harness = Harness([Accepted()] + [RetryLater(reason="down")] * 8)
    harness.run(INTERVAL * 2)
    assert not any(b"last" in body for body, _ in harness.sender.attempts)
    harness.push.enter_shutdown(harness.clock() + INTERVAL * 2)
    harness.run(INTERVAL * 2)
    assert harness.push.is_done
    assert harness.sender.attempts[-1][0].endswith(b" last")
