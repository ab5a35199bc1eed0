"""EXPORT: sends one signal's batches, oldest first, until each is acknowledged, refused for good, or dropped by the buffer.

Comes in: batches of the signal's queue. Goes out: calls to a sender, and each outcome to the books,
the back-off and the state log. A batch is removed only after its acknowledgement, and never sent
again after it. A time-out after the body was sent leaves open whether the endpoint has it: the same
bytes (the same span ids) are sent again, so they may arrive twice.
"""

from typing import Any, Final, NamedTuple

from otel.delivery.buffer import Batch, SignalQueue
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater, Sender

POISON_TRIES: Final = 30
"""How often a batch is sent that the endpoint answers with an error outside OTLP's list of retryable ones: over two minutes."""

PATIENT_TRIES: Final = 5
"""How often in a row a batch may stay without an answer before others are sent first: an outage alone changes no order."""

HANG_UP_TRIES: Final = 3
"""How often a batch may stay without an answer while the endpoint answers others. One that is frozen answers none, and loses none."""

_MAX_REMEMBERED: Final = 1_000


class _Unanswered(NamedTuple):
    """How many batches had been accepted at the last try, and how many tries others were accepted between."""

    accepted_batches: int
    strikes: int


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
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._backoff = backoff
        self._state_log = state_log
        self._timeout_seconds = timeout_seconds
        self._poison = (-1, 0)
        self._accepted_batches = 0
        self._unanswered: dict[int, _Unanswered] = {}
        self._silent = (-1, 0)

    def hurry(self, deadline: float) -> None:
        """Shut down until `deadline`, which no try may outlast."""
        self._backoff.hurry(deadline)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, or nothing more can be sent before the deadline."""
        return self._queue.is_empty or self._backoff.is_over

    def step(self) -> float | None:
        """Send the oldest batch once; returns the seconds to wait before the next step, None until something arrives."""
        wait_seconds = self._backoff.wait_seconds()
        if wait_seconds > 0:
            return wait_seconds
        timeout_seconds = self._backoff.limit_seconds(self._timeout_seconds)
        if timeout_seconds <= 0:
            return None
        batch = self._queue.head()
        if batch is None:
            return None
        outcome = self._send(batch, timeout_seconds)
        if self._queue.is_settled:
            return None
        if isinstance(outcome, Accepted):
            # Said first: what is said is a log record to deliver, and a flush of the logs must not be over before it is in the queue.
            self._accepted(outcome)
            self._accepted_batches += 1
            self._unanswered.pop(batch.sequence, None)
            self._queue.accepted(outcome.rejected_items)
        elif isinstance(outcome, Refused) or self._is_poison(batch, outcome):
            self._state_log.refuses(outcome.reason)
            self._queue.refused()
            self._backoff.succeeded()
        else:
            self._queue.put_back(behind=outcome.unanswered and self._has_been_silent(batch))
            self._state_log.fails(outcome.reason, is_over=self._backoff.is_over)
            self._backoff.failed(outcome.retry_after_seconds)
        return 0.0

    def _send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        try:
            return self._sender.send(batch.body, timeout_seconds)
        except Exception as error:  # noqa: BLE001  a fault of ours must not end the thread, nor block the queue for ever
            return RetryLater(reason=f"{type(error).__name__}: {error}", poison=True)

    def _accepted(self, outcome: Accepted) -> None:
        self._backoff.succeeded()
        if outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} items of a batch: {outcome.message}")
        else:
            self._state_log.works()

    def _is_poison(self, batch: Batch, outcome: RetryLater) -> bool:
        """Whether this batch has had its tries: something behind it must not wait for ever."""
        if outcome.unanswered:
            return self._hangs_up_alone(batch)
        if not outcome.poison:
            return False
        sequence, tries = self._poison
        self._poison = (batch.sequence, tries + 1 if sequence == batch.sequence else 1)
        return self._poison[1] >= POISON_TRIES

    def _has_been_silent(self, batch: Batch) -> bool:
        """Whether this batch has stayed without an answer so often in a row that others should be tried."""
        sequence, tries = self._silent
        tries = tries + 1 if sequence == batch.sequence else 1
        is_enough = tries >= PATIENT_TRIES
        self._silent = (-1, 0) if is_enough else (batch.sequence, tries)
        return is_enough

    def _hangs_up_alone(self, batch: Batch) -> bool:
        """Whether the endpoint took other batches between several tries of this one, and never answers this one."""
        before = self._unanswered.get(batch.sequence, _Unanswered(self._accepted_batches, 0))
        strikes = before.strikes + (1 if self._accepted_batches > before.accepted_batches else 0)
        if strikes >= HANG_UP_TRIES:
            self._unanswered.pop(batch.sequence, None)
            return True
        if len(self._unanswered) >= _MAX_REMEMBERED:
            # What the buffer dropped is never asked about again.
            self._unanswered.clear()
        self._unanswered[batch.sequence] = _Unanswered(self._accepted_batches, strikes)
        return False
