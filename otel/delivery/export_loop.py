"""EXPORT: sends one signal's batches, oldest first, until each is acknowledged, refused for good, or dropped by the buffer.

Comes in: batches of the signal's queue. Goes out: calls to a sender, and each outcome to the books, the back-off and the
state log. A batch is removed only after its acknowledgement, and never sent again after it. A time-out after the body was
sent leaves open whether the endpoint has it: the same bytes (the same span ids) are sent again, so they may arrive twice.
"""

from collections.abc import Callable
from typing import Any, Final

from otel.delivery.backoff import Backoff
from otel.delivery.buffer import Batch, SignalQueue
from otel.delivery.outcome import Accepted, Outcome, Refused, RetryLater, Sender
from otel.delivery.state_log import StateLog

POISON_TRIES: Final = 30
"""How often a batch is sent that the endpoint answers with an error outside OTLP's list of retryable ones: over two minutes."""


class ExportLoop:
    """One signal's sending. `step` is called by one thread; `hurry` from any."""

    def __init__(
        self,
        queue: SignalQueue[Any],
        sender: Sender,
        backoff: Backoff,
        state_log: StateLog,
        *,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._backoff = backoff
        self._state_log = state_log
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._not_before = float("-inf")
        self._asked_to_wait = False
        self._deadline = float("inf")
        self._poison = (-1, 0)

    def hurry(self, deadline: float) -> None:
        """Shut down until `deadline`: try now unless the endpoint asked for patience, and let no try outlast it."""
        self._deadline = deadline
        self._backoff.reset()
        if not self._asked_to_wait:
            self._not_before = float("-inf")

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, or nothing more can be sent before the deadline."""
        return self._queue.is_empty or max(self._clock(), self._not_before) >= self._deadline

    def step(self) -> float | None:
        """Send the oldest batch once; returns the seconds to wait before the next step, None until something arrives."""
        now = self._clock()
        if now < self._not_before:
            return self._not_before - now
        timeout_seconds = min(self._timeout_seconds, self._deadline - now)
        if timeout_seconds <= 0:
            return None
        batch = self._queue.head()
        if batch is None:
            return None
        outcome = self._send(batch, timeout_seconds)
        if isinstance(outcome, Accepted):
            self._queue.accepted(outcome.rejected_items)
            self._accepted(outcome)
        elif isinstance(outcome, Refused) or self._is_poison(batch, outcome):
            self._queue.refused()
            self._state_log.refuses(outcome.reason)
        else:
            self._queue.put_back()
            self._state_log.fails(outcome.reason)
            self._asked_to_wait = outcome.retry_after_seconds is not None
            self._not_before = self._clock() + self._backoff.next_seconds(outcome.retry_after_seconds)
        return 0.0

    def _send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        try:
            return self._sender.send(batch.body, timeout_seconds)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the thread, nor block the queue for ever
            return RetryLater(reason=f"{type(error).__name__}: {error}", poison=True)

    def _accepted(self, outcome: Accepted) -> None:
        self._backoff.reset()
        self._asked_to_wait = False
        if outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} items of a batch: {outcome.message}")
        else:
            self._state_log.works()

    def _is_poison(self, batch: Batch, outcome: RetryLater) -> bool:
        """Whether this batch has had its tries: something behind it must not wait for ever."""
        if not outcome.poison:
            return False
        sequence, tries = self._poison
        self._poison = (batch.sequence, tries + 1 if sequence == batch.sequence else 1)
        return self._poison[1] >= POISON_TRIES
