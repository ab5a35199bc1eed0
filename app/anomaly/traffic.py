"""TRAFFIC: attempts per minute, much more or much less than lately.

Comes in: running totals and a baseline per window. Goes out: a verdict, and the reading where it is beyond. The centre is the last hour's,
so the daily rise and fall moves it along, and a burst no larger than those of the last hours is nothing new. Single minutes are not
judged, they tell how bursty traffic is: steady traffic shows a change within 5 minutes, bursty traffic only over 15, because a lull may
last as long.
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
_LEAST_SPREAD: Final = 0.1
_BEYOND_EXTREME: Final = 1.25
_SURGE_SIGNIFICANCE: Final = 3.0
_DROP_SIGNIFICANCE: Final = 4.0
"""More, because lulls are deeper than bursts are high on a logarithmic scale."""

_DROP_SHIFT: Final = math.log(5)
_MAX_BY_CHANCE: Final = 0.4
_MIN_LEARNED: Final = 30


def judge_traffic(
    scope: Scope, totals: Sequence[Minute], baselines: Sequence[Baseline], *, reach_minutes: int, surge_shift: float
) -> tuple[Verdict, Reading | None]:
    """Judge the newest minute; `surge_shift` is the natural logarithm of the smallest surge that counts."""
    verdict: Verdict = "unknown"
    newest, last = totals[-1].attempts, len(totals) - 1
    single = baselines[0]
    for minutes, baseline in zip(WINDOWS_MINUTES[1:], baselines[1:], strict=True):
        if minutes > min(last, reach_minutes) or len(baseline.recent) < _MIN_LEARNED:
            continue
        if baseline.centre < math.log1p(_MIN_USUAL_ATTEMPTS):
            continue
        attempts = newest - totals[last - minutes].attempts
        change = math.log1p(attempts) - baseline.centre
        size = abs(change)
        least = surge_shift if change > 0 else max(surge_shift, _DROP_SHIFT)
        if size >= least:
            by_chance = (single.spread_up if change > 0 else single.spread_down) / math.sqrt(minutes)
            if minutes == WINDOWS_MINUTES[1] and by_chance > _MAX_BY_CHANCE:
                continue
            spread = _spread(baseline, change, by_chance)
            bound = max(least, _bound(baseline, change, spread))
            if size >= bound:
                return "beyond", Reading(
                    scope=scope,
                    signal="traffic",
                    value=attempts / minutes,
                    baseline=math.expm1(baseline.centre) / minutes,
                    spread=math.exp(spread),
                    threshold=max(math.expm1(baseline.centre + math.copysign(bound, change)), 0.0) / minutes,
                    samples=attempts,
                    minutes=minutes,
                    surprise=size / spread,
                )
        if verdict == "unknown":
            verdict = "calm" if size < least / 2 else "between"
    return verdict, None


def _spread(baseline: Baseline, change: float, by_chance: float) -> float:
    """Return the widest explanation: the window's own history, bursts that fall together, few attempts."""
    wandering = baseline.spread_up if change > 0 else baseline.spread_down
    return math.sqrt(max(wandering, by_chance, _LEAST_SPREAD) ** 2 + math.exp(-baseline.centre))


def _bound(baseline: Baseline, change: float, spread: float) -> float:
    """Return how far is too far: by the spread, and further than anything lately."""
    if change > 0:
        return max(_SURGE_SIGNIFICANCE * spread, _BEYOND_EXTREME * baseline.highest)
    return max(_DROP_SIGNIFICANCE * spread, _BEYOND_EXTREME * -baseline.lowest)


def learn_traffic(totals: Sequence[Minute], baselines: Sequence[Baseline], reach_minutes: int) -> None:
    """Take the newest windows as normal."""
    newest, last = totals[-1].attempts, len(totals) - 1
    for minutes, baseline in zip(WINDOWS_MINUTES, baselines, strict=True):
        if minutes <= min(last, reach_minutes):
            attempts = newest - totals[last - minutes].attempts
            baseline.learn(math.log1p(attempts))
