"""Nothing is lost below the bound, the oldest goes above it, and every item is in exactly one place of the counters."""

import logging
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel.delivery.buffer import ExportBuffer
from otel.delivery.encode_loop import EncodeLane, EncodeLoop
from otel.delivery.export_loop import HANG_UP_TRIES, POISON_TRIES, ExportLoop
from otel.delivery.signal_queue import SignalQueue
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Refused, RetryLater
from tests.harness.clock import ManualClock
from tests.harness.scripted_sender import ScriptedSender

BATCH = 4


def encode(items):
    """One fixed-width decimal per item: the body shows what it holds, and 4 bytes per item make bounds countable."""
    if any(item is None for item in items):
        raise TypeError("not encodable")
    return b"".join(b"%04d" % item for item in items)


def decode(bodies):
    return [int(body[at : at + 4]) for body in bodies for at in range(0, len(body), 4)]


class Signal:
    """One signal's queue and loops, stepped by hand."""

    def __init__(self, buffer, clock, *, outcomes=(), max_pending_items=8_192, timeout_seconds=10.0):
        self.full, self.stored = threading.Event(), threading.Event()
        self.clock = clock
        self.sender = ScriptedSender(outcomes)
        self.queue = SignalQueue(
            buffer,
            max_pending_items=max_pending_items,
            batch_size=BATCH,
            batch_full=self.full,
            batch_stored=self.stored,
        )
        self.lane = EncodeLane(
            self.queue,
            encode,
            self.sender.pack,
            StateLog("traces", self.sender.address, clock),
            batch_size=BATCH,
            schedule_delay_seconds=0.5,
        )
        self.encoder = EncodeLoop([self.lane], clock)
        self.backoff = Backoff(random.Random(7).random, clock)
        self.exporter = ExportLoop(
            self.queue,
            self.sender,
            self.backoff,
            StateLog("traces", self.sender.address, clock),
            timeout_seconds=timeout_seconds,
        )

    def offer(self, *items):
        for item in items:
            self.queue.offer(item)

    def encode_all(self):
        self.encoder.flush()
        while self.queue.pending_items:
            self.encoder.step()

    def export_all(self, *, steps=1_000):
        """Step as the thread does: wait out each back-off."""
        for _ in range(steps):
            wait_seconds = self.exporter.step()
            if wait_seconds is None:
                return
            self.clock.advance(wait_seconds)

    @property
    def dropped(self):
        return {reason: count for reason, count in self.queue.stats().dropped.items() if count}


@pytest.fixture
def clock():
    return ManualClock()


def test_everything_is_delivered_once_and_in_order(clock):
    signal = Signal(ExportBuffer(1_000_000), clock)
    signal.offer(*range(10))
    signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(10))
    assert [len(body) // 4 for body in signal.sender.accepted] == [4, 4, 2]
    stats = signal.queue.stats()
    assert (stats.exported, stats.queued_items, stats.queued_bytes, signal.dropped) == (10, 0, 0, {})


def test_a_failed_batch_is_sent_again_as_the_same_bytes_before_anything_newer(clock):
    signal = Signal(ExportBuffer(1_000_000), clock, outcomes=[RetryLater(reason="down")] * 3)
    signal.offer(*range(8))
    signal.encode_all()
    signal.export_all()
    first, second = encode(range(4)), encode(range(4, 8))
    assert [body for body, _ in signal.sender.attempts] == [first, first, first, first, second]
    assert signal.queue.stats().retries == 3


def test_above_the_byte_bound_the_oldest_batch_goes(clock):
    signal = Signal(ExportBuffer(32), clock)
    signal.offer(*range(12))
    signal.encode_all()
    assert signal.dropped == {"buffer_full": 4}
    assert signal.queue.stats().queued_bytes == 32
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(4, 12))


def test_the_bound_is_shared_and_the_oldest_of_any_signal_goes(clock):
    buffer = ExportBuffer(32)
    older, newer = Signal(buffer, clock), Signal(buffer, clock)
    older.offer(*range(4))
    older.encode_all()
    newer.offer(*range(8))
    newer.encode_all()
    assert (older.dropped, newer.dropped) == ({"buffer_full": 4}, {})
    older.offer(*range(4))
    older.encode_all()
    assert (older.dropped, newer.dropped) == ({"buffer_full": 4}, {"buffer_full": 4})


def test_the_batch_on_the_wire_is_spared(clock):
    signal = Signal(ExportBuffer(32), clock)
    signal.offer(*range(8))
    signal.encode_all()
    on_the_wire = signal.queue.head()
    signal.offer(*range(8, 12))
    signal.encode_all()
    assert signal.queue.head() == on_the_wire
    signal.queue.accepted()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(8, 12))
    assert signal.queue.stats().exported == 8
    assert signal.dropped == {"buffer_full": 4}


def test_the_batch_on_the_wire_is_spared_for_one_of_another_signal(clock):
    buffer = ExportBuffer(32)
    sending, idle = Signal(buffer, clock), Signal(buffer, clock)
    sending.offer(*range(4))
    sending.encode_all()
    sending.queue.head()
    idle.offer(*range(8))
    idle.encode_all()
    assert (sending.dropped, idle.dropped) == ({}, {"buffer_full": 4})
    sending.queue.put_back()
    idle.offer(*range(4))
    idle.encode_all()
    assert (sending.dropped, idle.dropped) == ({"buffer_full": 4}, {"buffer_full": 4})


def test_no_try_outlasts_the_deadline_of_a_shutdown(clock):
    signal = Signal(ExportBuffer(1_000), clock, outcomes=[RetryLater(reason="down")] * 100)
    signal.offer(*range(4))
    signal.encode_all()
    signal.exporter.step()
    signal.exporter.enter_shutdown(clock() + 3.0)
    while not signal.exporter.is_done:
        clock.advance(signal.exporter.step() or 0.0)
    limits = [timeout_seconds for _, timeout_seconds in signal.sender.attempts]
    assert limits[:2] == [10.0, 3.0]
    assert len(limits) > 4
    assert limits[1:] == sorted(limits[1:], reverse=True)


def test_a_batch_above_the_bound_is_dropped_and_not_retained_indefinitely(clock):
    signal = Signal(ExportBuffer(15), clock)
    signal.offer(*range(4))
    signal.encode_all()
    assert (signal.dropped, signal.queue.stats().queued_items) == ({"buffer_full": 4}, 0)


def test_too_many_pending_items_drop_the_oldest(clock):
    signal = Signal(ExportBuffer(1_000), clock, max_pending_items=6)
    signal.offer(*range(10))
    assert signal.dropped == {"buffer_full": 4}
    signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(4, 10))


def test_a_batch_is_due_when_it_is_full_or_after_the_schedule_delay(clock):
    signal = Signal(ExportBuffer(1_000), clock)
    signal.encoder.step()
    signal.offer(*range(3))
    assert not signal.full.is_set()
    assert 0 < signal.encoder.step() <= 0.5
    assert signal.queue.pending_items == 3
    signal.offer(3)
    assert signal.full.is_set()
    signal.encoder.step()
    assert signal.queue.pending_items == 0
    signal.offer(4)
    clock.advance(0.5)
    signal.encoder.step()
    assert signal.queue.pending_items == 0
    assert signal.stored.is_set()


def test_an_item_that_cannot_be_encoded_does_not_take_its_batch_along(clock, caplog):
    signal = Signal(ExportBuffer(1_000), clock)
    signal.offer(0, None, 2, None, 4)
    signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == [0, 2, 4]
    assert signal.dropped == {"encoding": 2}
    assert len([record for record in caplog.records if record.name == "otel.delivery"]) == 1


def test_refused_and_partly_rejected_batches_are_counted_and_not_tried_again(clock):
    signal = Signal(
        ExportBuffer(1_000), clock, outcomes=[Refused(reason="HTTP 400"), Accepted(rejected_items=3, message="too old")]
    )
    signal.offer(*range(8))
    signal.encode_all()
    signal.export_all()
    assert len(signal.sender.attempts) == 2
    assert (signal.queue.stats().exported, signal.dropped) == (1, {"rejected": 7})


@pytest.mark.parametrize("rejected", [-1, 99])
def test_an_endpoint_that_miscounts_does_not_corrupt_the_counters(clock, rejected):
    signal = Signal(ExportBuffer(1_000), clock, outcomes=[Accepted(rejected_items=rejected)])
    signal.offer(*range(4))
    signal.encode_all()
    signal.export_all()
    stats = signal.queue.stats()
    assert stats.exported + stats.dropped["rejected"] == 4


def test_a_batch_that_only_brings_server_errors_does_not_block_the_rest_indefinitely(clock):
    poison = RetryLater(reason="HTTP 500", poison=True)
    signal = Signal(ExportBuffer(1_000), clock, outcomes=[poison] * POISON_TRIES)
    signal.offer(*range(8))
    signal.encode_all()
    began = clock()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(4, 8))
    assert signal.dropped == {"rejected": 4}
    assert clock() - began > 60


def test_a_batch_on_which_the_endpoint_closes_the_connection_blocks_only_itself(clock):
    signal = Signal(ExportBuffer(10_000), clock)
    accept = signal.sender.send

    def send(body, timeout_seconds):
        if body == poison:
            return RetryLater(reason="hung up", no_response=True)
        return accept(body, timeout_seconds)

    signal.sender.send = send
    signal.offer(*range(4))
    signal.encode_all()
    poison = signal.queue.head().body
    for first in range(4, 44, 4):
        signal.offer(*range(first, first + 4))
        signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(4, 44))
    assert signal.queue.stats().exported == 40
    # Alone it is tried again and again: nothing waits behind it. A batch accepted meanwhile shows that the endpoint is healthy.
    assert signal.dropped == {}
    for first in range(100, 100 + 4 * HANG_UP_TRIES, 4):
        signal.offer(*range(first, first + 4))
        signal.encode_all()
        signal.export_all(steps=20)
    assert signal.dropped == {"rejected": 4}
    assert signal.queue.is_empty


def test_an_endpoint_that_responds_to_nothing_loses_nothing(clock):
    silent = RetryLater(reason="timed out", no_response=True)
    signal = Signal(ExportBuffer(10_000), clock, outcomes=[silent] * 100)
    signal.offer(*range(20))
    signal.encode_all()
    signal.export_all()
    assert sorted(decode(signal.sender.accepted)) == list(range(20))
    assert signal.dropped == {}


def test_a_sender_that_raises_is_a_failed_try(clock):
    signal = Signal(ExportBuffer(1_000), clock, outcomes=[RuntimeError("bug")])
    signal.offer(*range(4))
    signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(4))


def test_abandoning_counts_what_is_left_wherever_it_is_and_nothing_after_it(clock):
    signal = Signal(ExportBuffer(1_000), clock)
    signal.offer(*range(4))
    signal.encode_all()
    signal.queue.head()
    signal.offer(*range(4, 9))
    encoding = signal.queue.take()
    assert signal.queue.stats().queued_items == 9
    signal.queue.close_intake()
    assert signal.queue.abandon() == 9
    signal.queue.accepted()
    signal.queue.store(encode(encoding), len(encoding))
    signal.offer(99)
    assert signal.queue.abandon() == 10
    stats = signal.queue.stats()
    assert (stats.exported, stats.queued_items, stats.queued_bytes, signal.dropped) == (0, 0, 0, {"shutdown": 10})


def test_an_outage_is_two_lines_and_a_flapping_endpoint_two_per_quiet_time(clock, caplog):
    caplog.set_level(logging.INFO, logger="otel.delivery")
    signal = Signal(ExportBuffer(1_000_000), clock, outcomes=[RetryLater(reason="refused")] * 20)
    signal.offer(*range(40))
    signal.encode_all()
    signal.export_all()
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "traces do not reach collector:4318",
        "traces reach collector:4318 again",
    ]
    caplog.clear()
    clock.advance(100)
    signal.sender.script = [RetryLater(reason="refused"), Accepted()] * 10
    signal.offer(*range(40))
    signal.encode_all()
    began = clock()
    signal.export_all()
    assert clock() - began < 10
    assert len(caplog.records) == 2


OFFER = st.tuples(st.just("offer"), st.integers(1, 9))
STEP = st.tuples(
    st.sampled_from(["encode", "flush", "accept", "retry", "refuse", "reject", "raise"]), st.integers(0, 5)
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.one_of(OFFER, STEP), max_size=60),
    st.integers(16, 200),
    st.integers(4, 20),
)
def test_every_item_is_in_exactly_one_place_and_the_bounds_hold(story, max_bytes, max_pending_items):
    clock = ManualClock()
    buffer = ExportBuffer(max_bytes)
    signal = Signal(buffer, clock, max_pending_items=max_pending_items)
    offered = 0
    outcomes = {
        "accept": lambda n: Accepted(),
        "retry": lambda n: RetryLater(reason="503", retry_after_seconds=n or None),
        "refuse": lambda n: Refused(reason="400"),
        "reject": lambda n: Accepted(rejected_items=n),
        "raise": lambda n: RuntimeError("bug"),
    }
    for step, n in story:
        if step == "offer":
            signal.offer(*range(offered, offered + n))
            offered += n
        elif step == "encode":
            clock.advance(n)
            signal.encoder.step()
        elif step == "flush":
            signal.encode_all()
        else:
            signal.sender.script = [outcomes[step](n)]
            clock.advance(max(0.0, signal.exporter.step() or 0.0))
        stats = signal.queue.stats()
        assert offered == stats.exported + sum(stats.dropped.values()) + stats.queued_items
        assert buffer.size_bytes == stats.queued_bytes <= max_bytes
        assert signal.queue.pending_items <= max_pending_items
    signal.sender.script = []
    signal.encode_all()
    signal.export_all()
    delivered = decode(signal.sender.accepted)
    assert delivered == sorted(set(delivered)), "nothing twice, nothing out of order"
    stats = signal.queue.stats()
    assert stats.queued_items == 0
    # Of a batch that was rejected in part, the bytes arrived, and the counters say what the endpoint took of it.
    assert len(delivered) >= stats.exported
    assert set(delivered) <= set(range(offered))
    assert stats.exported == offered - sum(stats.dropped.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=30), st.integers(1, 40))
def test_below_the_bound_nothing_is_lost_whatever_fails_in_between(failures, offered):
    clock = ManualClock()
    signal = Signal(
        ExportBuffer(offered * 4), clock, outcomes=[RetryLater(reason="x") if each else Accepted() for each in failures]
    )
    for item in range(offered):
        signal.offer(item)
        if item % 3 == 0:
            signal.encode_all()
            signal.exporter.step()
    signal.encode_all()
    signal.export_all()
    assert decode(signal.sender.accepted) == list(range(offered))
    assert signal.dropped == {}


def test_offers_from_many_threads_under_overflow_are_all_counted(clock):
    signal = Signal(ExportBuffer(400), clock, max_pending_items=50)
    done = threading.Event()

    def encode_and_export():
        while not done.is_set() or signal.queue.pending_items:
            signal.encoder.flush()
            signal.encoder.step()
            signal.exporter.step()

    worker = threading.Thread(target=encode_and_export)
    worker.start()
    producers = [threading.Thread(target=lambda: signal.offer(*range(2_000))) for _ in range(4)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    done.set()
    worker.join()
    signal.export_all()
    stats = signal.queue.stats()
    assert stats.queued_items == 0
    assert stats.exported + sum(stats.dropped.values()) == 8_000
    assert stats.exported == len(decode(signal.sender.accepted))
