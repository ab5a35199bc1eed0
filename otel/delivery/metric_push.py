"""Collects and pushes the metrics every interval, and once more at the end. One thread does it all.

In: `collect`, which returns the SDK's cumulative `MetricsData`. Out: encoded pushes to a sender.
"""

import threading
from collections.abc import Callable
from typing import Final, Protocol

from opentelemetry.sdk.metrics.export import MetricsData

from otel.delivery.export_loop import POISON_TRIES
from otel.delivery.push_queue import Push, PushQueue
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater, Sender

FIRST_PUSH_SECONDS: Final = 1.0
"""The first push comes early, so that counters are seen at 0 before their first event."""


class Encoder(Protocol):
    """Turns collections into bodies; `encoding/metrics.py` implements it."""

    def encode(self, data: MetricsData | None, *, is_last: bool) -> bytes:
        """Return a body, empty where there is nothing to push. `is_last`: the process ends."""

    def acknowledged(self) -> None:
        """Remember that the endpoint has the latest body, whole."""


class MetricPush:
    """The metrics' sending loop. `step` is called by one thread, everything else from any."""

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
        self.queue = PushQueue()
        self._collect = collect
        self._encoder = encoder
        self._sender = sender
        self._backoff = backoff
        self._state_log = state_log
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._collecting = threading.Lock()
        self._restored_tries = 0
        self._due_at = clock() + min(FIRST_PUSH_SECONDS, interval_seconds)

    def flush(self) -> None:
        """Collect and push now."""
        self.queue.request()

    def enter_shutdown(self, deadline: float) -> None:
        """Make one final collection, which ends the gauges; no try outlasts the deadline."""
        self.queue.request(is_last=True)
        self._backoff.enter_shutdown(deadline)

    @property
    def is_done(self) -> bool:
        """Whether the final push is over, or nothing more can be sent before the deadline."""
        return self.queue.is_empty or self._backoff.is_over

    def step(self) -> float:
        """Collect if a push is due, send what is there once; returns the seconds to wait before the next step."""
        now = self._clock()
        if self.queue.is_outstanding or now >= self._due_at:
            self._collect_and_encode(now)
        push = self.queue.first()
        if push is None:
            return max(0.0, self._due_at - now)
        wait_seconds = self._backoff.wait_seconds()
        if wait_seconds > 0:
            return max(0.0, min(wait_seconds, self._due_at - now))
        timeout_seconds = self._backoff.limit_seconds(self._timeout_seconds)
        if timeout_seconds > 0:
            self._finish(push, self._send(push.body, timeout_seconds))
        return 0.0

    def collect_outstanding(self) -> None:
        """Make the final collection in the thread that shuts down, where the sending one still waits for a response."""
        if self.queue.is_outstanding:
            self._collect_and_encode(self._clock())

    def _collect_and_encode(self, now: float) -> None:
        """Replace what was not delivered by a new collection. One thread at a time."""
        with self._collecting:
            self._due_at = now + self._interval_seconds
            requested, is_last = self.queue.requested
            try:
                encoded = self._encoder.encode(self._collect(), is_last=is_last)
                body = self._sender.pack(encoded) if encoded else None
            except Exception as error:  # noqa: BLE001  a callback of the application may raise anything
                self._state_log.cannot_encode(f"{type(error).__name__}: {error}")
                self.queue.replace(None, requested, has_failed=True)
            else:
                self.queue.replace(body, requested)

    def _send(self, body: bytes, timeout_seconds: float) -> Outcome:
        try:
            return self._sender.send(body, timeout_seconds)
        except Exception as error:  # noqa: BLE001  a defect here must not end the thread
            return RetryLater(reason=f"{type(error).__name__}: {error}")

    def _finish(self, push: Push, outcome: Outcome) -> None:
        """Count and log one outcome, and pace the next try by it."""
        if push.is_restored:
            outcome = self._bounded(outcome)
        if isinstance(outcome, RetryLater):
            if self.queue.retried():
                self._state_log.fails(outcome.reason, is_over=self._backoff.is_over)
                self._backoff.failed(outcome.retry_after_seconds)
            return
        if self.queue.is_abandoned:
            return
        # Logged first: the line is a log record to deliver, and a flush must not end before it is queued.
        self._backoff.succeeded()
        if isinstance(outcome, Refused):
            self._state_log.refuses(outcome.reason)
        elif outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} data points of a push: {outcome.message}")
        else:
            if not push.is_restored:
                self._encoder.acknowledged()
            self._state_log.works()
        self.queue.sent(push, outcome.rejected_items if isinstance(outcome, Accepted) else 1)

    def _bounded(self, outcome: Outcome) -> Outcome:
        """Refuse an earlier process's push after so many errors: this process's own pushes wait behind it."""
        if not isinstance(outcome, RetryLater) or not (outcome.poison or outcome.no_response):
            self._restored_tries = 0 if not isinstance(outcome, RetryLater) else self._restored_tries
            return outcome
        self._restored_tries += 1
        if self._restored_tries < POISON_TRIES:
            return outcome
        self._restored_tries = 0
        return Refused(reason=outcome.reason)
