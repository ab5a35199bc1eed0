"""One signal's way through the delivery: items that wait to be encoded, then batches that wait to be sent.

Spans and log records come in from any thread. The only lock is held for a few instructions, and
`offer` takes it only to drop an item.
"""

import threading
from collections import deque
from typing import Generic, TypeVar

from otel.delivery.buffer import Batch, BatchQueue, ExportBuffer
from otel.delivery.stats import SignalCounters, SignalStats

Item = TypeVar("Item")


class SignalQueue(Generic[Item]):
    """Pending until `take` gives an item to the encoder, encoding until `store`, queued until the endpoint has it or it is dropped.

    `batch_full` is set when the encoder has a whole batch to encode, `batch_stored` when the sender has something to send.
    """

    def __init__(
        self,
        buffer: ExportBuffer,
        *,
        max_pending_items: int,
        batch_size: int,
        batch_full: threading.Event,
        batch_stored: threading.Event,
    ) -> None:
        self._lock = buffer.lock
        self._max_pending_items = max_pending_items
        self._batch_size = batch_size
        self._batch_full = batch_full
        self._batch_stored = batch_stored
        self._counters = SignalCounters()
        self._pending: deque[Item] = deque()
        self._encoding = 0
        self._batches = BatchQueue(buffer, self._counters)
        self._is_closed = False
        self._is_abandoned = False

    def offer(self, item: Item) -> None:
        """Enqueue one finished item; never blocks, never raises. Where too many wait to be encoded, the oldest is dropped."""
        if self._is_closed:
            with self._lock:
                self._counters.dropped["shutdown"] += 1
            return
        self._pending.append(item)
        waiting = len(self._pending)
        if waiting >= self._batch_size:
            if not self._batch_full.is_set():
                self._batch_full.set()
            if waiting > self._max_pending_items:
                self._drop_oldest_pending()

    def _drop_oldest_pending(self) -> None:
        with self._lock:
            while len(self._pending) > self._max_pending_items:
                self._pending.popleft()
                self._counters.dropped["buffer_full"] += 1

    @property
    def pending_items(self) -> int:
        """How many items wait to be encoded."""
        return len(self._pending)

    def take(self) -> list[Item]:
        """Return the oldest pending items, at most a batch, for encoding; `store` must follow."""
        with self._lock:
            taken = [self._pending.popleft() for _ in range(min(self._batch_size, len(self._pending)))]
            self._encoding = len(taken)
            return taken

    def store(self, body: bytes, items: int, *, failed_items: int = 0) -> None:
        """Queue the encoded form of what was taken: `items` of them are in `body`, `failed_items` could not be encoded."""
        with self._lock:
            self._encoding = 0
            if self._is_abandoned:
                return
            self._counters.dropped["encoding"] += failed_items
            if items:
                self._batches.append(items, body)
        self._batch_stored.set()

    def head(self) -> Batch | None:
        """Return the oldest batch for sending; it is spared from drops until `accepted`, `refused` or `put_back`."""
        with self._lock:
            return None if self._is_abandoned else self._batches.send_first()

    def accepted(self, rejected_items: int = 0) -> None:
        """Remove the batch that was being sent: the endpoint acknowledged it."""
        with self._lock:
            if not self._is_abandoned:
                self._counters.acknowledged(self._batches.remove_sent().items, rejected_items)

    def refused(self) -> None:
        """Drop the batch that was being sent: the endpoint will never accept it."""
        with self._lock:
            if not self._is_abandoned:
                self._counters.dropped["rejected"] += self._batches.remove_sent().items

    def put_back(self, *, behind: bool = False) -> None:
        """Retain the batch that was being sent, as the next one or `behind` all others."""
        with self._lock:
            if not self._is_abandoned:
                self._counters.retries += 1
                self._batches.put_back(behind=behind)

    def restore(self, items: int, body: bytes) -> None:
        """Queue a batch that an earlier process could not deliver. Before the first `store`: it is older than what comes now."""
        with self._lock:
            self._batches.append(items, body, is_restored=True)
        self._batch_stored.set()

    @property
    def has_restored(self) -> bool:
        """Whether some of what was restored still waits."""
        with self._lock:
            return self._batches.has_restored

    @property
    def is_closed(self) -> bool:
        """Whether no more items are enqueued."""
        return self._is_closed

    def close_intake(self) -> None:
        """Count whatever is offered from now on as dropped at shutdown."""
        self._is_closed = True

    @property
    def is_abandoned(self) -> bool:
        """Whether shutdown dropped what was left, so that outcomes of sending change nothing any more."""
        return self._is_abandoned

    def leftovers(self) -> list[tuple[int, bytes]]:
        """Return the batches that are not delivered, oldest first, one on the wire included, as items and body."""
        with self._lock:
            return self._batches.leftovers()

    def abandon(self, stored_items: int = 0) -> int:
        """Drop everything that is left, a batch on the wire included; returns how many items shutdown lost in all.

        `stored_items` of it are not lost: they are stored for a later process.
        """
        with self._lock:
            self._is_closed = True
            if not self._is_abandoned:
                self._is_abandoned = True
                self._counters.abandoned(len(self._pending) + self._encoding + self._batches.items, stored_items)
                self._pending.clear()
                self._batches.clear()
            return self._counters.dropped["shutdown"]

    def mark(self) -> int:
        """Return a mark for `is_past`: everything that was offered until now is before it."""
        stats = self.stats()
        return stats.exported + sum(stats.dropped.values()) + stats.queued_items

    def is_past(self, mark: int) -> bool:
        """Whether everything before the mark is exported or dropped; a count is enough, because the order never changes."""
        stats = self.stats()
        return stats.exported + sum(stats.dropped.values()) >= mark

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, is being encoded or is being sent."""
        with self._lock:
            return not (self._pending or self._encoding or self._batches)

    def stats(self) -> SignalStats:
        """Return the counters; safe from any thread."""
        with self._lock:
            encoding = 0 if self._is_abandoned else self._encoding
            return self._counters.snapshot(
                queued_items=len(self._pending) + encoding + self._batches.items,
                queued_bytes=self._batches.size_bytes,
            )
