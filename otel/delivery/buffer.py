"""The encoded batches of all signals, oldest first, within one bound of bytes.

When the bound is reached, the oldest batch of any signal is dropped and counted. No I/O, no waiting.
"""

import threading
from collections import deque
from itertools import count

import msgspec

from otel.delivery.stats import SignalCounters


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
        self.queues: list[BatchQueue] = []
        self.size_bytes = 0

    def make_room(self) -> None:
        """Drop the oldest batches until the bound holds; the one that is being sent is spared. The caller holds the lock."""
        while self.size_bytes > self.max_bytes:
            candidates = [queue for queue in self.queues if queue.oldest_idle() is not None]
            if not candidates:
                return
            min(candidates, key=_age).drop_oldest_idle()


class BatchQueue:
    """One signal's batches, of which the first may be on the wire. Its owner holds the buffer's lock around every call."""

    def __init__(self, buffer: ExportBuffer, counters: SignalCounters) -> None:
        self._buffer = buffer
        self._counters = counters
        self._batches: deque[Batch] = deque()
        self._is_sending = False
        self.items = 0
        self.size_bytes = 0
        with buffer.lock:
            buffer.queues.append(self)

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def has_restored(self) -> bool:
        """Whether a batch of an earlier process is among them."""
        return any(batch.is_restored for batch in self._batches)

    def append(self, items: int, body: bytes, *, is_restored: bool = False) -> None:
        """Queue a batch behind all others, and make room for it."""
        self._batches.append(Batch(next(self._buffer.sequences), items, body, is_restored))
        self._resize(items, len(body))
        self._buffer.make_room()

    def send_first(self) -> Batch | None:
        """Return the oldest batch; it is spared from drops until `remove_sent` or `put_back`."""
        if not self._batches:
            return None
        self._is_sending = True
        return self._batches[0]

    def remove_sent(self) -> Batch:
        """Remove the batch that was being sent."""
        self._is_sending = False
        batch = self._batches.popleft()
        self._resize(-batch.items, -len(batch.body))
        return batch

    def put_back(self, *, behind: bool) -> None:
        """Keep the batch that was being sent, as the next one or `behind` all others; it may be dropped again."""
        self._is_sending = False
        if behind:
            self._batches.rotate(-1)
        self._buffer.make_room()

    def leftovers(self) -> list[tuple[int, bytes]]:
        """Return every batch, one on the wire included, as items and body."""
        return [(batch.items, batch.body) for batch in self._batches]

    def clear(self) -> None:
        """Remove every batch, one on the wire included."""
        self._batches.clear()
        self._resize(-self.items, -self.size_bytes)

    def oldest_idle(self) -> Batch | None:
        """Return the oldest batch that is not being sent."""
        position = 1 if self._is_sending else 0
        return self._batches[position] if len(self._batches) > position else None

    def drop_oldest_idle(self) -> None:
        """Drop and count that batch; the caller knows that there is one."""
        position = 1 if self._is_sending else 0
        batch = self._batches[position]
        del self._batches[position]
        self._resize(-batch.items, -len(batch.body))
        self._counters.dropped["buffer_full"] += batch.items

    def _resize(self, items: int, size_bytes: int) -> None:
        self.items += items
        self.size_bytes += size_bytes
        self._buffer.size_bytes += size_bytes


def _age(queue: BatchQueue) -> int:
    """Order queues by their oldest batch."""
    batch = queue.oldest_idle()
    return batch.sequence if batch is not None else -1
