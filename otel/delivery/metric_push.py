"""METRIC PUSH: collects and pushes the metrics every interval, and once more at the end.

Comes in: `collect`, which returns the SDK's cumulative `MetricsData`. Goes out: encoded pushes to a
sender. Cumulative values make an undelivered push worthless as soon as there is a newer one: it is
replaced, which loses no count. The last push ends the gauges (`staleness.py`). One thread does it
all.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.export_loop import POISON_TRIES
from otel.delivery.state_log import StateLog
from otel.delivery.stats import SignalBooks, SignalStats
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater, Sender

FIRST_PUSH_SECONDS = 1.0
"""The first push comes early, so that counters are seen at 0 before their first event."""


class Encoder(Protocol):
    """Turns collections into bodies; `staleness.py` implements it."""

    def encode(self, data: MetricsData | None, *, is_last: bool) -> bytes:
        """Return a body, empty where there is nothing to push. `is_last`: the process ends."""

    def acknowledged(self) -> None:
        """The endpoint has the latest body, whole."""


class MetricPush:
    """The metrics' delivery. `step` is called by one thread, everything else from any."""

    def __init__(
        self,
        collect: Callable[[], MetricsData | None],
        encoder: Encoder,
        sender: Sender,
        backoff: Backoff,
        state_log: StateLog,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._collect = collect
        self._encoder = encoder
        self._sender = sender
        self._backoff = backoff
        self._state_log = state_log
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._collecting = threading.Lock()
        self._books = SignalBooks()
        self._body: bytes | None = None
        self._restored: deque[bytes] = deque()
        self._restored_tries = 0
        self._due_at = clock() + min(FIRST_PUSH_SECONDS, interval_seconds)
        # How many flushes were asked for, how many of them the present body answers, and how many are over.
        self._asked = self._covered = self._over = 0
        self._is_last = False
        self._settled = False

    def flush(self) -> None:
        """Collect and push now."""
        with self._lock:
            self._asked += 1

    def hurry(self, deadline: float) -> None:
        """Shut down until `deadline`: one final collection, which ends the gauges, and no try outlasts the deadline."""
        with self._lock:
            self._asked += 1
            self._is_last = True
        self._backoff.hurry(deadline)

    def close_intake(self) -> None:
        """Nothing to close: metrics are asked for, not handed over."""

    def mark(self) -> int:
        """Return a mark for `is_past`: it lies behind the next `flush`."""
        return self._asked + 1

    def is_past(self, mark: int) -> bool:
        """Whether a push is over that was collected after the mark was taken."""
        return self._over >= mark

    @property
    def is_done(self) -> bool:
        """Whether the final push is over, or nothing more can be sent before the deadline."""
        return (self._over >= self._asked and not self._restored) or self._backoff.is_over

    def step(self) -> float:
        """Collect if a push is due, send what is there once; returns the seconds to wait before the next step."""
        now = self._clock()
        if self._covered < self._asked or now >= self._due_at:
            self._collect_and_encode(now)
        with self._lock:
            is_restored = bool(self._restored)
            body = self._restored[0] if is_restored else self._body
        if body is None:
            return max(0.0, self._due_at - now)
        wait_seconds = self._backoff.wait_seconds()
        if wait_seconds > 0:
            return max(0.0, min(wait_seconds, self._due_at - now))
        timeout_seconds = self._backoff.limit_seconds(self._timeout_seconds)
        if timeout_seconds > 0:
            self._settle_outcome(body, self._send(body, timeout_seconds), is_restored=is_restored)
        return 0.0

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
        """Return the pushes that are not delivered, those of earlier processes first, as items (1) and body.

        Where the thread still waits for an answer to an older push, the final collection is made here: by the thread that shuts down.
        """
        if self._covered < self._asked:
            self._collect_and_encode(self._clock())
        with self._lock:
            return [(1, body) for body in (*self._restored, *([] if self._body is None else [self._body]))]

    def settle(self, kept_items: int = 0) -> int:
        """Give up the push that is left, one on the wire or not yet collected included; returns how many shutdown lost.

        `kept_items` pushes are not lost: they are kept elsewhere for a later process.
        """
        with self._lock:
            if not self._settled:
                self._settled = True
                left = len(self._restored) + (1 if self._body is not None or self._over < self._asked else 0)
                self._books.dropped["shutdown"] += max(0, left - kept_items)
                self._books.kept += kept_items
                self._restored.clear()
                self._body = None
            return self._books.dropped["shutdown"]

    def stats(self) -> SignalStats:
        """Return the books; safe from any thread."""
        with self._lock:
            bodies = [*self._restored, *([] if self._body is None else [self._body])]
            return self._books.page(queued_items=len(bodies), queued_bytes=sum(map(len, bodies)))

    def _collect_and_encode(self, now: float) -> None:
        """Replace what was not delivered by what is true now. One thread at a time."""
        with self._collecting:
            self._collect_and_encode_alone(now)

    def _collect_and_encode_alone(self, now: float) -> None:
        self._due_at = now + self._interval_seconds
        with self._lock:
            asked, is_last = self._asked, self._is_last
        body, failed = None, False
        try:
            encoded = self._encoder.encode(self._collect(), is_last=is_last)
            if encoded:
                body = self._sender.pack(encoded)
        except Exception as error:  # noqa: BLE001  a callback of the application may raise anything
            failed = True
            self._state_log.cannot_encode(f"{type(error).__name__}: {error}")
        with self._lock:
            self._covered = asked
            if self._settled:
                return
            self._books.dropped["encoding"] += failed
            if not failed:  # else the older push is still better than none
                self._body = body
            if self._body is None:
                self._over = asked

    def _send(self, body: bytes, timeout_seconds: float) -> Outcome:
        try:
            return self._sender.send(body, timeout_seconds)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the thread
            return RetryLater(reason=f"{type(error).__name__}: {error}")

    def _patience_with_restored(self, outcome: Outcome) -> Outcome:
        """Refuse an earlier process's push that is answered with errors for ever: this process's own pushes wait behind it."""
        if not isinstance(outcome, RetryLater) or not (outcome.poison or outcome.unanswered):
            return outcome
        self._restored_tries += 1
        return Refused(reason=outcome.reason) if self._restored_tries >= POISON_TRIES else outcome

    def _settle_outcome(self, body: bytes, outcome: Outcome, *, is_restored: bool) -> None:
        if is_restored:
            outcome = self._patience_with_restored(outcome)
        with self._lock:
            if self._settled:
                return
            if isinstance(outcome, RetryLater):
                self._books.retries += 1
            elif is_restored:
                self._restored.popleft()
                self._restored_tries = 0
                self._books.answered(1, outcome.rejected_items if isinstance(outcome, Accepted) else 1)
            else:
                # A push is one item: one of whose points some were rejected was not delivered as it was.
                if self._body is body:
                    self._body = None
                    self._over = self._covered
                self._books.answered(1, outcome.rejected_items if isinstance(outcome, Accepted) else 1)
        if isinstance(outcome, RetryLater):
            self._state_log.fails(outcome.reason, is_over=self._backoff.is_over)
            self._backoff.failed(outcome.retry_after_seconds)
            return
        self._backoff.succeeded()
        if isinstance(outcome, Refused):
            self._state_log.refuses(outcome.reason)
        elif outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} data points of a push: {outcome.message}")
        else:
            if not is_restored:
                self._encoder.acknowledged()
            self._state_log.works()
