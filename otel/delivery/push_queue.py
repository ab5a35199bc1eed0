"""The metric pushes that are not delivered: the newest of this process, and the last ones of earlier processes.

Cumulative values make an undelivered push worthless as soon as there is a newer one, so a newer one
replaces it, which loses no count.
"""

import threading
from collections import deque
from typing import NamedTuple

from otel.delivery.stats import SignalCounters, SignalStats


class Push(NamedTuple):
    """One encoded push; `is_restored` of an earlier process."""

    body: bytes
    is_restored: bool


class PushQueue:
    """Safe from any thread; one thread sends. A push is one item.

    Flushes are numbered: how many were requested, how many of them the present body covers, how many are completed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters = SignalCounters()
        self._body: bytes | None = None
        self._restored: deque[bytes] = deque()
        self._requested = self._covered = self._completed = 0
        self._is_last = False
        self._is_abandoned = False

    def request(self, *, is_last: bool = False) -> None:
        """Ask for a collection now; the last one ends the gauges."""
        with self._lock:
            self._requested += 1
            self._is_last = self._is_last or is_last

    @property
    def requested(self) -> tuple[int, bool]:
        """How many collections were requested, and whether the last one was."""
        with self._lock:
            return self._requested, self._is_last

    @property
    def is_outstanding(self) -> bool:
        """Whether a collection was requested that no body covers."""
        return self._covered < self._requested

    @property
    def is_empty(self) -> bool:
        """Whether every requested push is over and nothing restored waits."""
        return self._completed >= self._requested and not self._restored

    def replace(self, body: bytes | None, requested: int, *, has_failed: bool = False) -> None:
        """Put the newest body in place of an older one, None where there is nothing to push.

        Where encoding has failed the older one stays: it is better than none.
        """
        with self._lock:
            self._covered = requested
            if self._is_abandoned:
                return
            self._counters.dropped["encoding"] += has_failed
            if not has_failed:
                self._body = body
            if self._body is None:
                self._completed = requested

    def first(self) -> Push | None:
        """Return the push to send next: those of earlier processes first."""
        with self._lock:
            if self._restored:
                return Push(self._restored[0], is_restored=True)
            return None if self._body is None else Push(self._body, is_restored=False)

    def retried(self) -> bool:
        """Count a push that is sent again; returns False after `abandon`, when outcomes change nothing any more."""
        with self._lock:
            self._counters.retries += not self._is_abandoned
            return not self._is_abandoned

    @property
    def is_abandoned(self) -> bool:
        """Whether outcomes change nothing any more."""
        return self._is_abandoned

    def sent(self, push: Push, rejected_items: int) -> None:
        """Remove a push that the endpoint has or refuses; nothing after `abandon`.

        A push some of whose points were rejected was not delivered as it was, so it counts as rejected.
        """
        with self._lock:
            if self._is_abandoned:
                return
            if push.is_restored:
                self._restored.popleft()
            elif self._body is push.body:
                self._body = None
                self._completed = self._covered
            self._counters.acknowledged(1, rejected_items)

    def mark(self) -> int:
        """Return a mark for `is_past`: the number of the next requested flush."""
        return self._requested + 1

    def is_past(self, mark: int) -> bool:
        """Whether a push that was collected after the mark has completed."""
        return self._completed >= mark

    def close_intake(self) -> None:
        """Nothing to close: metrics are collected, not enqueued."""

    def restore(self, items: int, body: bytes) -> None:
        """Queue the last push of an earlier process: its counters are final, and other series than this process's."""
        del items  # a push is one
        with self._lock:
            self._restored.append(body)

    @property
    def has_restored(self) -> bool:
        """Whether some of what was restored still waits."""
        return bool(self._restored)

    def leftovers(self) -> list[tuple[int, bytes]]:
        """Return the pushes that are not delivered, those of earlier processes first, as items (1) and body."""
        with self._lock:
            return [(1, body) for body in self._bodies()]

    def abandon(self, stored_items: int = 0) -> int:
        """Drop what is left, a push on the wire or not yet collected included; returns how many pushes shutdown lost.

        `stored_items` of them are not lost: they are stored for a later process.
        """
        with self._lock:
            if not self._is_abandoned:
                self._is_abandoned = True
                is_pending = self._body is not None or self._completed < self._requested
                self._counters.abandoned(len(self._restored) + is_pending, stored_items)
                self._restored.clear()
                self._body = None
            return self._counters.dropped["shutdown"]

    def stats(self) -> SignalStats:
        """Return the counters."""
        with self._lock:
            bodies = self._bodies()
            return self._counters.snapshot(queued_items=len(bodies), queued_bytes=sum(map(len, bodies)))

    def _bodies(self) -> list[bytes]:
        return [*self._restored, *([] if self._body is None else [self._body])]
