"""What counters counted between given times, read by a few lookups per series whatever their length.

The times are whole milliseconds. For each time the last sample before it is looked up. Where the counting began again between two
times, all samples between them are read, so that nothing is lost with a reset. Adjacent intervals
add up: each sample belongs to exactly one.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from console.query.last_samples import Sample, read_last_samples
from console.query.series.counter import Counter
from console.query.series.samples import NumberSeries
from console.query.shapes.base import Labels
from console.query.times import MS, ceil_ms
from console.query.view import View
from console.store.read_metrics import read_families, read_series
from console.store.rows import Series

_DELTA = 1
_CUMULATIVE = 2


class Growth(NamedTuple):
    """One series."""

    labels: Labels
    resource_id: int
    steps: Sequence[float | None]
    """What was counted in each interval; None where no sample arrived."""
    unknown_before_ns: int | None
    """Since when it is known, where that is after the first time."""
    begun_ns: int | None
    """When the counting began, where that is in one of the intervals; else None."""


def read_growth(
    view: View, name: str, times_ns: Sequence[int], keep: Callable[[Labels], bool] = lambda _: True
) -> list[Growth]:
    """Return the series of a counter that have samples between the first and last of the increasing times."""
    found = []
    for family in read_families(view.connection, name):
        if family.kind != "sum" or not family.is_monotonic:
            continue
        kept = {
            series.id: (series, labels)
            for series in read_series(view.connection, family.id)
            if keep(labels := view.labels(series.attributes, series.resource_id))
        }
        is_delta = family.temporality == _DELTA
        lasts = {} if is_delta else read_last_samples(view.connection, kept, times_ns)
        for series_id in kept if is_delta else lasts:
            series, labels = kept[series_id]
            growth = _growth(view.connection, series, labels, times_ns, lasts.get(series_id))
            if growth is not None:
                found.append(growth)
    return found


def _growth(
    connection: sqlite3.Connection,
    series: Series,
    labels: Labels,
    times_ns: Sequence[int],
    lasts: Sequence[Sample | None] | None,
) -> Growth | None:
    """Return the growth by the last samples before the times; None: the series is delta."""
    if lasts is None:
        steps = [_delta_sum(connection, series.id, begin, end) for begin, end in pairwise(times_ns)]
        unknown, begun = None, None
    else:
        steps, unknown, begun = _cumulative(connection, series.id, times_ns, lasts)
    # What a sender made infinite is unknown.
    steps = [None if step is None or not math.isfinite(step) else step for step in steps]
    if all(step is None for step in steps):
        return None
    return Growth(labels, series.resource_id, steps, unknown, begun)


def _delta_sum(connection: sqlite3.Connection, series_id: int, begin_ns: int, end_ns: int) -> float | None:
    row = connection.execute(
        # `sum` of integers fails beyond 64 bits.
        "SELECT total(value), count(*) FROM number_points WHERE series_id = ? AND time_ns > ? AND time_ns <= ?"
        " AND typeof(value) IN ('integer', 'real')",
        (series_id, begin_ns, end_ns),
    ).fetchone()
    return None if row[0] is None or not row[1] else float(row[0])


def _cumulative(
    connection: sqlite3.Connection, series_id: int, times_ns: Sequence[int], lasts: Sequence[Sample | None]
) -> tuple[list[float | None], int | None, int | None]:
    steps: list[float | None] = []
    unknown: int | None = None
    begun: int | None = None
    for (begin_ns, before), (end_ns, last) in pairwise(zip(times_ns, lasts, strict=True)):
        if last is None or (before is not None and before.time_ns == last.time_ns):
            steps.append(None)
        elif before is not None and before.start_ns == last.start_ns != 0 and before.value <= last.value:
            steps.append(last.value - before.value)
        else:
            counter, first = _all_samples(connection, series_id, before, last, begin_ns)
            begin_ms, end_ms = begin_ns // MS, end_ns // MS
            steps.append(counter.increase(begin_ms, end_ms))
            if before is None:
                unknown_ms = counter.unknown_before_ms(begin_ms, end_ms)
                unknown = None if unknown_ms is None else unknown_ms * MS
                begun = first.start_ns if unknown is None else None
    return steps, unknown, begun


def _all_samples(
    connection: sqlite3.Connection, series_id: int, before: Sample | None, last: Sample, begin_ns: int
) -> tuple[Counter, Sample]:
    """Return a counter of the samples after a time until the last one, and the one before them.

    Of a series without a sample before them, and with one uninterrupted counting, the first and the
    last sample are enough.
    """
    rows: list[Sample] = []
    if before is None:
        first = _inside(connection, series_id, begin_ns, last.time_ns, 1)
        if first[0].start_ns == last.start_ns != 0 and first[0].value <= last.value:
            rows = [first[0], last]
    rows = rows or _inside(connection, series_id, begin_ns, last.time_ns, -1)
    samples = rows if before is None else [before, *rows]
    return Counter(
        number_series((ceil_ms(each.time_ns), ceil_ms(each.start_ns), each.value) for each in samples)
    ), rows[0]


def _inside(connection: sqlite3.Connection, series_id: int, begin_ns: int, end_ns: int, limit: int) -> list[Sample]:
    """Return the first samples in (begin, end], at most `limit`; -1: all."""
    rows = connection.execute(
        "SELECT time_ns, start_ns, value FROM number_points WHERE series_id = ? AND time_ns > ? AND time_ns <= ?"
        " AND typeof(value) IN ('integer', 'real') ORDER BY time_ns LIMIT ?",
        (series_id, begin_ns, end_ns, limit),
    )
    return [Sample(*row) for row in rows]


Row: TypeAlias = tuple[int, int, float | None]
"""Time and start in milliseconds, value."""


def number_series(rows: Iterable[Row], *, is_delta: bool = False) -> NumberSeries:
    """Return the series of these rows, in their order; of two totals in the same millisecond the later one counts."""
    counted = list(rows) if is_delta else list({row[0]: row for row in rows}.values())
    return NumberSeries(
        times_ms=[time_ms for time_ms, _, _ in counted],
        starts_ms=[start_ms for _, start_ms, _ in counted],
        values=[value for _, _, value in counted],
        is_delta=is_delta,
    )


def total(growths: Iterable[Growth]) -> float | None:
    """Return the sum over all series and intervals; None without any sample."""
    steps = [step for growth in growths for step in growth.steps if step is not None]
    return sum(steps) if steps else None


def total_by(growths: Iterable[Growth], label: str) -> dict[str, float]:
    """Return the sums by one label; a series without it counts under the empty text."""
    sums: dict[str, float] = {}
    for growth in growths:
        value = growth.labels.get(label, "")
        sums[value] = sums.get(value, 0.0) + sum(step for step in growth.steps if step is not None)
    return sums
