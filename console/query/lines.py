"""One series of any kind, as what can be drawn of it."""

import math
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from console.query.growth import number_series
from console.query.histogram_growth import Distribution, classic_point, exponential_point
from console.query.series.classic_histogram import Buckets, ClassicHistogram
from console.query.series.counter import Counter
from console.query.series.exponential_histogram import ExponentialBuckets, ExponentialHistogram
from console.query.series.samples import value_at
from console.query.times import to_ms
from console.store.rows import ExponentialPoint, HistogramPoint, NumberPoint, Series, SummaryPoint


class Line(Protocol):
    """Times are milliseconds; None: unknown."""

    def value(self, at_ms: int) -> float | None:
        """Return the current value."""

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth per second over (start, end]."""

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return what was counted in (start, end]."""

    def sum_rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth of the sum of observations per second."""

    def distribution(self, start_ms: int, end_ms: int) -> Distribution | None:
        """Return the observations per second by bucket."""


class NumberLine:
    """A gauge or a sum."""

    def __init__(self, points: Sequence[NumberPoint], *, is_delta: bool) -> None:
        rows = ((to_ms(each.time_ns), to_ms(each.start_ns), _finite(each.value)) for each in points)
        self._series = number_series(rows, is_delta=is_delta)
        self._counter = Counter(self._series)

    def value(self, at_ms: int) -> float | None:
        """Return the current value."""
        return value_at(self._series, at_ms)

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth per second."""
        return self._counter.rate(start_ms, end_ms)

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return what was counted."""
        return self._counter.increase(start_ms, end_ms)

    def sum_rate(self, start_ms: int, end_ms: int) -> float | None:  # noqa: ARG002  it has no observations
        """Return None."""
        return None

    def distribution(self, start_ms: int, end_ms: int) -> Distribution | None:  # noqa: ARG002  likewise
        """Return None."""
        return None


class HistogramLine:
    """A histogram with bounds."""

    def __init__(self, points: Sequence[HistogramPoint], series: Series, *, is_delta: bool) -> None:
        shown = [classic_point(point, series.bounds, to_ms) for point in points]
        self._histogram = ClassicHistogram(shown, is_delta=is_delta)

    def value(self, at_ms: int) -> float | None:  # noqa: ARG002  it has no one value
        """Return None."""
        return None

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations per second."""
        return self._histogram.count.rate(start_ms, end_ms)

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations."""
        return self._histogram.count.increase(start_ms, end_ms)

    def sum_rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth of the sum per second."""
        return self._histogram.sum.rate(start_ms, end_ms)

    def distribution(self, start_ms: int, end_ms: int) -> Distribution | None:
        """Return the rates of the buckets."""
        return self._histogram.rates(start_ms, end_ms) or None

    def bucket_increases(self, start_ms: int, end_ms: int) -> Buckets:
        """Return the observations by bucket."""
        return self._histogram.increases(start_ms, end_ms)


class ExponentialLine:
    """An exponential histogram."""

    def __init__(self, points: Sequence[ExponentialPoint], *, is_delta: bool) -> None:
        self._histogram = ExponentialHistogram([exponential_point(point, to_ms) for point in points], is_delta=is_delta)
        self._has_sum = all(point.sum is not None for point in points if point.count is not None)

    def value(self, at_ms: int) -> float | None:  # noqa: ARG002  it has no one value
        """Return None."""
        return None

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations per second."""
        rate = self._histogram.rate(start_ms, end_ms)
        return None if rate is None else rate.count

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations."""
        increase = self._histogram.increase(start_ms, end_ms)
        return None if increase is None else increase.count

    def sum_rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth of the sum per second."""
        rate = self._histogram.rate(start_ms, end_ms)
        return None if rate is None or not self._has_sum else rate.sum

    def distribution(self, start_ms: int, end_ms: int) -> ExponentialBuckets | None:
        """Return the rates of the buckets."""
        return self._histogram.rate(start_ms, end_ms)


class SummaryLine:
    """A summary; its value is that of one quantile."""

    def __init__(self, points: Sequence[SummaryPoint], quantile: float | None) -> None:
        times = [(to_ms(each.time_ns), to_ms(each.start_ns), each) for each in points]
        self._values = number_series((at, start, _quantile_value(each, quantile)) for at, start, each in times)
        self._count = Counter(number_series((at, start, each.count) for at, start, each in times))
        self._sum = Counter(number_series((at, start, each.sum) for at, start, each in times))

    def value(self, at_ms: int) -> float | None:
        """Return the quantile's value."""
        return value_at(self._values, at_ms)

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations per second."""
        return self._count.rate(start_ms, end_ms)

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return the observations."""
        return self._count.increase(start_ms, end_ms)

    def sum_rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the growth of the sum per second."""
        return self._sum.rate(start_ms, end_ms)

    def distribution(self, start_ms: int, end_ms: int) -> Distribution | None:  # noqa: ARG002  it has no buckets
        """Return None."""
        return None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _quantile_value(point: SummaryPoint, quantile: float | None) -> float | None:
    if point.count is None:
        return None
    return next((value for each, value in point.quantiles if each == quantile), None)


Evaluate = Callable[[Line, int, int], float | None]

EVALUATIONS: Final[dict[str, Evaluate]] = {
    "value": lambda line, _, end_ms: line.value(end_ms),
    "rate": lambda line, start_ms, end_ms: line.rate(start_ms, end_ms),
    "increase": lambda line, start_ms, end_ms: line.increase(start_ms, end_ms),
}
"""The functions whose group is the sum of its series."""
