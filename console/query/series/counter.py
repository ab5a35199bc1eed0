"""What a counter grew by in a window, in two readings.

`rate` is that of Prometheus: extrapolated to the window. `increase` adds up what was counted between
the samples and nothing else, so that adjacent windows add up to the whole: counts and money use it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from operator import le
from typing import NamedTuple, TypeVar, cast

from console.query.series.extrapolation import Reach, Sampled, counter_factor, reach
from console.query.series.samples import LOOKBACK_MS, NumberSeries

_MS_PER_SECOND = 1_000.0
Key = TypeVar("Key")


class Window(NamedTuple):
    """The samples of a window, by index; the last one is smaller than the first where there is none."""

    first: int
    last: int
    reach: Reach | None
    """None with fewer than two samples."""
    seconds: float


class Counter:
    """One series of a monotonic sum, or the count, the sum or a bucket of a histogram.

    A sample without a value is left out: the end of a series changes no count.
    """

    def __init__(self, series: NumberSeries) -> None:
        known = series.without_unknown()
        self._times, self._starts = known.times_ms, known.starts_ms
        # mypy cannot see that no value is None.
        self._values = cast("Sequence[float]", known.values)
        self._is_delta = series.is_delta

    @cached_property
    def _by_value(self) -> Sequence[float]:
        """What was counted up to each sample, with resets where the value falls; where it never does, from any origin."""
        if all(map(le, self._values, self._values[1:])):
            return self._values
        return list(accumulate(_steps(self._values), initial=0.0))

    @cached_property
    def _counted(self) -> list[float]:
        """What was counted up to each sample, with resets where the value falls or the counting began again."""
        if self._is_delta:
            return list(accumulate(self._values))
        return list(accumulate(self._steps_by_start(), initial=0.0)) if self._times else []

    @property
    def samples(self) -> int:
        """How many samples it has."""
        return len(self._times)

    def rate(self, start_ms: int, end_ms: int) -> float | None:
        """Return the increase per second over (start, end]; None where it cannot be known.

        Cumulative: Prometheus' `rate`, which needs two samples and finds resets by a fall of the
        value. Delta: `sum_over_time` divided by the length of the window.
        """
        return self.rate_in(self.window(start_ms, end_ms))

    def window(self, start_ms: int, end_ms: int) -> Window:
        """Return where the samples of a window are; it is that of every counter with the same times."""
        first, last = self._inside(start_ms, end_ms)
        wide = None
        if last > first:
            wide = reach(Sampled(self._times[first], self._times[last], last - first + 1), start_ms, end_ms)
        return Window(first, last, wide, (end_ms - start_ms) / _MS_PER_SECOND)

    def rate_in(self, window: Window) -> float | None:
        """Return the rate in a window of these times."""
        first, last, wide, seconds = window
        if self._is_delta:
            return None if last < first else self._between(first - 1, last) / seconds
        if wide is None:
            return None
        increase = self._by_value[last] - self._by_value[first]
        return increase * counter_factor(wide, self._values[first], increase) / seconds

    @staticmethod
    def rates_in(window: Window, counters: Iterable[tuple[Key, "Counter"]]) -> dict[Key, float]:
        """Return what `rate_in` returns of each cumulative counter of these times, which there may be many of."""
        first, last, wide, seconds = window
        if wide is None:
            return {}
        sampled, to_start, to_end = wide
        whole = (sampled + to_start + to_end) / sampled
        rates = {}
        for key, counter in counters:
            counted, value = counter._by_value, counter._values[first]  # noqa: SLF001  of this class
            increase = counted[last] - counted[first]
            # Only a counter that began shortly before is extrapolated less.
            is_whole = increase <= 0 or value < 0 or sampled * (value / increase) >= to_start
            rates[key] = increase * (whole if is_whole else counter_factor(wide, value, increase)) / seconds
        return rates

    def increase(self, start_ms: int, end_ms: int) -> float | None:
        """Return what was counted in (start, end], from the sample before the window to the last in it.

        A series whose counting began in the window, or within `LOOKBACK_MS` of its first sample, counts
        from 0. Of any other series it is unknown how much of the first sample's value belongs to the
        window: it is left out, and `unknown_before_ms` has its time. None where nothing is known.
        """
        first, last = self._inside(start_ms, end_ms)
        if last < first:
            return None
        if self._is_delta or first > 0:
            return self._between(first - 1, last)
        if self._begins_in(start_ms):
            return self._between(0, last) + self._values[0]
        return self._between(0, last) if last > 0 else None

    def unknown_before_ms(self, start_ms: int, end_ms: int) -> int | None:
        """Return since when `increase` knows the window; None where it knows all of it."""
        first, last = self._inside(start_ms, end_ms)
        is_known = last < first or first > 0 or self._is_delta or self._begins_in(start_ms)
        return None if is_known else self._times[0]

    def _inside(self, start_ms: int, end_ms: int) -> tuple[int, int]:
        """Return the indices of the first and last sample in (start, end]; without one the last is smaller."""
        return bisect_right(self._times, start_ms), bisect_right(self._times, end_ms) - 1

    def _between(self, before: int, last: int) -> float:
        """Return what was counted after the sample `before` (-1: from 0) up to the sample `last`."""
        return self._counted[last] - (self._counted[before] if before >= 0 else 0.0)

    def _begins_in(self, start_ms: int) -> bool:
        """Return whether all of the first retained sample's value belongs to a window that starts here."""
        begun_ms, first_ms = self._starts[0], self._times[0]
        return 0 < begun_ms < first_ms and (begun_ms >= start_ms or first_ms - begun_ms <= LOOKBACK_MS)

    def _steps_by_start(self) -> Iterator[float]:
        """Return what each sample added; a start after the sample before is a reset too.

        Source: `isStartTimestampReset` in Prometheus, promql/functions.go, for cumulative series.
        """
        for index, step in enumerate(_steps(self._values), start=1):
            began_again = self._times[index - 1] < self._starts[index] < self._times[index]
            yield self._values[index] if began_again else step


def _steps(values: Sequence[float]) -> Iterator[float]:
    """Return what each sample added to the one before; a fall of the value is a reset."""
    return (new if new < old else new - old for old, new in pairwise(values))
