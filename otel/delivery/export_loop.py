"""Sends one signal's batches, oldest first, until each is acknowledged, refused, or dropped by the buffer.

A batch is removed only after its acknowledgement, and never sent again after it. After a timeout it
is unknown whether the endpoint has the batch: the same bytes (the same span ids) are sent again, so
they may arrive twice.
"""

from typing import Any, Final, NamedTuple

from otel.delivery.buffer import Batch
from otel.delivery.signal_queue import SignalQueue
from otel.delivery.state_log import StateLog
from otel.delivery.transport.backoff import Backoff
from otel.delivery.transport.sender import Accepted, Outcome, Refused, RetryLater, Sender

POISON_TRIES: Final = 30
"""How often a batch is sent whose response is an error outside OTLP's list of retryable ones: over two minutes."""

PATIENT_TRIES: Final = 5
"""How often in a row a batch may stay without a response before others are sent first: an outage alone changes no order."""

HANG_UP_TRIES: Final = 3
"""How often a batch may stay without a response while others get one. A frozen endpoint responds to none, so none is lost."""

_MAX_REMEMBERED: Final = 1_000


class _NoResponse(NamedTuple):
    """How many batches were accepted until the last try of one, and after how many of its tries others were accepted."""

    accepted_batches: int
    strikes: int


class ExportLoop:
    """One signal's sending loop. `step` is called by one thread; `enter_shutdown` from any."""

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
        self._no_response: dict[int, _NoResponse] = {}
        self._silent = (-1, 0)

    def enter_shutdown(self, deadline: float) -> None:
        """Send what is left until `deadline`, which no try may outlast."""
        self._backoff.enter_shutdown(deadline)

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
        if self._queue.is_abandoned:
            return None
        if isinstance(outcome, Accepted):
            # Logged first: the line is a log record to deliver, and a flush of the logs must not end before it is queued.
            self._accepted(outcome)
            self._accepted_batches += 1
            self._no_response.pop(batch.sequence, None)
            self._queue.accepted(outcome.rejected_items)
        elif isinstance(outcome, Refused) or self._is_poison(batch, outcome):
            self._state_log.refuses(outcome.reason)
            self._queue.refused()
            self._backoff.succeeded()
        else:
            self._queue.put_back(behind=outcome.no_response and self._has_been_silent(batch))
            self._state_log.fails(outcome.reason, is_over=self._backoff.is_over)
            self._backoff.failed(outcome.retry_after_seconds)
        return 0.0

    def _send(self, batch: Batch, timeout_seconds: float) -> Outcome:
        try:
            return self._sender.send(batch.body, timeout_seconds)
        except Exception as error:  # noqa: BLE001  a defect here must not end the thread, nor block the queue indefinitely
            return RetryLater(reason=f"{type(error).__name__}: {error}", poison=True)

    def _accepted(self, outcome: Accepted) -> None:
        self._backoff.succeeded()
        if outcome.rejected_items > 0:
            self._state_log.refuses(f"{outcome.rejected_items} items of a batch: {outcome.message}")
        else:
            self._state_log.works()

    def _is_poison(self, batch: Batch, outcome: RetryLater) -> bool:
        """Whether this batch has had its tries: batches behind it must not wait indefinitely."""
        if outcome.no_response:
            return self._hangs_up_alone(batch)
        if not outcome.poison:
            return False
        sequence, tries = self._poison
        self._poison = (batch.sequence, tries + 1 if sequence == batch.sequence else 1)
        return self._poison[1] >= POISON_TRIES

    def _has_been_silent(self, batch: Batch) -> bool:
        """Whether this batch has stayed without a response so often in a row that others should be tried."""
        sequence, tries = self._silent
        tries = tries + 1 if sequence == batch.sequence else 1
        is_enough = tries >= PATIENT_TRIES
        self._silent = (-1, 0) if is_enough else (batch.sequence, tries)
        return is_enough

    def _hangs_up_alone(self, batch: Batch) -> bool:
        """Whether the endpoint accepted other batches between several tries of this one, and never responds to this one."""
        before = self._no_response.get(batch.sequence, _NoResponse(self._accepted_batches, 0))
        strikes = before.strikes + (1 if self._accepted_batches > before.accepted_batches else 0)
        if strikes >= HANG_UP_TRIES:
            self._no_response.pop(batch.sequence, None)
            return True
        if len(self._no_response) >= _MAX_REMEMBERED:
            # Some of these batches may have been dropped by the buffer and never come again.
            self._no_response.clear()
        self._no_response[batch.sequence] = _NoResponse(self._accepted_batches, strikes)
        return False
