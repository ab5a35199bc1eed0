"""The points of one series in the order of time, whatever kind of metric it is."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

LOOKBACK_MS: Final = 300_000
"""How long a sample counts as the current one: Prometheus' `query.lookback-delta`."""


class NumberSeries(msgspec.Struct, frozen=True, kw_only=True):
    """The points of a gauge or a sum.

    - `times_ms` strictly increases; that of delta points may stay the same.
    - `values` has None where the sender ended the series (OTLP's no-recorded-value flag, the stale
      marker of Prometheus).
    - `starts_ms` is when the counting began, for each point; 0 where the sender does not tell.
    """

    times_ms: Sequence[int]
    values: Sequence[float | None]
    starts_ms: Sequence[int]
    is_delta: bool = False

    def without_unknown(self) -> "NumberSeries":
        """Return the points that have a value; this series where all have."""
        if None not in self.values:
            return self
        known = [index for index, value in enumerate(self.values) if value is not None]
        return NumberSeries(
            times_ms=[self.times_ms[index] for index in known],
            values=[self.values[index] for index in known],
            starts_ms=[self.starts_ms[index] for index in known],
            is_delta=self.is_delta,
        )


def value_at(series: NumberSeries, at_ms: int, lookback_ms: int = LOOKBACK_MS) -> float | None:
    """Return the latest sample in (at - lookback, at]; None without one, and where the latest ended the series.

    Source: `vectorSelectorSingle` in Prometheus, promql/engine.go.
    """
    index = bisect_right(series.times_ms, at_ms) - 1
    if index < 0 or series.times_ms[index] <= at_ms - lookback_ms:
        return None
    return series.values[index]
