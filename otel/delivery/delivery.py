"""Starts, flushes and ends the export of all signals, and counts it.

`build.py` wires its parts. Nothing connects before the first batch is sent. Shutdown flushes all
signals at once, within one deadline, whatever the endpoint does. Log records are enqueued until the
other signals are done, because their outcome is logged.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from otel.config.otlp import Signal
from otel.delivery.encoding.item_count import count_items
from otel.delivery.processors import LogDelivery, SpanDelivery
from otel.delivery.spool import CleanupLoop, Leftover, Spool
from otel.delivery.stats import SignalStats
from otel.delivery.transport.sender import Sender
from otel.delivery.worker import Worker

SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
_logger = logging.getLogger("otel.delivery")
_FLUSH_POLL_SECONDS: Final = 0.005
_LAST_ENCODING_SECONDS: Final = 0.2


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What shutdown could not deliver: items per pushed signal, the same numbers as `dropped["shutdown"]` in the counters."""

    lost_items: Mapping[Signal, int]
    duration_seconds: float
    stored_items: Mapping[Signal, int] = {}
    """What is stored on disk for the next start; not lost."""
    refused_items: Mapping[Signal, int] = {}
    """What the endpoint refused during shutdown."""

    @property
    def is_complete(self) -> bool:
        """Whether everything was delivered or stored."""
        return not any(self.lost_items.values()) and not any(self.refused_items.values())


class DeliveryQueue(Protocol):
    """A signal's queue as flush, shutdown and the counters see it."""

    def mark(self) -> int:
        """Return a mark behind everything that was enqueued until now."""

    def is_past(self, mark: int) -> bool:
        """Whether everything before the mark is delivered or dropped."""

    def close_intake(self) -> None:
        """Enqueue nothing more."""

    def restore(self, items: int, body: bytes) -> None:
        """Queue what an earlier process could not deliver, before everything else."""

    @property
    def has_restored(self) -> bool:
        """Whether some of what was restored still waits."""

    def leftovers(self) -> list[tuple[int, bytes]]:
        """Return what is not delivered as items and body, oldest first."""

    def abandon(self, stored_items: int = 0) -> int:
        """Drop what is left, of which `stored_items` are on disk; returns how many items shutdown lost."""

    def stats(self) -> SignalStats:
        """Return the counters."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """One pushed signal: its queue, what sends it, and the thread that does.

    `flush` starts what a flush needs. `enter_shutdown` bounds every further try by a deadline.
    `collect_outstanding` makes the collection that a flush requested and the thread has not made yet.
    """

    signal: Signal
    queue: DeliveryQueue
    sender: Sender
    worker: Worker
    flush: Callable[[], None]
    enter_shutdown: Callable[[float], None]
    collect_outstanding: Callable[[], None] = lambda: None


class DeliveryStats:
    """The counters of all pushed signals."""

    def __init__(self, queues: Mapping[Signal, DeliveryQueue]) -> None:
        self._queues = queues

    def snapshot(self) -> dict[Signal, SignalStats]:
        """Return the counters by pushed signal; safe from any thread, for observable instruments."""
        return {signal: queue.stats() for signal, queue in self._queues.items()}


class Delivery:
    """What `build_delivery` returns. A processor is None where its signal is not pushed."""

    def __init__(
        self,
        pushed: Sequence[Pushed],
        encoder: Worker | None,
        *,
        span_processor: SpanDelivery | None,
        log_processor: LogDelivery | None,
        clock: Callable[[], float],
        spool: Spool | None = None,
    ) -> None:
        self.span_processor = span_processor
        self.log_processor = log_processor
        self.stats = DeliveryStats({each.signal: each.queue for each in pushed})
        self._pushed = pushed
        self._encoder = encoder
        self._clock = clock
        self._spool = spool
        self._cleanup: Worker | None = None
        self._lock = threading.Lock()
        self._started = False
        self._report: DeliveryReport | None = None

    def start(self) -> None:
        """Start the threads; connects to nothing. A second call changes nothing."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        self._restore()
        for worker in self._workers():
            worker.start()

    def _restore(self) -> None:
        """Queue what an earlier process stored; what belongs to a signal that is not pushed any more is dropped."""
        if self._spool is None:
            return
        problem = self._spool.problem()
        if problem is not None:
            _logger.error("telemetry that shutdown cannot deliver will be lost: %s: %s", self._spool.folder, problem)
        by_signal = {each.signal: each for each in self._pushed}
        for left in self._spool.load():
            if (pushed := by_signal.get(left.signal)) is not None:
                pushed.queue.restore(count_items(left.signal, left.payload), pushed.sender.pack(left.payload))
        if self._spool.is_held:
            loop = CleanupLoop(self._spool, lambda: not any(each.queue.has_restored for each in self._pushed))
            self._cleanup = Worker(loop, "otlp-spool", wake=threading.Event())

    def force_flush(self, timeout_seconds: float, *, signals: Collection[Signal] = SIGNALS) -> bool:
        """Push everything that was enqueued until now; returns whether all of it was delivered or dropped in time.

        Blocks: never call it on an event loop. Before `start` nothing is sent.
        """
        return self._flush(signals, self._clock() + timeout_seconds)

    def _flush(self, signals: Collection[Signal], deadline: float) -> bool:
        flushed = [each for each in self._pushed if each.signal in signals]
        marks = [each.queue.mark() for each in flushed]
        for each in flushed:
            each.flush()
        for worker in self._workers():
            worker.wake()
        while not all(each.queue.is_past(mark) for each, mark in zip(flushed, marks, strict=True)):
            if self._clock() >= deadline or self._report is not None:
                return False
            time.sleep(_FLUSH_POLL_SECONDS)
        return True

    def shutdown(self, deadline_seconds: float) -> DeliveryReport:
        """Flush all signals at once until the deadline, drop what is left, and close; returns what was lost.

        Blocks for `deadline_seconds` at most: run it in a thread. A second call returns the first one's report.
        """
        with self._lock:
            if self._report is None:
                self._report = self._shut_down(deadline_seconds)
            return self._report

    def _shut_down(self, deadline_seconds: float) -> DeliveryReport:
        started_at = self._clock()
        refused_before = self._refused()
        self._finish(started_at + deadline_seconds)
        refused = {name: count - refused_before[name] for name, count in self._refused().items()}
        stored = self._store()
        lost_items = {each.signal: each.queue.abandon(stored[each.signal]) for each in self._pushed}
        for each in self._pushed:
            each.sender.close()
        return DeliveryReport(
            lost_items=lost_items,
            duration_seconds=self._clock() - started_at,
            stored_items={name: n for name, n in stored.items() if n},
            refused_items={name: n for name, n in refused.items() if n},
        )

    def _refused(self) -> dict[Signal, int]:
        return {signal: stats.dropped["rejected"] for signal, stats in self.stats.snapshot().items()}

    def _finish(self, deadline: float) -> None:
        """Send what is left until the deadline, and end the threads."""
        others = [each for each in self._pushed if each.signal != "logs"]
        logs = [each for each in self._pushed if each.signal == "logs"]
        for each in others:
            each.queue.close_intake()
        for each in self._pushed:
            each.flush()
            each.enter_shutdown(deadline)
        self._start()  # what ended before a start that never happened is delivered too
        for worker in self._workers():
            worker.wake()
        for each in others:
            each.worker.end()
        for each in others:
            each.worker.join(deadline - self._clock())
        self._flush([each.signal for each in logs], deadline)
        for each in logs:
            each.queue.close_intake()
            each.flush()
        for worker in self._workers():
            worker.end()
        if self._encoder is not None:
            # It needs no endpoint: what was enqueued in the last moment cannot be delivered any more, but stored.
            self._encoder.join(max(deadline - self._clock(), _LAST_ENCODING_SECONDS))
        for worker in self._workers():
            worker.join(deadline - self._clock())

    def _store(self) -> dict[Signal, int]:
        """Write what is left to the spool; return how many items of each signal are safe there."""
        stored: dict[Signal, int] = dict.fromkeys((each.signal for each in self._pushed), 0)
        if self._spool is None:
            return stored
        for pushed in self._pushed:
            pushed.collect_outstanding()
        left = [
            Leftover(each.signal, items, each.sender.unpack(body))
            for each in self._pushed
            for items, body in each.queue.leftovers()
        ]
        if self._spool.write(left):
            for each in left:
                stored[each.signal] += each.items
        return stored

    def _workers(self) -> list[Worker]:
        shared = [worker for worker in (self._encoder, self._cleanup) if worker is not None]
        return shared + [each.worker for each in self._pushed]
