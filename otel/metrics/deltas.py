"""What one series added up between two collections, and how it gets into the SDK's aggregations."""

import math
from typing import Any, TypeVar

from otel.metrics.exemplar_reservoir import Offered


class SumDelta:
    """What a counter's series added up between two collections; `exemplars` by slot."""

    __slots__ = ("aggregations", "exemplars", "is_empty", "total")

    def __init__(self, aggregations: tuple[Any, ...]) -> None:
        self.aggregations = aggregations
        self.exemplars: dict[int, Offered] = {}
        self.total: float = 0
        self.is_empty = True
        """Whether it may begin, because what it had has been passed on: new ones keep the garbage collector busy."""

    def pass_on(self) -> None:
        """Move it into the aggregations."""
        total = self.total
        for each in self.aggregations:
            # Not a method of it: the call would take a third of the time.
            with each._lock:  # noqa: SLF001  the SDK has no public bound instruments
                each._previous_value += total  # noqa: SLF001  as above
        self.total = 0
        if self.exemplars:
            for each in self.aggregations:
                each._reservoir.put(self.exemplars)  # noqa: SLF001  as above
            self.exemplars.clear()
        self.is_empty = True


class HistogramDelta:
    """What a histogram's series recorded between two collections; `exemplars` by bucket."""

    __slots__ = ("aggregations", "counts", "exemplars", "highest", "is_empty", "lowest", "sum")

    def __init__(self, aggregations: tuple[Any, ...], buckets: int) -> None:
        self.aggregations = aggregations
        self.exemplars: dict[int, Offered] = {}
        self.counts = [0] * buckets
        self.sum: float = 0
        self.lowest, self.highest = math.inf, -math.inf
        self.is_empty = True

    def pass_on(self) -> None:
        """Move it into the aggregations."""
        for each in self.aggregations:
            each.add(self.counts, self.sum, self.lowest, self.highest)
            if self.exemplars:
                each._reservoir.put(self.exemplars)  # noqa: SLF001  as above
        self.counts[:] = [0] * len(self.counts)  # the same list: new ones keep the garbage collector busy
        self.sum = 0
        self.lowest, self.highest = math.inf, -math.inf
        self.exemplars.clear()
        self.is_empty = True


AnyDelta = TypeVar("AnyDelta", SumDelta, HistogramDelta)
