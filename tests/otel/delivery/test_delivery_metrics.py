"""Metrics are cumulative: the newest push replaces an undelivered one, and the last collection is pushed at shutdown."""

import random

import pytest
from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.metric_push import FIRST_PUSH_SECONDS, MetricPush
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Refused, RetryLater
from tests.harness.scripted_sender import ManualClock, ScriptedSender

INTERVAL = 15.0


class Rig:
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
        return self.push.stats()

    @property
    def dropped(self):
        return {reason: count for reason, count in self.stats.dropped.items() if count}


def test_the_first_push_comes_early_and_then_one_every_interval():
    rig = Rig()
    rig.run(FIRST_PUSH_SECONDS / 2)
    assert rig.sender.accepted == []
    rig.run(FIRST_PUSH_SECONDS)
    assert rig.sender.accepted == [b"1"]
    rig.run(INTERVAL * 3)
    assert rig.sender.accepted == [b"1", b"2", b"3", b"4"]
    assert (rig.stats.exported, rig.stats.queued_items, rig.dropped) == (4, 0, {})


def test_a_failed_push_is_tried_again_and_replaced_by_the_next_one_without_a_loss():
    rig = Rig([RetryLater(reason="down")] * 8)
    rig.run(INTERVAL * 3)
    bodies = [body for body, _ in rig.sender.attempts]
    assert bodies[:3] == [b"1", b"1", b"1"]
    assert b"2" in bodies
    assert rig.sender.accepted[0] != b"1"
    assert bodies == sorted(bodies)
    assert rig.dropped == {}
    assert rig.stats.retries == 8


def test_what_is_queued_is_one_push():
    rig = Rig([RetryLater(reason="down", retry_after_seconds=50)])
    rig.run(INTERVAL * 2)
    assert (rig.stats.queued_items, rig.stats.queued_bytes) == (1, 1)


@pytest.mark.parametrize("outcome", [Refused(reason="HTTP 400"), Accepted(rejected_items=5, message="bad")])
def test_a_push_that_is_refused_or_rejected_in_part_is_one_lost_push(outcome):
    rig = Rig([outcome])
    rig.run(INTERVAL)
    assert (rig.dropped, rig.stats.exported) == ({"rejected": 1}, 0)
    assert len(rig.sender.attempts) == 1


def test_a_collection_that_fails_is_counted_said_once_and_does_not_end_the_pushing(caplog):
    failures = [ValueError("callback"), ValueError("callback")]

    def collect():
        if failures:
            raise failures.pop()
        return MetricsData(resource_metrics=["not empty"])

    rig = Rig(collect=collect)
    rig.run(INTERVAL * 4)
    assert rig.dropped == {"encoding": 2}
    assert rig.stats.exported >= 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # it fails, it works again


def test_an_empty_collection_pushes_nothing():
    rig = Rig(collect=lambda: None)
    rig.push.flush()
    mark = rig.push.mark() - 1
    rig.run(INTERVAL * 2)
    assert rig.sender.attempts == []
    assert rig.push.is_past(mark)


def test_a_flush_is_over_when_something_collected_after_it_is_delivered():
    rig = Rig([RetryLater(reason="down")])
    mark = rig.push.mark()
    rig.push.flush()
    rig.push.step()
    assert not rig.push.is_past(mark)
    rig.run(1.0)
    assert rig.push.is_past(mark)
    assert rig.collections == 1


def test_a_push_that_was_on_the_wire_when_the_flush_was_asked_for_does_not_answer_it():
    rig = Rig()
    send = rig.sender.send

    def send_slowly(body, timeout_seconds):
        rig.mark = rig.push.mark()
        rig.push.flush()
        return send(body, timeout_seconds)

    rig.sender.send = send_slowly
    rig.clock.advance(FIRST_PUSH_SECONDS)
    rig.push.step()
    rig.sender.send = send
    assert rig.stats.exported == 1
    assert not rig.push.is_past(rig.mark)
    rig.push.step()
    assert rig.push.is_past(rig.mark)
    assert rig.collections == 2


def test_shutdown_collects_once_more_and_is_done_when_that_is_delivered():
    rig = Rig()
    rig.run(INTERVAL)
    rig.push.hurry(rig.clock() + 4)
    assert not rig.push.is_done
    rig.push.step()
    assert rig.push.is_done
    assert rig.sender.accepted[-1] == b"%d last" % rig.collections
    assert rig.push.settle() == 0


def test_shutdown_gives_up_at_the_deadline_and_counts_one_lost_push():
    rig = Rig([RetryLater(reason="down")] * 1_000)
    rig.run(INTERVAL)
    rig.push.hurry(rig.clock() + 4)
    rig.run(4.1)
    assert rig.push.is_done
    assert rig.push.settle() == 1
    assert rig.push.settle() == 1
    assert (rig.dropped, rig.stats.queued_items) == ({"shutdown": 1}, 0)
    assert all(timeout_seconds <= 4 for _, timeout_seconds in rig.sender.attempts[-3:])


def test_only_what_was_taken_whole_counts_as_acknowledged():
    outcomes = [RetryLater(reason="down"), Accepted(), Accepted(rejected_items=1, message="bad"), Refused(reason="no")]
    rig = Rig(outcomes)
    rig.run(INTERVAL * 4)
    assert len(rig.sender.attempts) == 5
    assert rig.acknowledged_after == [2, 5]


def test_every_collection_of_a_shutdown_is_a_last_one_and_none_before_is():
    rig = Rig([Accepted()] + [RetryLater(reason="down")] * 8)
    rig.run(INTERVAL * 2)
    assert not any(b"last" in body for body, _ in rig.sender.attempts)
    rig.push.hurry(rig.clock() + INTERVAL * 2)
    rig.run(INTERVAL * 2)
    assert rig.push.is_done
    assert rig.sender.attempts[-1][0].endswith(b" last")
