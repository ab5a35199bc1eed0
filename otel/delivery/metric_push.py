"""METRIC PUSH: collects and pushes the metrics every interval, and once more at the end.

Comes in: `collect`, which returns the SDK's cumulative `MetricsData`. Goes out: encoded pushes to a sender. Cumulative values make an
undelivered push worthless as soon as there is a newer one: it is replaced, which loses no count. One thread does it all.
"""

import threading
from collections.abc import Callable

from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.backoff import Backoff
from otel.delivery.outcome import Accepted, Outcome, Refused, RetryLater, Sender
from otel.delivery.state_log import StateLog
from otel.delivery.stats import SignalBooks, SignalStats

FIRST_PUSH_SECONDS = 1.0
"""The first push comes early, so that counters are seen at 0 before their first event."""


class MetricPush:
    """The metrics' delivery. `step` is called by one thread, everything else from any."""

    def __init__(
        self,
        collect: Callable[[], MetricsData | None],
        encode: Callable[[MetricsData], bytes],
        sender: Sender,
        backoff: Backoff,
        state_log: StateLog,
        *,
        interval_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._collect = collect
        self._encode = encode
        self._sender = sender
        self._backoff = backoff
        self._state_log = state_log
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._books = SignalBooks()
        self._body: bytes | None = None
        self._due_at = clock() + min(FIRST_PUSH_SECONDS, interval_seconds)
        # How many flushes were asked for, how many of them the present body answers, and how many are over.
        self._asked = self._covered = self._over = 0
        self._settled = False

    def flush(self) -> None:
        """Collect and push now."""
        with self._lock:
            self._asked += 1

    def hurry(self, deadline: float) -> None:
        """Shut down until `deadline`: one final collection, and no try outlasts the deadline."""
        with self._lock:
            self._asked += 1
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
        return self._over >= self._asked or self._backoff.is_over

    def step(self) -> float:
        """Collect if a push is due, send what is there once; returns the seconds to wait before the next step."""
        now = self._clock()
        if self._covered < self._asked or now >= self._due_at:
            self._collect_and_encode(now)
        with self._lock:
            body = self._body
        if body is None:
            return max(0.0, self._due_at - now)
        wait_seconds = self._backoff.wait_seconds()
        if wait_seconds > 0:
            return max(0.0, min(wait_seconds, self._due_at - now))
        timeout_seconds = self._backoff.limit_seconds(self._timeout_seconds)
        if timeout_seconds > 0:
            self._settle_outcome(self._send(body, timeout_seconds))
        return 0.0

    def settle(self) -> int:
        """Give up the push that is left, one on the wire or not yet collected included; returns how many shutdown lost."""
        with self._lock:
            if not self._settled:
                self._settled = True
                self._books.dropped["shutdown"] += 1 if self._body is not None or self._over < self._asked else 0
                self._body = None
            return self._books.dropped["shutdown"]

    def stats(self) -> SignalStats:
        """Return the books; safe from any thread."""
        with self._lock:
            size_bytes = 0 if self._body is None else len(self._body)
            return self._books.page(queued_items=0 if self._body is None else 1, queued_bytes=size_bytes)

    def _collect_and_encode(self, now: float) -> None:
        """Replace what was not delivered by what is true now."""
        self._due_at = now + self._interval_seconds
        with self._lock:
            asked = self._asked
        body, failed = None, False
        try:
            data = self._collect()
            if data is not None and data.resource_metrics:
                body = self._sender.pack(self._encode(data))
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

    def _settle_outcome(self, outcome: Outcome) -> None:
        with self._lock:
            if self._settled:
                return
            if isinstance(outcome, RetryLater):
                self._books.retries += 1
            else:
                # A push is one item: one of whose points some were rejected was not delivered as it was.
                self._body = None
                self._over = self._covered
                self._books.answered(1, outcome.rejected_items if isinstance(outcome, Accepted) else 1)
        if isinstance(outcome, RetryLater):
            self._state_log.fails(outcome.reason)
            self._backoff.failed(outcome.retry_after_seconds)
            return
        self._backoff.succeeded()
        if isinstance(outcome, Refused):
            self._state_log.refuses(outcome.reason)
        elif outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} data points of a push: {outcome.message}")
        else:
            self._state_log.works()
