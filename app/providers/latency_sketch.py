"""Counts of latencies in bins that grow by a fixed ratio, so that any quantile is within 2 % of the true one.

Input: seconds. Output: quantiles. What was counted can be removed again. The size does not
grow with traffic, as a list of values would: there are at most `MAX_BINS` bins, from 0.1 ms to
3 hours.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

RELATIVE_ERROR: Final = 0.02
_GROWTH: Final = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH: Final = math.log(_GROWTH)
_SHORTEST_SECONDS: Final = 1e-4
_LONGEST_SECONDS: Final = 10_800.0
_LOWEST: Final = math.ceil(math.log(_SHORTEST_SECONDS) / _LOG_GROWTH)
_HIGHEST: Final = math.ceil(math.log(_LONGEST_SECONDS) / _LOG_GROWTH)
MAX_BINS: Final = _HIGHEST - _LOWEST + 1


def bin_of(seconds: float) -> int:
    """Return the bin of a latency; what is shorter or longer than the bins reach belongs to the outermost ones."""
    if seconds <= _SHORTEST_SECONDS:
        return _LOWEST
    return _HIGHEST if seconds >= _LONGEST_SECONDS else math.ceil(math.log(seconds) / _LOG_GROWTH)


class LatencySketch:
    """Counts by bin: `bins` maps its number to its count, never 0. Not safe across threads by itself."""

    __slots__ = ("bins", "count")

    def __init__(self) -> None:
        self.count = 0
        self.bins: dict[int, int] = {}

    def add(self, seconds: float) -> None:
        """Count one latency."""
        self.add_all((bin_of(seconds),))

    def add_all(self, indexes: Sequence[int]) -> None:
        """Count latencies whose bins are known."""
        bins = self.bins
        for index in indexes:
            bins[index] = bins.get(index, 0) + 1
        self.count += len(indexes)

    def packed(self) -> "PackedSketch":
        """Return the counts in a tenth of the memory, for one that has all its latencies."""
        return PackedSketch(array("h", self.bins), array("Q", self.bins.values()), self.count)

    def items(self) -> Iterable[tuple[int, int]]:
        """Return the number and the count of each bin."""
        return self.bins.items()

    def remove(self, other: "LatencySketch | PackedSketch") -> None:
        """Remove what `other` counted, which must have been added before; raises ValueError where it was not."""
        for index, count in other.items():
            left = self.bins.get(index, 0) - count
            if left < 0:
                raise ValueError("a sketch can only give back what was added to it")
            if left:
                self.bins[index] = left
            else:
                del self.bins[index]
        self.count -= other.count

    def quantile(self, quantile: float) -> float | None:
        """Return the latency at or below which this share of the counts lies (nearest rank); None without any."""
        (value,) = self.quantiles((quantile,))
        return value

    def quantiles(self, quantiles: Iterable[float]) -> tuple[float | None, ...]:
        """Return several quantiles at once."""
        ordered = sorted(self.bins.items())
        return tuple(self._at_rank(ordered, max(1, math.ceil(quantile * self.count))) for quantile in quantiles)

    @staticmethod
    def _at_rank(ordered: list[tuple[int, int]], rank: int) -> float | None:
        seen = 0
        for index, count in ordered:
            seen += count
            if seen >= rank:
                # The middle of the bin (growth**(index-1), growth**index], at equal relative distance from both ends.
                return 2 * _GROWTH**index / (_GROWTH + 1)
        return None


class PackedSketch:
    """The counts of a sketch to which nothing is added: two arrays, since a bin of a dictionary takes some 80 bytes."""

    __slots__ = ("_counts", "_indexes", "count")

    def __init__(self, indexes: "array[int]", counts: "array[int]", count: int) -> None:
        self.count = count
        self._indexes = indexes
        self._counts = counts

    def items(self) -> Iterable[tuple[int, int]]:
        """Return the number and the count of each bin."""
        return zip(self._indexes, self._counts, strict=True)
