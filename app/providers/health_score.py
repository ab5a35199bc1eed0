"""One number between 0 and 1 from what is known of a provider.

Input: availability, counts of attempts, the provider's latency target and limit. Output: the
score. Pure functions: the same counts give the same score.
"""

from typing import Final

from app.providers.attempt_window import WindowCounts

_AVAILABILITY_WEIGHT: Final = 0.4
_ERROR_WEIGHT: Final = 0.3
_LATENCY_WEIGHT: Final = 0.3


def latency_score(counts: WindowCounts, *, target_seconds: float, limit_seconds: float) -> float | None:
    """Return 1 for a p95 up to the target, falling in a straight line to 0 at the limit; None without attempts.

    A provider whose attempts all failed scores 0: failing fast is not being fast.
    """
    if not counts.attempts:
        return None
    if counts.latency_p95_seconds is None:
        return 0.0
    score = (limit_seconds - counts.latency_p95_seconds) / (limit_seconds - target_seconds)
    return min(1.0, max(0.0, score))


def health_score(
    availability: float | None, counts: WindowCounts, *, target_seconds: float, limit_seconds: float
) -> float | None:
    """Return `0.4 * availability + 0.3 * (1 - error rate) + 0.3 * latency score`; None where nothing is known.

    What is unknown is left out and the weights of the rest are scaled to 1: a provider behind an
    open breaker gets no attempts, and its score must follow its availability instead of
    disappearing.
    """
    error_rate = counts.error_rate
    terms = (
        (_AVAILABILITY_WEIGHT, availability),
        (_ERROR_WEIGHT, None if error_rate is None else 1.0 - error_rate),
        (_LATENCY_WEIGHT, latency_score(counts, target_seconds=target_seconds, limit_seconds=limit_seconds)),
    )
    known = [(weight, value) for weight, value in terms if value is not None]
    if not known:
        return None
    score = sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)
    # Rounded so that the weights' binary fractions cannot push it past 1.
    return min(1.0, round(score, 12))
