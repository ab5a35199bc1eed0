"""Judges attempts per minute against recent traffic.

The centre is that of the last hour, so it follows the daily rise and fall, and a burst no larger than
those of the last hours is normal. Single minutes are not judged; they show how bursty traffic is.
Steady traffic shows a change within 5 minutes, bursty traffic only within 15.
"""

import math
from collections.abc import Sequence
from typing import Final

from app.anomaly.baseline import Baseline
from app.anomaly.episode import Verdict
from app.anomaly.minute import Minute
from app.anomaly.reading import Reading, Scope

WINDOWS_MINUTES: Final = (1, 5, 15)

_MIN_USUAL_ATTEMPTS: Final = 10
_MIN_LEARNED: Final = (0, 45, 30)
"""Values by window: how bursty traffic is shows in single minutes, and takes them a while."""

_LEAST_SPREAD: Final = 0.1
_SIGNIFICANCE: Final = 3.0
_BEYOND_EXTREME: Final = 1.25
_DROP_SHIFT: Final = math.log(10)
_MAX_BY_CHANCE: Final = 0.25
_DAILY_FACTOR: Final = 2.0
"""The factor by which the time of day may have moved the rate from the last hour's median."""

_MIN_DEVIATION: Final = 4.3


def judge_traffic(
    scope: Scope, totals: Sequence[Minute], baselines: Sequence[Baseline], *, reach_minutes: int, surge_shift: float
) -> tuple[Verdict, Reading | None]:
    """Judge the newest minute; `surge_shift` is the natural logarithm of the smallest surge that counts."""
    verdict: Verdict = "unknown"
    newest, last = totals[-1].attempts, len(totals) - 1
    for at in range(1, len(WINDOWS_MINUTES)):
        minutes, baseline = WINDOWS_MINUTES[at], baselines[at]
        if minutes > min(last, reach_minutes) or baseline.learned < _MIN_LEARNED[at]:
            continue
        if baseline.centre < math.log1p(_MIN_USUAL_ATTEMPTS):
            continue
        attempts = newest - totals[last - minutes].attempts
        change = math.log1p(attempts) - baseline.centre
        size = abs(change)
        least = surge_shift if change > 0 else max(surge_shift, _DROP_SHIFT)
        usual = math.expm1(baseline.centre)
        if size >= least and _is_more_than_chance(attempts, usual):
            by_chance = _by_chance(baselines, at, change)
            if at == 1 and (by_chance > _MAX_BY_CHANCE or _extreme(baselines[0], change) >= least):
                # Recent single minutes deviated as much, so a window of a few minutes proves nothing yet.
                continue
            spread = math.sqrt(max(_side(baseline, change), by_chance, _LEAST_SPREAD) ** 2 + 1 / usual)
            bound = max(least, _SIGNIFICANCE * spread, _BEYOND_EXTREME * _extreme(baseline, change))
            if size >= bound:
                return "beyond", Reading(
                    scope=scope,
                    signal="traffic",
                    value=attempts / minutes,
                    baseline=usual / minutes,
                    spread=math.exp(spread),
                    threshold=max(math.expm1(baseline.centre + math.copysign(bound, change)), 0.0) / minutes,
                    samples=attempts,
                    minutes=minutes,
                    deviation=size / spread,
                )
        if verdict == "unknown":
            verdict = "calm" if size < least / 2 else "between"
    return verdict, None


def _side(baseline: Baseline, change: float) -> float:
    return baseline.spread_up if change > 0 else baseline.spread_down


def _extreme(baseline: Baseline, change: float) -> float:
    return baseline.highest if change > 0 else -baseline.lowest


def _by_chance(baselines: Sequence[Baseline], at: int, change: float) -> float:
    """Return the spread of a window made of independent shorter windows; the window's own history may be too short."""
    return max(
        _side(baselines[shorter], change) * math.sqrt(WINDOWS_MINUTES[shorter] / WINDOWS_MINUTES[at])
        for shorter in range(at)
    )


def _is_more_than_chance(attempts: int, usual: float) -> bool:
    """Return whether independent arrivals cannot explain the number, even if the time of day moved their rate by `_DAILY_FACTOR`."""
    expected = usual * _DAILY_FACTOR if attempts > usual else usual / _DAILY_FACTOR
    deviance = expected - attempts + (attempts * math.log(attempts / expected) if attempts else 0.0)
    return math.sqrt(2 * max(deviance, 0.0)) >= _MIN_DEVIATION


def learn_traffic(totals: Sequence[Minute], baselines: Sequence[Baseline], reach_minutes: int) -> None:
    """Take the newest windows as normal."""
    newest, last = totals[-1].attempts, len(totals) - 1
    for minutes, baseline in zip(WINDOWS_MINUTES, baselines, strict=True):
        if minutes <= min(last, reach_minutes):
            attempts = newest - totals[last - minutes].attempts
            baseline.learn(math.log1p(attempts))
