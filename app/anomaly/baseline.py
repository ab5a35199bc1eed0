"""BASELINE: what is normal for one signal of one key, learned from its own recent minutes.

Comes in: one value a minute, on a logarithmic scale, with its sampling variance. Goes out: a centre (median of the last hour), a spread to
each side (robust, of how far values were from the centre of their time, over about six hours) and the extremes of the same. A value waits
a few minutes before it is learned, so that the rising edge of an anomaly is not; during an anomaly nothing is learned.
"""

import math
from typing import Final

import msgspec

RECENT_MINUTES: Final = 60
DEVIATIONS: Final = 120
DELAY_MINUTES: Final = 5
MIN_VALUES: Final = 12
"""Values that must be learned before anything can be unusual."""

_THIN_AFTER: Final = 60
_THIN_EVERY: Final = 3
_MAD_TO_SIGMA: Final = 1.4826
_P95_TO_SIGMA: Final = 1 / 1.96
_SPREAD_EVERY: Final = 9
_CENTRE_EVERY: Final = 3


class Baseline(msgspec.Struct):
    """The normal of one signal. Lists are oldest first; values are natural logarithms. `attempt_variance`: between single attempts."""

    recent: list[float] = []
    deviations: list[float] = []
    noises: list[float] = []
    waiting: list[tuple[float, float | None, float]] = []
    learned: int = 0
    attempt_variance: float = 0.0
    centre: float = 0.0
    spread_up: float = 0.0
    spread_down: float = 0.0
    highest: float = 0.0
    lowest: float = 0.0

    @property
    def is_mature(self) -> bool:
        """Whether it may judge."""
        return len(self.recent) >= MIN_VALUES

    def learn(self, value: float, *, attempt_variance: float = 0.0, attempts: int = 1) -> None:
        """Take a normal minute's value, the mean of so many attempts; it counts once `DELAY_MINUTES` more have come."""
        memory = min(self.learned + 1, RECENT_MINUTES)
        self.attempt_variance += (attempt_variance - self.attempt_variance) / memory
        variance = attempt_variance / attempts
        deviation = round(value - self.centre, 4) if self.is_mature else None
        self.waiting.append((round(value, 4), deviation, round(variance, 6)))
        if len(self.waiting) > DELAY_MINUTES:
            self._take(*self.waiting.pop(0))

    def forget_waiting(self) -> None:
        """An anomaly began: what came just before it is not learned."""
        self.waiting.clear()

    def restart(self) -> None:
        """What was unusual has become the normal: learn the level anew, keep what is known of its spread."""
        self.waiting.clear()
        self.recent.clear()

    def _take(self, value: float, deviation: float | None, variance: float) -> None:
        self.recent.append(value)
        if len(self.recent) > RECENT_MINUTES:
            self.recent.pop(0)
        self.learned += 1
        young = self.learned <= _THIN_AFTER
        if deviation is not None and (young or self.learned % _THIN_EVERY == 0):
            self.deviations.append(deviation)
            self.noises.append(variance)
            if len(self.deviations) > DEVIATIONS:
                self.deviations.pop(0)
                self.noises.pop(0)
        if young or self.learned % _CENTRE_EVERY == 0 or len(self.recent) <= MIN_VALUES:
            self.centre = sorted(self.recent)[len(self.recent) // 2]
        if young or self.learned % _SPREAD_EVERY == 0:
            self._measure_spread()

    def _measure_spread(self) -> None:
        """The part of the spread that sampling does not explain; the tail counts where it is wider than the middle says."""
        ordered = sorted(self.deviations)
        if not ordered:
            # The first values have no centre to deviate from yet.
            middle = sorted(self.recent)[len(self.recent) // 2]
            ordered = sorted(value - middle for value in self.recent)
        self.lowest, self.highest = ordered[0], ordered[-1]
        noise = sorted(self.noises)[len(self.noises) // 2] if self.noises else 0.0
        self.spread_up = _excess([size for size in ordered if size >= 0], noise)
        self.spread_down = _excess([-size for size in reversed(ordered) if size <= 0], noise)


def _excess(sizes: list[float], noise: float) -> float:
    """Return the standard deviation of one side (ordered sizes), without the variance that sampling explains."""
    if not sizes:
        return 0.0
    last = len(sizes) - 1
    wide = max(sizes[len(sizes) // 2] * _MAD_TO_SIGMA, sizes[min(len(sizes) * 95 // 100, last)] * _P95_TO_SIGMA)
    return math.sqrt(max(0.0, wide * wide - noise))
