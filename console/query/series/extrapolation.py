"""Extrapolates what happened between the samples of a window to the whole window."""

from typing import NamedTuple

_NEAR: float = 1.1
"""A sample this many average distances from an end of the window is near it."""


class Sampled(NamedTuple):
    """Where the samples of a window lie."""

    first_ms: int
    last_ms: int
    samples: int
    """At least 2."""


class Reach(NamedTuple):
    """How far the samples speak for the time around them, in milliseconds."""

    sampled: float
    to_start: float
    to_end: float


def reach(sampled: Sampled, start_ms: int, end_ms: int) -> Reach:
    """Return how far to extrapolate to each side: to the end of the window where a sample is near it.

    Otherwise half of the average distance of samples. Source: `extrapolatedRate` in Prometheus,
    promql/functions.go.
    """
    interval = float(sampled.last_ms - sampled.first_ms)
    average = interval / (sampled.samples - 1)
    to_start, to_end = float(sampled.first_ms - start_ms), float(end_ms - sampled.last_ms)
    # In seconds, as there: sixteen of them are as many as 1.1 times 160 / 11, but 16,000 milliseconds are fewer.
    near_seconds = interval / 1_000 / (sampled.samples - 1) * _NEAR
    if to_start / 1_000 >= near_seconds:
        to_start = average / 2
    if to_end / 1_000 >= near_seconds:
        to_end = average / 2
    return Reach(interval, to_start, to_end)


def counter_factor(wide: Reach, first: float, increase: float) -> float:
    """Return by what an increase between samples is multiplied; a counter is never extrapolated to below 0."""
    to_start = wide.to_start
    if increase > 0 and first >= 0:
        to_start = min(to_start, wide.sampled * (first / increase))
    return (wide.sampled + to_start + wide.to_end) / wide.sampled
