"""Judges means per attempt: slowdown, input tokens, output tokens.

A shift counts when it is both large (a factor) and significant: beyond what the sampling of so few
attempts and the signal's own variation explain together.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from app.anomaly.baseline import Baseline
from app.anomaly.episode import Verdict
from app.anomaly.minute import UNITS, Minute
from app.anomaly.reading import Reading, Scope, Signal

WINDOWS_MINUTES: Final = (3, 10, 30)
"""The shortest that holds enough attempts judges; a longer one may where the shorter holds few."""

_PLENTY: Final = 3
_SQUARE_UNITS: Final = UNITS * UNITS
_LEAST_SPREAD: Final = 0.06

Moments: TypeAlias = tuple[int, float, float]
"""Count, sum and sum of squares."""


def slowdown_moments(new: Minute, old: Minute) -> Moments:
    """Return the moments of log(duration / expected) between two running totals."""
    return (
        new.paced - old.paced,
        (new.slowdown_sum - old.slowdown_sum) / UNITS,
        (new.slowdown_square_sum - old.slowdown_square_sum) / _SQUARE_UNITS,
    )


def input_moments(new: Minute, old: Minute) -> Moments:
    """Return the moments of log(1 + input tokens) between two running totals."""
    return (
        new.metered - old.metered,
        (new.input_log_sum - old.input_log_sum) / UNITS,
        (new.input_log_square_sum - old.input_log_square_sum) / _SQUARE_UNITS,
    )


def output_moments(new: Minute, old: Minute) -> Moments:
    """Return the moments of log(1 + output tokens) between two running totals."""
    return (
        new.metered - old.metered,
        (new.output_log_sum - old.output_log_sum) / UNITS,
        (new.output_log_square_sum - old.output_log_square_sum) / _SQUARE_UNITS,
    )


class Level:
    """How one signal is judged; without state. `shift` is the natural logarithm of the smallest factor that counts."""

    def __init__(
        self,
        signal: Signal,
        moments: Callable[[Minute, Minute], Moments],
        *,
        shift: float,
        both_ways: bool,
        significance: float,
        min_attempts: int,
    ) -> None:
        self.signal = signal
        self._moments = moments
        self._shift = shift
        self._both_ways = both_ways
        self._significance = significance
        self._min_attempts = min_attempts

    def judge(
        self, scope: Scope, totals: Sequence[Minute], baseline: Baseline, reach_minutes: int
    ) -> tuple[Verdict, Reading | None]:
        """Judge the newest of `totals` (running, oldest first) by windows of at most `reach_minutes`."""
        verdict: Verdict = "unknown"
        if not baseline.is_mature:
            return verdict, None
        newest, last = totals[-1], len(totals) - 1
        for minutes in WINDOWS_MINUTES:
            if minutes > last or minutes > reach_minutes:
                break
            count, total, squares = self._moments(newest, totals[last - minutes])
            if count < self._min_attempts:
                continue
            mean = total / count
            shift = mean - baseline.centre
            size = abs(shift) if self._both_ways else shift
            if size >= self._shift:
                # A few attempts may look more alike than attempts are.
                sampling = max(squares / count - mean * mean, baseline.attempt_variance) / count
                wandering = baseline.spread_up if shift > 0 else baseline.spread_down
                spread = math.sqrt(max(wandering, _LEAST_SPREAD) ** 2 + sampling)
                if size >= self._significance * spread:
                    bound = math.copysign(max(self._shift, self._significance * spread), shift)
                    return "beyond", Reading(
                        scope=scope,
                        signal=self.signal,
                        value=self._shown(mean),
                        baseline=self._shown(baseline.centre),
                        spread=math.exp(spread),
                        threshold=self._shown(baseline.centre + bound),
                        samples=count,
                        minutes=minutes,
                        deviation=size / spread,
                    )
            if verdict == "unknown":
                verdict = "calm" if size < self._shift / 2 else "between"
            if count >= _PLENTY * self._min_attempts:
                break
        return verdict, None

    def learn(self, totals: Sequence[Minute], baseline: Baseline, reach_minutes: int) -> None:
        """Take the newest window that holds enough attempts as normal."""
        newest, last = totals[-1], len(totals) - 1
        for minutes in WINDOWS_MINUTES:
            if minutes > last or minutes > reach_minutes:
                return
            count, total, squares = self._moments(newest, totals[last - minutes])
            if count >= self._min_attempts:
                mean = total / count
                baseline.learn(mean, attempt_variance=max(squares / count - mean * mean, 0.0), attempts=count)
                return

    def _shown(self, logarithm: float) -> float:
        """Return the value in the unit that a person reads."""
        return math.exp(logarithm) if self.signal == "slowdown" else math.expm1(logarithm)
