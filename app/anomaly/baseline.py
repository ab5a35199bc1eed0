"""Learns what is normal for one signal of one key from its own recent minutes.

Values are on a logarithmic scale, one every minute or two, with their sampling variance. The
baseline is a centre (median of the last hour), a robust spread to each side (over about six hours)
and the extremes of the same time. A value is learned a few minutes late, so that the rising edge of
an anomaly is not learned; during an anomaly nothing is.
"""

import math
from bisect import bisect_left, bisect_right
from typing import Final

import msgspec

RECENT_VALUES: Final = 30
DEVIATIONS: Final = 80
DELAY_VALUES: Final = 5
MIN_VALUES: Final = 12
"""Values that must be learned before anything can be unusual."""

_UNITS: Final = 1_000
"""Values are kept as integers, in thousandths, so that a stored baseline is short."""

_YOUNG_VALUES: Final = 30
_VARIANCE_VALUES: Final = 30
_DEVIATION_EVERY: Final = 2
_CENTRE_EVERY: Final = 2
_SPREAD_EVERY: Final = 6
_MAD_TO_SIGMA: Final = 1.4826
_P95_TO_SIGMA: Final = 1 / 1.96


class Baseline(msgspec.Struct):
    """The normal of one signal. Lists are oldest first, in thousandths; values are natural logarithms.

    `attempt_variance`: between single attempts. `noise`: the part of the deviations' variance that sampling explains.
    """

    recent: list[int] = []
    deviations: list[int] = []
    waiting: list[tuple[int, int | None, float]] = []
    learned: int = 0
    attempt_variance: float = 0.0
    noise: float = 0.0
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
        """Take a normal value, the mean of so many attempts; it counts once `DELAY_VALUES` more have come."""
        self.attempt_variance += (attempt_variance - self.attempt_variance) / min(self.learned + 1, _VARIANCE_VALUES)
        deviation = int((value - self.centre) * _UNITS) if len(self.recent) >= MIN_VALUES else None
        self.waiting.append((int(value * _UNITS), deviation, attempt_variance / attempts))
        if len(self.waiting) > DELAY_VALUES:
            self._take(*self.waiting.pop(0))

    def forget_waiting(self) -> None:
        """An anomaly began: the values just before it are not learned."""
        self.waiting.clear()

    def restart(self) -> None:
        """What was unusual has become the normal: learn the level again, keep what is known of its spread."""
        self.waiting.clear()
        self.recent.clear()
        self.learned = 0

    def _take(self, value: int, deviation: int | None, variance: float) -> None:
        self.learned += 1
        young = self.learned <= _YOUNG_VALUES
        self.recent.append(value)
        if len(self.recent) > RECENT_VALUES:
            self.recent.pop(0)
        if deviation is not None and (young or self.learned % _DEVIATION_EVERY == 0):
            self.noise += (variance - self.noise) / (len(self.deviations) + 1)
            self.deviations.append(deviation)
            if len(self.deviations) > DEVIATIONS:
                self.deviations.pop(0)
        if young or self.learned % _CENTRE_EVERY == 0:
            self.centre = sorted(self.recent)[len(self.recent) // 2] / _UNITS
        if young or self.learned % _SPREAD_EVERY == 0:
            self._measure_spread()

    def _measure_spread(self) -> None:
        """The part of the spread that sampling does not explain; the tail counts where it is wider than the middle suggests."""
        ordered = sorted(self.deviations)
        if not ordered:
            # The first values have no centre to deviate from yet.
            ordered = sorted(self.recent)
            middle = ordered[len(ordered) // 2]
            ordered = [value - middle for value in ordered]
        self.lowest, self.highest = ordered[0] / _UNITS, ordered[-1] / _UNITS
        self.spread_up = _excess(ordered[bisect_left(ordered, 0) :], self.noise)
        self.spread_down = _excess([-size for size in reversed(ordered[: bisect_right(ordered, 0)])], self.noise)


def _excess(sizes: list[int], noise: float) -> float:
    """Return the standard deviation of one side (ordered sizes), without the variance that sampling explains."""
    if not sizes:
        return 0.0
    last = len(sizes) - 1
    wide = (
        max(sizes[len(sizes) // 2] * _MAD_TO_SIGMA, sizes[min(len(sizes) * 95 // 100, last)] * _P95_TO_SIGMA) / _UNITS
    )
    return math.sqrt(max(0.0, wide * wide - noise))
