"""Keeps calls away from one provider that fails, and lets a few through to see whether it is healthy again.

Input: how each admitted call ended, and the time. Output: whether a call is admitted, and
each transition, once. Closed, it opens by failures in a row or by the failed share of its recent
calls. Open, it becomes half-open by time alone. Half-open, it admits a bounded number of calls at
once; the first that succeeds, or whose stream begins, closes it, one that fails opens it again, for
longer.
"""

from collections import deque
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from app.config.schema import BreakerConfig

BreakerState: TypeAlias = Literal["closed", "open", "half_open"]
CallResult: TypeAlias = Literal["success", "failure", "neutral"]
"""`neutral` is no evidence about the provider: a client that left, a request that was wrong, a stale connection."""


class Transition(msgspec.Struct, frozen=True):
    """The breaker entered `state`. `open_seconds`: for how long it opened, 0 otherwise; `reason`: what made it do so."""

    at_seconds: float
    state: BreakerState
    reason: str
    open_seconds: float = 0.0


class Phase(msgspec.Struct, frozen=True):
    """The breaker's state and since when it holds. Calls are admitted in a phase and count only in it.

    It is replaced as a whole, so that any thread may read it.
    """

    state: BreakerState
    since_seconds: float
    until_seconds: float = float("inf")


class CircuitBreaker:
    """One provider's breaker, for one event loop; `state` and `retry_after_seconds` are safe from any thread.

    `on_transition` is called at each transition, with the time at which it was due.
    """

    def __init__(
        self, config: BreakerConfig, started_seconds: float, on_transition: Callable[[Transition], None]
    ) -> None:
        self._config = config
        self._on_transition = on_transition
        self._phase = Phase("closed", started_seconds)
        self._failures_in_a_row = 0
        # Calls that ended in the present phase, by second: [second, calls, failures].
        self._recent: deque[list[int]] = deque()
        self._trials = 0
        self._openings = 0

    def state(self, now_seconds: float) -> BreakerState:
        """Return the state at this time; changes nothing."""
        phase = self._phase
        return "half_open" if phase.state == "open" and now_seconds >= phase.until_seconds else phase.state

    def retry_after_seconds(self, now_seconds: float) -> float:
        """Return how long the breaker will certainly admit no call; 0 where it may admit one."""
        phase = self._phase
        return max(0.0, phase.until_seconds - now_seconds) if phase.state == "open" else 0.0

    def admit(self, now_seconds: float) -> Phase | None:
        """Return the phase in which a call is admitted, or None where the provider is to be skipped."""
        phase = self._phase
        if phase.state == "closed":
            return phase
        self.advance(now_seconds)
        phase = self._phase
        if phase.state == "open":
            return None
        if phase.state == "half_open":
            if self._trials >= self._config.half_open_calls:
                return None
            self._trials += 1
        return phase

    def advance(self, now_seconds: float) -> None:
        """Make the transition that is due by time."""
        phase = self._phase
        if phase.state == "open" and now_seconds >= phase.until_seconds:
            self._trials = 0
            self._enter(Phase("half_open", phase.until_seconds), "its time is over")

    def call_responded(self, phase: Phase, now_seconds: float) -> Phase:
        """Close where a trial call gets a response, though the call goes on; return the phase in which its end counts.

        A stream may last for minutes, and others wait for the trial's result.
        """
        if phase is not self._phase or phase.state != "half_open":
            return phase
        self._close(now_seconds)
        return self._phase

    def call_ended(self, phase: Phase, now_seconds: float, result: CallResult) -> None:
        """Count the result of a call that was admitted in `phase`; one of an earlier phase is ignored.

        To be called once per admitted call, whatever its result.
        """
        if self._phase.state == "open":
            self.advance(now_seconds)
        if phase is not self._phase:
            return
        if phase.state == "half_open":
            self._trial_ended(now_seconds, result)
        elif result != "neutral" and self._config.enabled:
            self._count(now_seconds, failed=result == "failure")

    def _trial_ended(self, now_seconds: float, result: CallResult) -> None:
        self._trials -= 1
        if result == "success":
            self._close(now_seconds)
        elif result == "failure":
            self._open(now_seconds, "a trial call failed")

    def _close(self, now_seconds: float) -> None:
        self._forget_calls()
        self._enter(Phase("closed", now_seconds), "a trial call succeeded")

    def _count(self, now_seconds: float, *, failed: bool) -> None:
        """Count a call of the closed breaker, and open it where that was one failure too many."""
        config, second = self._config, int(now_seconds)
        self._failures_in_a_row = self._failures_in_a_row + 1 if failed else 0
        if not self._recent or self._recent[-1][0] != second:
            self._recent.append([second, 0, 0])
        self._recent[-1][1] += 1
        self._recent[-1][2] += failed
        while self._recent[0][0] <= second - config.window_seconds:
            self._recent.popleft()
        if not failed:
            return
        if self._failures_in_a_row >= config.consecutive_failures:
            self._open(now_seconds, f"{self._failures_in_a_row} failures in a row")
            return
        calls = sum(slot[1] for slot in self._recent)
        failures = sum(slot[2] for slot in self._recent)
        if calls >= config.minimum_attempts and failures >= config.failure_ratio * calls:
            self._open(now_seconds, f"{failures} of {calls} calls failed")

    def _open(self, now_seconds: float, reason: str) -> None:
        """Open, for twice as long as the last time, unless the breaker has been closed for `max_open_seconds` since."""
        config, phase = self._config, self._phase
        if phase.state == "closed" and now_seconds - phase.since_seconds >= config.max_open_seconds:
            self._openings = 0
        open_seconds = min(config.open_seconds * 2.0 ** min(self._openings, 30), config.max_open_seconds)
        self._openings += 1
        self._forget_calls()
        self._enter(Phase("open", now_seconds, now_seconds + open_seconds), reason, open_seconds)

    def _forget_calls(self) -> None:
        self._failures_in_a_row = 0
        self._recent.clear()

    def _enter(self, phase: Phase, reason: str, open_seconds: float = 0.0) -> None:
        self._phase = phase
        self._on_transition(Transition(phase.since_seconds, phase.state, reason, open_seconds))
