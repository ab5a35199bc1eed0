"""The chart of the cost report: what equal steps cost by provider.

The steps add up to the report's total, less what was counted more than five minutes before a series was first
seen: that belongs to no step.
Short windows have fine steps. No step is shorter than two of the pushes that the cost arrives with,
because a step without a sample would be a gap.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from console.query.growth import Growth, read_growth
from console.query.shapes.base import Basis
from console.query.shapes.metrics import Chart, Series
from console.query.times import SECOND, floor_to_ms, to_nano, to_seconds
from console.query.view import View
from console.store.read_metrics import read_families, read_series
from otel.catalogue import money, semconv

STEPS_S: Final = (5, 10, 15, 30, 60, 120, 300, 900, 1_800, 3_600, 7_200, 21_600, 86_400, 604_800)
MAX_STEPS: Final = 60
MAX_LOOKUPS: Final = 20_000
"""Series by steps; more series have fewer and longer steps."""
MAX_SERIES: Final = 20

_NEAR_NS: Final = 300 * SECOND
"""A series whose counting began this long before its first sample counts from 0 there."""
_GAPS: Final = 8
_PUSHES_PER_STEP: Final = 2


def read_cost_chart(view: View, begin_ns: int, end_ns: int) -> Chart | None:
    """Return the chart of a window, from its first cost on; None without any."""
    ids = [
        series.id
        for family in read_families(view.connection, money.COST)
        for series in read_series(view.connection, family.id)
    ]
    first_ns = _first_ns(view, ids)
    if first_ns is None or first_ns >= end_ns:
        return None
    since_ns = max(begin_ns, first_ns)
    step_ns = _step_ns(end_ns - since_ns, _push_ns(view, ids, end_ns), len(ids))
    times_ns = _times(since_ns, begin_ns, end_ns, step_ns)
    growths = read_growth(view, money.COST, times_ns)
    if not growths:
        return None
    series = _by_provider(growths)
    return Chart(
        name=money.COST,
        type="sum",
        unit="USD",
        function="increase",
        quantiles=[],
        times=[to_seconds(time_ns) for time_ns in times_ns[1:]],
        step_seconds=to_seconds(step_ns),
        range_seconds=to_seconds(step_ns),
        series=series[:MAX_SERIES],
        truncated=len(series) > MAX_SERIES,
        exemplars=[],
        basis={
            "series": Basis(
                source=f"metric {money.COST}",
                window_seconds=to_seconds(step_ns),
                formula=f"sum by (provider) (increase({money.COST}[step] anchored))",
            )
        },
    )


def _first_ns(view: View, ids: Sequence[int]) -> int | None:
    """Return when the first retained sample arrived, or began to be counted where that is known."""
    found = []
    for series_id in ids:
        row = view.connection.execute(
            "SELECT time_ns, start_ns FROM number_points WHERE series_id = ? ORDER BY time_ns LIMIT 1", (series_id,)
        ).fetchone()
        if row is not None:
            time_ns, start_ns = row
            is_near = 0 < start_ns < time_ns and time_ns - start_ns <= _NEAR_NS
            found.append(floor_to_ms(start_ns if is_near else time_ns))
    return min(found, default=None)


def _push_ns(view: View, ids: Sequence[int], end_ns: int) -> int:
    """Return how far apart the newest samples are: of several senders those of the slowest; 0 where it is unknown."""
    longest = 0
    for series_id in ids:
        rows = view.connection.execute(
            "SELECT time_ns FROM number_points WHERE series_id = ? AND time_ns <= ? ORDER BY time_ns DESC LIMIT ?",
            (series_id, end_ns, _GAPS + 1),
        ).fetchall()
        if len(rows) > 1:
            longest = max(longest, int(median(newer - older for (newer,), (older,) in pairwise(rows))))
    return longest


def _step_ns(length_ns: int, push_ns: int, series: int) -> int:
    most = max(2, min(MAX_STEPS, MAX_LOOKUPS // series))
    # Pushes are a little late at times: the fifth push of 5 s is no reason for longer steps.
    least_ns = push_ns * _PUSHES_PER_STEP * 9 // 10
    fitting = (step for step in STEPS_S if step * SECOND >= least_ns and -(-length_ns // (step * SECOND)) <= most)
    return next(fitting, STEPS_S[-1]) * SECOND


def _times(since_ns: int, begin_ns: int, end_ns: int, step_ns: int) -> list[int]:
    """Return the increasing bounds of the steps, counted back from the end; the first step may be shorter."""
    count = -(-(end_ns - since_ns) // step_ns)
    return [max(begin_ns, end_ns - step_ns * back) for back in range(count, -1, -1)]


def _by_provider(growths: Sequence[Growth]) -> list[Series]:
    """Return a line for each provider, the costliest first; None where no sample arrived in a step."""
    groups: dict[str, list[Growth]] = {}
    for growth in growths:
        groups.setdefault(growth.labels.get(semconv.PROVIDER, ""), []).append(growth)
    lines = [
        Series(
            labels={semconv.PROVIDER: name},
            values=[_sum(step) for step in zip(*(each.steps for each in members), strict=True)],
        )
        for name, members in groups.items()
    ]
    lines.sort(key=lambda line: (-sum(value or 0.0 for value in line.values), line.labels[semconv.PROVIDER]))
    return lines


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return to_nano(sum(known)) if known else None
