"""Interrupts a task from outside, for a named reason, without losing a cancellation from another source.

Input: a reason, from a timer or from another task. Output: `InterruptedCallError` in the
interrupted task, instead of `CancelledError`. The bookkeeping is that of `asyncio.timeout`
(cancelling/uncancel), so that the two nest.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from app.gateway.lazy_timers import LazyTimer, LazyTimers

Reason: TypeAlias = Literal[
    "client_left",
    "shutdown",
    "pool_timeout",
    "connect_timeout",
    "first_byte_timeout",
    "whole_answer_timeout",
    "idle_timeout",
    "total_timeout",
    "slow_client",
]


LAG_SECONDS: Final = 0.25
"""A timer that fires later than this shows that the event loop was blocked."""


class InterruptedCallError(Exception):
    """The guarded block was interrupted on purpose; `reason` names the cause."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Interrupt:
    """A context manager around awaits; `fire` from elsewhere in the same event loop ends them."""

    def __init__(self) -> None:
        self.reason: Reason | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an interrupt guards a task")
        if self.reason is not None:
            raise self._error(self.reason)
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def fire(self, reason: Reason) -> None:
        """End the guarded block; only the first reason counts, and after the block nothing happens."""
        if self.reason is None:
            self.reason = reason
            if self._task is not None:
                self._task.cancel()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None or self.reason is None:
            return
        # Another cancellation, pending beside the interrupt's, stays a cancellation.
        if task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise self._error(self.reason) from None

    def _error(self, reason: Reason) -> Exception:
        """Return what is raised in the guarded block."""
        return InterruptedCallError(reason)


class Deadlines:
    """The timeouts of one attempt on one timer of `timers`: until the first byte, between bytes, and over all.

    The clock starts with `sent`; waiting before that is bounded by the connector. `progress`
    costs one assignment: the timer looks at the time of the last byte when it fires, and sets
    itself again. A pause, in which nothing is read because the client is slow, counts for the
    client, not for the provider: each of the two has `total_seconds`. `first` names what runs out
    before the first byte, `last` what runs out over all.
    """

    def __init__(  # noqa: PLR0917  keywords to a class cost a dictionary, for each attempt
        self,
        interrupt: Interrupt,
        first_byte_seconds: float,
        idle_seconds: float,
        total_seconds: float,
        first: Reason = "first_byte_timeout",
        last: Reason = "total_timeout",
        timers: LazyTimers | None = None,
    ) -> None:
        self._time = asyncio.get_running_loop().time
        self._interrupt = interrupt
        self._first_byte_seconds = first_byte_seconds
        self.idle_seconds = idle_seconds
        """Between two bytes of the body; may be set until it is over."""
        self._total_seconds = total_seconds
        self._first: Reason = first
        self._last: Reason = last
        self._has_bytes = False
        self._had_grace = False
        self._paused_at: float | None = None
        self._paused_seconds = 0.0
        self._timers = LazyTimers() if timers is None else timers
        self._timer: LazyTimer | None = None

    def sent(self) -> None:
        """The request was sent: from now on the provider's time runs."""
        now = self._time()
        self._end = now + self._total_seconds
        self._due = min(now + self._first_byte_seconds, self._end)
        self._set_timer(self._due)

    def progress(self) -> None:
        """A byte of the body arrived: from now on the idle timeout counts. Ends a pause."""
        now = self._time()
        if self._paused_at is not None:
            self._paused_seconds += now - self._paused_at
            self._end += now - self._paused_at
            self._paused_at = None
        due = now + self.idle_seconds
        self._due = due = due if due < self._end else self._end  # noqa: FURB136  a call costs more, for each piece of a stream
        self._has_bytes, self._had_grace = True, False
        if due < self._set_for and self._timer is not None:
            self._timer.cancel()
            self._set_timer(due)

    def pause(self) -> None:
        """Nothing is read because the client is slow: only the client's own total counts until `resume` or `progress` is called."""
        self._paused_at = self._time()

    def resume(self) -> None:
        """End a pause; nearly every one is over before the time of the event loop has changed."""
        if self._time() == self._paused_at:
            self._paused_at = None
        else:
            self.progress()

    def close(self) -> None:
        """Stop the timer."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _set_timer(self, due: float) -> None:
        """Wake up when the next timeout is due."""
        self._set_for = due
        self._timer = self._timers.call_at(due, self._check)

    def _check(self) -> None:
        """Fire if nothing came in time, else wait for what is due next."""
        now, paused_at = self._time(), self._paused_at
        due = self._due if paused_at is None else paused_at + self._total_seconds - self._paused_seconds
        late_seconds = now - self._set_for
        if late_seconds > LAG_SECONDS and due <= now and not self._had_grace:
            # The loop was blocked: what arrived meanwhile has not been read yet. That time is not the provider's.
            self._had_grace = True
            self._due = due = now + min(late_seconds, self.idle_seconds)
            self._end = max(self._end, due)
            self._set_timer(due)
        elif now < due:
            self._set_timer(due)
        elif paused_at is not None:
            self._interrupt.fire("slow_client")
        elif not self._has_bytes:
            self._interrupt.fire(self._first)
        else:
            self._interrupt.fire(self._last if now >= self._end else "idle_timeout")


class RunningTime:
    """A timer that counts only time in which the event loop ran: a stall of the gateway is no delay of the other side.

    `done` is called once, after `seconds`, unless `close` was called before.
    """

    _TICKS: Final = 16

    def __init__(self, seconds: float, done: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = done
        self._tick_seconds = seconds / self._TICKS
        self._left = self._TICKS
        self._grace_left = self._TICKS
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _tick(self) -> None:
        late_seconds = self._loop.time() - self._timer.when()
        # A tick that is late shows that the loop was blocked before it: it does not count.
        if late_seconds >= max(LAG_SECONDS, self._tick_seconds) and self._grace_left > 0:
            self._grace_left -= 1
        else:
            self._left -= 1
        if self._left > 0:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        else:
            self._done()
