"""Learns the usual failure rate of one key, and how much more than chance it varies.

A number of failures is scored by the signed root of the binomial deviance, which is exact enough at
a handful of failures, where the normal approximation is not.
"""

import math
from typing import Final

import msgspec

MIN_ATTEMPTS: Final = 60
MIN_MINUTES: Final = 12
DELAY_MINUTES: Final = 5

_KEPT_PER_MINUTE: Final = 0.5 ** (1 / 180)
_MAX_RATE: Final = 0.99
_PRIOR_FAILURES: Final = 0.5
_PRIOR_ATTEMPTS: Final = 50.0
_DISPERSION_MEMORY_MINUTES: Final = 180
_MAX_DISPERSION_SAMPLE: Final = 50.0
_MIN_MINUTE_ATTEMPTS: Final = 5


class ErrorBaseline(msgspec.Struct):
    """Decayed totals; `dispersion` is 1 where failures come independently, more where they come in bursts."""

    failures: float = 0.0
    attempts: float = 0.0
    minutes: int = 0
    dispersion: float = 1.0
    waiting: list[tuple[int, int]] = []

    @property
    def is_mature(self) -> bool:
        """Whether it may judge."""
        return self.attempts >= MIN_ATTEMPTS and self.minutes >= MIN_MINUTES

    @property
    def rate(self) -> float:
        """The usual failure rate; never 0, because a handful of failures after none is no deviation by itself."""
        return (self.failures + _PRIOR_FAILURES) / (self.attempts + _PRIOR_ATTEMPTS)

    def learn(self, failures: int, judged: int) -> None:
        """Take a normal minute; it counts once `DELAY_MINUTES` more have come."""
        self.waiting.append((failures, judged))
        if len(self.waiting) > DELAY_MINUTES:
            self._take(*self.waiting.pop(0))

    def forget_waiting(self) -> None:
        """An anomaly began: the minutes just before it are not learned."""
        self.waiting.clear()

    def restart(self) -> None:
        """What was unusual has become the normal."""
        self.failures = self.attempts = 0.0
        self.minutes = 0
        self.waiting.clear()

    def deviation(self, failures: int, judged: int) -> float:
        """Return by how many standard deviations this is more than usual; 0 where it is not more.

        The usual rate is an estimate too: it is taken one standard deviation higher, which matters where few failures were seen.
        """
        usual = min(self.rate + math.sqrt(self.failures) / (self.attempts + _PRIOR_ATTEMPTS), _MAX_RATE)
        share = failures / judged
        if share <= usual:
            return 0.0
        deviance = share * math.log(share / usual)
        if failures < judged:
            deviance += (1 - share) * math.log((1 - share) / (1 - usual))
        return math.sqrt(2 * judged * max(deviance, 0.0) / max(self.dispersion, 1.0))

    def _take(self, failures: int, judged: int) -> None:
        if judged >= _MIN_MINUTE_ATTEMPTS and self.is_mature:
            usual = self.rate
            excess = (failures - judged * usual) ** 2 / (judged * usual * (1 - usual))
            self.dispersion += (min(excess, _MAX_DISPERSION_SAMPLE) - self.dispersion) / _DISPERSION_MEMORY_MINUTES
        self.failures = self.failures * _KEPT_PER_MINUTE + failures
        self.attempts = self.attempts * _KEPT_PER_MINUTE + judged
        self.minutes += 1
