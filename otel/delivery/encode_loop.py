"""Turns finished spans and log records into OTLP bytes, one small batch at a time, on a thread of its own.

One thread encodes all signals, so that no more than one batch at a time competes with requests for
the interpreter. An item that cannot be encoded is dropped and counted; the rest of its batch is not.
"""

from collections.abc import Callable, Sequence
from typing import Any

from otel.delivery.signal_queue import SignalQueue
from otel.delivery.state_log import StateLog

Encode = Callable[[Sequence[Any]], bytes]


class EncodeLane:
    """One signal's encoding: from which queue, how, and how long items may wait for a batch to fill up."""

    def __init__(
        self,
        queue: SignalQueue[Any],
        encode: Encode,
        pack: Callable[[bytes], bytes],
        state_log: StateLog,
        *,
        batch_size: int,
        schedule_delay_seconds: float,
    ) -> None:
        self.queue = queue
        self.schedule_delay_seconds = schedule_delay_seconds
        self._batch_size = batch_size
        self._encode = encode
        self._pack = pack
        self._state_log = state_log
        self._due_at = float("-inf")
        self._to_flush = 0

    def flush(self) -> None:
        """Make due what waits now, not what comes later: a busy process would send batches of one item each."""
        self._to_flush = self.queue.pending_items

    def wait_seconds(self, now: float) -> float:
        """Return how long until this lane has a batch to encode, 0 or less if it has one now."""
        waiting = self.queue.pending_items
        if waiting == 0:
            self._to_flush = 0
        if waiting >= self._batch_size or self._to_flush > 0 or (waiting and self.queue.is_closed):
            return 0.0
        if waiting == 0 and now >= self._due_at:
            self._due_at = now + self.schedule_delay_seconds
        return self._due_at - now

    def encode_one_batch(self) -> None:
        """Encode the oldest pending items, at most a batch."""
        items = self.queue.take()
        self._to_flush = max(0, self._to_flush - len(items))
        body, encoded = b"", 0
        try:
            body, encoded = self._encode_valid(items)
        finally:
            # Whatever the encoder raised: what was taken must not vanish from the counters.
            self.queue.store(body, encoded, failed_items=len(items) - encoded)

    def _encode_valid(self, items: list[Any]) -> tuple[bytes, int]:
        """Return the body and how many of the items it holds."""
        if not items:
            return b"", 0
        try:
            return self._pack(self._encode(items)), len(items)
        except Exception as error:  # noqa: BLE001  whatever the encoder raises, the other items go on
            self._state_log.cannot_encode(f"{type(error).__name__} in a batch of {len(items)}")
        good = [item for item in items if self._can_encode(item)]
        return (self._pack(self._encode(good)), len(good)) if good else (b"", 0)

    def _can_encode(self, item: Any) -> bool:
        try:
            self._encode([item])
        except Exception:  # noqa: BLE001  counted by the caller
            return False
        return True


class EncodeLoop:
    """Runs all lanes. `step` is called by one thread; `flush` from any."""

    def __init__(self, lanes: Sequence[EncodeLane], clock: Callable[[], float]) -> None:
        self._lanes = lanes
        self._clock = clock
        self._flush = False

    def flush(self) -> None:
        """Encode what is pending without waiting for batches to fill up."""
        self._flush = True

    @property
    def is_done(self) -> bool:
        """Whether nothing waits to be encoded."""
        return all(lane.queue.pending_items == 0 for lane in self._lanes)

    def step(self) -> float:
        """Encode at most one batch per lane; returns the seconds until the next one is due."""
        if self._flush:
            self._flush = False  # before the lanes are read: what is requested from here on is another flush
            for lane in self._lanes:
                lane.flush()
        now = self._clock()
        for lane in self._lanes:
            if lane.queue.pending_items and lane.wait_seconds(now) <= 0:
                lane.encode_one_batch()
        return max(0.0, min(lane.wait_seconds(now) for lane in self._lanes))
