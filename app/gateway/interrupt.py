"""INTERRUPT: ends what a task is doing from outside, for a named reason, without losing a cancellation that was meant otherwise.

Comes in: a reason, from a timer or from another task. Goes out: `InterruptedCallError` in the interrupted task, in place of `CancelledError`.
The bookkeeping is that of `asyncio.timeout` (cancelling/uncancel), so that the two nest.
"""

import asyncio
from types import TracebackType
from typing import Literal, Self, TypeAlias

Reason: TypeAlias = Literal["client_left", "shutdown", "first_byte_timeout", "idle_timeout", "total_timeout"]


class InterruptedCallError(Exception):
    """The guarded block was ended on purpose; `reason` says by whom."""

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
            raise InterruptedCallError(self.reason)
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
        # Someone else's cancellation, pending beside ours, stays a cancellation.
        if task.uncancel() <= self._cancelling and exc_type is asyncio.CancelledError:
            raise InterruptedCallError(self.reason) from None


class Deadlines:
    """The time-outs of one attempt on one timer: until the first byte, between bytes, and over all.

    `progress` costs one assignment: the timer looks at the time of the last byte when it goes off, and sets itself again.
    """

    def __init__(
        self, interrupt: Interrupt, *, first_byte_seconds: float, idle_seconds: float, total_seconds: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._interrupt = interrupt
        self._idle_seconds = idle_seconds
        now = self._loop.time()
        self._end = now + total_seconds
        self._due = min(now + first_byte_seconds, self._end)
        self._kind: Reason = "first_byte_timeout"
        self._set_for = self._due
        self._timer = self._loop.call_at(self._due, self._check)

    def progress(self) -> None:
        """A byte of the body arrived: from now on the idle time-out counts."""
        self._due = min(self._loop.time() + self._idle_seconds, self._end)
        self._kind = "idle_timeout"
        if self._due < self._set_for:
            self._timer.cancel()
            self._set_timer()

    def pause(self) -> None:
        """We are not reading (the client is slow): only the total counts until `progress` is called."""
        self._due = self._end

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _set_timer(self) -> None:
        """Wake up when the next time-out is due."""
        self._set_for = self._due
        self._timer = self._loop.call_at(self._due, self._check)

    def _check(self) -> None:
        """Fire if nothing came in time, else wait for what is due next."""
        now = self._loop.time()
        if now >= self._end:
            self._interrupt.fire("total_timeout")
        elif now >= self._due:
            self._interrupt.fire(self._kind)
        else:
            self._set_timer()
