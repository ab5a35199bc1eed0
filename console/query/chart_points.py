"""Reads the points that a chart needs: all of a short range, and of a long one those next to its times.

Of a long range the last point before each time is looked up. Where the counting began again between
two of these, all points between them are read, so that no reset is missed.
"""

import sqlite3
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from console.query.lines import ExponentialLine, HistogramLine, Line, NumberLine, SummaryLine
from console.store.read_metrics import read_exponentials, read_histograms, read_numbers, read_summaries
from console.store.rows import Family, Series

MAX_ROWS: Final = 60_000
"""Points that are read without a selection, together for all series of a chart."""

_DELTA: Final = 1


class PointTable(NamedTuple):
    """Where the points of a kind of metric are, and how they are read."""

    name: str
    total: str
    """The column whose fall is a reset."""
    read: Callable[..., Any]


TABLES: Final = {
    "gauge": PointTable("number_points", "value", read_numbers),
    "sum": PointTable("number_points", "value", read_numbers),
    "histogram": PointTable("histogram_points", "count", read_histograms),
    "exponential_histogram": PointTable("exponential_points", "count", read_exponentials),
    "summary": PointTable("summary_points", "count", read_summaries),
}


class Range(NamedTuple):
    """What a chart reads: points after `since_ns` until the last time, and one point before them."""

    since_ns: int
    times_ns: Sequence[int]


def count_points(connection: sqlite3.Connection, family: Family, series: Series, wanted: Range, most: int) -> int:
    """Return how many points a series has in the range, at most `most`; 0: it need not be drawn."""
    table = TABLES[family.kind].name
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE series_id = ? AND time_ns > ? AND time_ns <= ? LIMIT ?)",
        (series.id, wanted.since_ns, wanted.times_ns[-1], most),
    ).fetchone()
    return int(row[0])


def read_line(
    connection: sqlite3.Connection,
    family: Family,
    series: Series,
    wanted: Range,
    *,
    quantile: float | None,
    is_selected: bool,
) -> Line:
    """Return a series with all points of the range, or with `is_selected` those next to its times."""
    table = TABLES[family.kind]
    is_delta = family.temporality == _DELTA
    if is_selected and not is_delta:
        points = _selected(connection, table, series, wanted)
    else:
        before = _time_before(connection, table, series.id, wanted.since_ns)
        points = list(table.read(connection, (series.id,), before or wanted.since_ns, wanted.times_ns[-1]))
    if family.kind == "histogram":
        return HistogramLine(points, series, is_delta=is_delta)
    if family.kind == "exponential_histogram":
        return ExponentialLine(points, is_delta=is_delta)
    if family.kind == "summary":
        return SummaryLine(points, quantile)
    return NumberLine(points, is_delta=is_delta)


def read_quantiles(connection: sqlite3.Connection, series: Sequence[int], until_ns: int) -> list[float]:
    """Return the quantiles that the newest points of summaries have."""
    found: set[float] = set()
    for each in series:
        sql = "SELECT max(time_ns) FROM summary_points WHERE series_id = ? AND time_ns <= ? AND count IS NOT NULL"
        newest = connection.execute(sql, (each, until_ns)).fetchone()[0]
        if newest is not None:
            found |= {
                quantile
                for point in read_summaries(connection, (each,), newest, newest)
                for quantile, _ in point.quantiles
            }
    return sorted(found)


def _time_before(connection: sqlite3.Connection, table: PointTable, series_id: int, time_ns: int) -> int | None:
    sql = f"SELECT max(time_ns) FROM {table.name} WHERE series_id = ? AND time_ns <= ?"
    found: int | None = connection.execute(sql, (series_id, time_ns)).fetchone()[0]
    return found


def _selected(connection: sqlite3.Connection, table: PointTable, series: Series, wanted: Range) -> list[Any]:
    """Return the last point before each time, and every point of intervals in which the counting began again."""
    sql = (
        f"SELECT time_ns, start_ns, {table.total} FROM {table.name} WHERE series_id = ? AND time_ns <= ?"
        " ORDER BY time_ns DESC LIMIT 1"
    )
    found: dict[int, tuple[int, Any]] = {}
    for time_ns in (wanted.since_ns, *wanted.times_ns):
        row = connection.execute(sql, (series.id, time_ns)).fetchone()
        if row is not None:
            found[row[0]] = (row[1], row[2])
    ordered = sorted(found)
    restarts = [
        (begin, end)
        for begin, end in pairwise(ordered)
        if found[begin][0] != found[end][0] or _fell(found[begin][1], found[end][1])
    ]
    between = dict(restarts)
    points: list[Any] = []
    for time_ns in ordered:
        end = between.get(time_ns)
        points += table.read(connection, (series.id,), time_ns, time_ns if end is None else end - 1)
    return points


def _fell(old: Any, new: Any) -> bool:
    return isinstance(old, int | float) and isinstance(new, int | float) and new < old
