"""Judges the failed share of attempts against the usual rate.

A surge counts when it is both large (points above the usual) and more than chance explains.
"""

import math
from collections.abc import Sequence
from typing import Final

from app.anomaly.episode import Verdict
from app.anomaly.error_baseline import ErrorBaseline
from app.anomaly.levels import WINDOWS_MINUTES
from app.anomaly.minute import Minute
from app.anomaly.reading import Reading, Scope

_MIN_FAILURES: Final = 4
_MIN_ATTEMPTS: Final = 8
_PLENTY: Final = 60
_MIN_FACTOR: Final = 2.0


def judge_errors(
    scope: Scope,
    totals: Sequence[Minute],
    baseline: ErrorBaseline,
    *,
    reach_minutes: int,
    rise: float,
    significance: float,
) -> tuple[Verdict, Reading | None]:
    """Judge the newest minute; `rise` is the smallest share above the usual that counts."""
    verdict: Verdict = "unknown"
    if not baseline.is_mature:
        return verdict, None
    newest, last = totals[-1], len(totals) - 1
    usual = baseline.rate
    bound = max(usual + rise, usual * _MIN_FACTOR)
    for minutes in WINDOWS_MINUTES:
        if minutes > last or minutes > reach_minutes:
            break
        oldest = totals[last - minutes]
        judged = newest.judged - oldest.judged
        if judged < _MIN_ATTEMPTS:
            continue
        failures = newest.failures - oldest.failures
        share = failures / judged
        if share >= bound and failures >= _MIN_FAILURES:
            deviation = baseline.deviation(failures, judged)
            if deviation >= significance:
                spread = math.sqrt(usual * (1 - usual) * max(baseline.dispersion, 1.0) / judged)
                return "beyond", Reading(
                    scope=scope,
                    signal="errors",
                    value=share,
                    baseline=usual,
                    spread=spread,
                    threshold=bound,
                    samples=judged,
                    minutes=minutes,
                    deviation=deviation,
                )
        if verdict == "unknown":
            verdict = "calm" if share < (usual + bound) / 2 else "between"
        if judged >= _PLENTY:
            break
    return verdict, None
