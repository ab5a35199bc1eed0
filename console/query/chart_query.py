"""What a chart shows, and the times at which it is evaluated."""

from collections.abc import Sequence
from typing import Final

import msgspec

from console.query.labels import Match
from console.query.shapes.metrics import Function, MetricType
from console.query.times import MS, SECOND, floor_to_ms, to_ns

DEFAULT_TIMES: Final = 240
MAX_TIMES: Final = 1_000
MAX_VALUES: Final = 20_000
"""Times by series of one chart; a value costs some microseconds."""
MAX_HISTOGRAM_VALUES: Final = 2_500
MAX_SERIES: Final = 100
HISTOGRAMS: Final = frozenset({"histogram", "exponential_histogram"})

_MIN_TIMES: Final = 20
_MIN_WINDOW_MS: Final = 60_000
_STEPS_PER_WINDOW: Final = 4


class ChartQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A chart; None: the default. Times are whole milliseconds."""

    name: str
    begin_ns: int
    end_ns: int
    function: Function | None = None
    type: MetricType | None = None
    quantiles: Sequence[float] | None = None
    by: Sequence[str] = ()
    matches: Sequence[Match] = ()
    step_seconds: float | None = None
    window_seconds: float | None = None
    with_exemplars: bool = True
    limit: int = 20


def chart_times(query: ChartQuery, kind: str, series: int) -> tuple[list[int], int]:
    """Return the times, the last one the end, and the step; fewer times for more series.

    Raises ValueError where that would be too many values, or too few times to see anything.
    """
    length_ns = query.end_ns - query.begin_ns
    most = (MAX_HISTOGRAM_VALUES if kind in HISTOGRAMS else MAX_VALUES) // max(1, series)
    if most < _MIN_TIMES:
        raise ValueError(f"{query.name} has {series} series here: name fewer of them with match")
    if query.step_seconds is None:
        step_ns = floor_to_ms(-(-length_ns // min(DEFAULT_TIMES, most)))
    else:
        step_ns = floor_to_ms(to_ns(query.step_seconds))
    step_ns = max(MS, step_ns)
    count = max(1, -(-length_ns // step_ns))
    if count > min(MAX_TIMES, most) + 1:
        least = -(-length_ns // (min(MAX_TIMES, most) * SECOND))
        raise ValueError(f"step is too small for this range and its {series} series: {least} is possible")
    return [query.end_ns - step_ns * back for back in range(count - 1, -1, -1)], step_ns


def chart_window_ms(query: ChartQuery, step_ns: int) -> int:
    """Return how far each value looks back: several steps, so that no sample is left out."""
    if query.window_seconds is not None:
        return max(1, to_ns(query.window_seconds) // MS)
    return max(_MIN_WINDOW_MS, _STEPS_PER_WINDOW * step_ns // MS)
