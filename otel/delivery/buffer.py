"""BUFFER: everything of traces and logs that is not delivered yet, oldest first, within a bound.

Comes in: finished items from any thread (`SignalQueue.offer`), then their encoded batches. Goes
out: batches, oldest first, and books that say what became of each item. When the byte bound is
reached, the oldest batch of any signal is dropped and counted. No I/O, no waiting: the only lock is
held for a few instructions, and `offer` takes it only when it has to drop.
"""

import threading
from collections import deque
from itertools import count
from typing import Generic, TypeVar

import msgspec

from otel.delivery.stats import SignalBooks, SignalStats

Item = TypeVar("Item")


class Batch(msgspec.Struct, frozen=True):
    """One encoded request: its place in the order of all batches, how many items it holds, and its bytes."""

    sequence: int
    items: int
    body: bytes
    is_restored: bool = False


class ExportBuffer:
    """The byte bound and the lock that the queues of several signals share."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.Lock()
        self.sequences = count()
        self.queues: list[SignalQueue[object]] = []
        self.size_bytes = 0

    def make_room(self) -> None:
        """Drop the oldest batches until the bound holds; one that is being sent is spared. The caller holds the lock."""
        while self.size_bytes > self.max_bytes:
            candidates = [queue for queue in self.queues if queue.oldest_idle() is not None]
            if not candidates:
                return
            min(candidates, key=_age).drop_oldest_idle()


class SignalQueue(Generic[Item]):
    """One signal's way through the buffer: pending items, then encoded batches, then the books.

    An item is pending until `take` gives it to the encoder, in hand until `store` brings its bytes, and queued until
    `accepted`, `refused` or a drop. `batch_full` is set when the encoder has a whole batch to do, `batch_stored` when the
    sender has something to send.
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
        self._buffer = buffer
        self._lock = buffer.lock
        self._max_pending_items = max_pending_items
        self._batch_size = batch_size
        self._batch_full = batch_full
        self._batch_stored = batch_stored
        self._pending: deque[Item] = deque()
        self._in_hand = 0
        self._batches: deque[Batch] = deque()
        self._batch_items = 0
        self._batch_bytes = 0
        self._sending = False
        self._closed = False
        self._settled = False
        self._books = SignalBooks()
        with self._lock:
            buffer.queues.append(self)  # type: ignore[arg-type]  # the buffer never looks at an item

    def offer(self, item: Item) -> None:
        """Take one finished item; never blocks, never raises. Where too many wait to be encoded, the oldest is dropped."""
        if self._closed:
            with self._lock:
                self._books.dropped["shutdown"] += 1
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
                self._books.dropped["buffer_full"] += 1

    @property
    def pending_items(self) -> int:
        """How many items wait to be encoded."""
        return len(self._pending)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def take(self) -> list[Item]:
        """Take the oldest pending items, at most a batch, for encoding; `store` must follow."""
        with self._lock:
            taken = [self._pending.popleft() for _ in range(min(self._batch_size, len(self._pending)))]
            self._in_hand = len(taken)
            return taken

    def store(self, body: bytes, items: int, *, failed_items: int = 0) -> None:
        """Queue the encoded form of what was taken: `items` of them are in `body`, `failed_items` could not be encoded."""
        with self._lock:
            self._in_hand = 0
            if self._settled:
                return
            self._books.dropped["encoding"] += failed_items
            if items:
                self._batches.append(Batch(next(self._buffer.sequences), items, body))
                self._resize(items, len(body))
                self._buffer.make_room()
        self._batch_stored.set()

    def head(self) -> Batch | None:
        """Return the oldest batch for sending; it is spared from drops until `accepted`, `refused` or `put_back`."""
        with self._lock:
            if not self._batches or self._settled:
                return None
            self._sending = True
            return self._batches[0]

    def accepted(self, rejected_items: int = 0) -> None:
        """The endpoint acknowledged the batch that was being sent."""
        with self._lock:
            if not self._settled:
                self._books.answered(self._remove_sent().items, rejected_items)

    def refused(self) -> None:
        """The batch that was being sent will never be taken: drop it."""
        with self._lock:
            if not self._settled:
                self._books.dropped["rejected"] += self._remove_sent().items

    def put_back(self, *, behind: bool = False) -> None:
        """The batch that was being sent stays, and may be dropped again; the next to be sent, or `behind` all others."""
        with self._lock:
            if not self._settled:
                self._sending = False
                if behind:
                    self._batches.rotate(-1)
                self._books.retries += 1
                self._buffer.make_room()

    def close_intake(self) -> None:
        """From now on `offer` only counts what it is given as lost at shutdown."""
        self._closed = True

    def restore(self, items: int, body: bytes) -> None:
        """Queue a batch that an earlier process could not deliver. Before the first `store`: it is older than what comes now."""
        with self._lock:
            self._batches.append(Batch(next(self._buffer.sequences), items, body, is_restored=True))
            self._resize(items, len(body))
            self._buffer.make_room()
        self._batch_stored.set()

    @property
    def has_restored(self) -> bool:
        """Whether some of what was restored still waits."""
        with self._lock:
            return any(batch.is_restored for batch in self._batches)

    def leftovers(self) -> list[tuple[int, bytes]]:
        """Return the batches that are not delivered, oldest first, one on the wire included, as items and body."""
        with self._lock:
            return [(batch.items, batch.body) for batch in self._batches]

    def settle(self, kept_items: int = 0) -> int:
        """Give up everything that is left, a batch on the wire included; returns how many items shutdown lost in all.

        `kept_items` of it are not lost: they are kept elsewhere for a later process.
        """
        with self._lock:
            self._closed = True
            if not self._settled:
                self._settled = True
                self._books.dropped["shutdown"] += len(self._pending) + self._in_hand + self._batch_items - kept_items
                self._books.kept += kept_items
                self._pending.clear()
                self._batches.clear()
                self._resize(-self._batch_items, -self._batch_bytes)
            return self._books.dropped["shutdown"]

    def mark(self) -> int:
        """Return a mark for `is_past`: everything that was offered until now lies before it."""
        stats = self.stats()
        return stats.exported + sum(stats.dropped.values()) + stats.queued_items

    def is_past(self, mark: int) -> bool:
        """Whether everything before the mark is exported or dropped; first in, first out, so a count says it."""
        stats = self.stats()
        return stats.exported + sum(stats.dropped.values()) >= mark

    @property
    def is_settled(self) -> bool:
        """Whether shutdown gave up, so that what still comes back changes nothing."""
        return self._settled

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, is being encoded or is being sent."""
        with self._lock:
            return not (self._pending or self._in_hand or self._batches)

    def stats(self) -> SignalStats:
        """Return the books; safe from any thread."""
        with self._lock:
            in_hand = 0 if self._settled else self._in_hand
            return self._books.page(
                queued_items=len(self._pending) + in_hand + self._batch_items, queued_bytes=self._batch_bytes
            )

    def oldest_idle(self) -> Batch | None:
        """Return the oldest batch that is not being sent. The caller holds the lock."""
        position = 1 if self._sending else 0
        return self._batches[position] if len(self._batches) > position else None

    def drop_oldest_idle(self) -> None:
        """Drop it. The caller holds the lock and knows that there is one."""
        position = 1 if self._sending else 0
        batch = self._batches[position]
        del self._batches[position]
        self._resize(-batch.items, -len(batch.body))
        self._books.dropped["buffer_full"] += batch.items

    def _remove_sent(self) -> Batch:
        self._sending = False
        batch = self._batches.popleft()
        self._resize(-batch.items, -len(batch.body))
        return batch

    def _resize(self, items: int, size_bytes: int) -> None:
        self._batch_items += items
        self._batch_bytes += size_bytes
        self._buffer.size_bytes += size_bytes


def _age(queue: SignalQueue[object]) -> int:
    """Order queues by their oldest batch."""
    batch = queue.oldest_idle()
    return batch.sequence if batch is not None else -1
