"""Reads the points that a chart needs: all of a short range, and of a long one those next to its times.

Of a long range the first and last points of each window and the one before it are looked up. Where the
counting began again between two of these, all points between them are read, so that no reset is missed.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from console.query.lines import ExponentialLine, HistogramLine, Line, NumberLine, SummaryLine
from console.query.times import MS
from console.store.read_metrics import read_exponentials, read_histograms, read_numbers, read_summaries
from console.store.rows import ExponentialPoint, Family, HistogramPoint, Series, SummaryPoint

MAX_ROWS: Final = 60_000
"""Points that are read without a selection, together for all series of a chart."""

MAX_NUMBERS: Final = 1_000_000
"""Values and buckets of a chart, about 150 MB."""

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


class ReadLimit:
    """Bounds the memory of one chart: a sender decides how many points and buckets there are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = MAX_NUMBERS

    def read(self, points: Iterable[Any]) -> list[Any]:
        """Return the points; raises ValueError where the chart would have too many numbers."""
        found = []
        for point in points:
            self._left -= _numbers(point)
            if self._left < 0:
                raise ValueError(
                    f"{self._name} has more than {MAX_NUMBERS} numbers here: narrow the range, or name fewer series with match"
                )
            found.append(point)
        return found


def _numbers(point: Any) -> int:
    if isinstance(point, HistogramPoint):
        return 1 + len(point.counts)
    if isinstance(point, ExponentialPoint):
        return 1 + len(point.positive_counts) + len(point.negative_counts)
    return 1 + len(point.quantiles) if isinstance(point, SummaryPoint) else 1


class Range(NamedTuple):
    """What a chart reads: points after `since_ns` until the last time, and one point before them.

    Each value looks back over `window_ns` before its time; 0: it is that of the last point.
    """

    since_ns: int
    times_ns: Sequence[int]
    window_ns: int = 0


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
    limit: ReadLimit,
) -> Line:
    """Return a series with all points of the range, or with `is_selected` those next to its times.

    Raises ValueError beyond the limit.
    """
    table = TABLES[family.kind]
    is_delta = family.temporality == _DELTA
    if is_selected and not is_delta:
        points = _selected(connection, table, series, wanted, limit)
    else:
        before = _time_before(connection, table, series.id, wanted.since_ns)
        points = limit.read(table.read(connection, (series.id,), before or wanted.since_ns, wanted.times_ns[-1]))
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


def _selected(
    connection: sqlite3.Connection, table: PointTable, series: Series, wanted: Range, limit: ReadLimit
) -> list[Any]:
    """Return the points at the ends of each window, and every point of intervals in which the counting began again."""
    found = _at_ends(connection, table, series, wanted)
    ordered = sorted(found)
    between = {
        begin: end
        for begin, end in pairwise(ordered)
        # Without a start a fall may be hidden: what was counted since may be more than before it.
        if not found[begin][0] == found[end][0] != 0 or _fell(found[begin][1], found[end][1])
    }
    points: list[Any] = []
    for time_ns in ordered:
        end = between.get(time_ns)
        points += limit.read(table.read(connection, (series.id,), time_ns, time_ns if end is None else end - 1))
    return points


def _at_ends(
    connection: sqlite3.Connection, table: PointTable, series: Series, wanted: Range
) -> dict[int, tuple[int, Any]]:
    """Return start and total by time of each window's first and last point and of the one before it."""
    begins = {time_ns - wanted.window_ns for time_ns in wanted.times_ns} if wanted.window_ns else set()
    columns = f"SELECT time_ns, start_ns, {table.total} FROM {table.name} WHERE series_id = ?"
    last = f"{columns} AND time_ns < ? ORDER BY time_ns DESC LIMIT 1"
    first = f"{columns} AND time_ns >= ? ORDER BY time_ns LIMIT 1"
    found: dict[int, tuple[int, Any]] = {}
    for sql, times_ns in ((last, begins.union(wanted.times_ns)), (first, begins)):
        for time_ns in times_ns:
            # A point belongs to the millisecond that it is in.
            row = connection.execute(sql, (series.id, time_ns + MS)).fetchone()
            if row is not None:
                found[row[0]] = (row[1], row[2])
    return found


def _fell(old: Any, new: Any) -> bool:
    return isinstance(old, int | float) and isinstance(new, int | float) and new < old
