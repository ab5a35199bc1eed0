"""The last samples of many series before given times: one statement for each time, not for each series."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec

_LAST: Final = """
SELECT p.series_id, p.time_ns, p.start_ns, p.value FROM json_each(?) AS s CROSS JOIN number_points AS p
WHERE p.series_id = s.value AND p.time_ns = (
  SELECT time_ns FROM number_points WHERE series_id = s.value AND time_ns <= ?
  AND typeof(value) IN ('integer', 'real') ORDER BY time_ns DESC LIMIT 1
)
"""
_LATEST: Final = """
SELECT p.series_id, p.time_ns, p.value FROM json_each(?) AS s CROSS JOIN number_points AS p
WHERE p.series_id = s.value AND p.time_ns = (
  SELECT time_ns FROM number_points WHERE series_id = s.value AND time_ns <= ? AND time_ns > ?
  ORDER BY time_ns DESC LIMIT 1
)
"""
_WITH_POINTS: Final = """
SELECT s.value FROM json_each(?) AS s WHERE EXISTS (
  SELECT 1 FROM number_points WHERE series_id = s.value AND time_ns > ? AND time_ns <= ?
  AND typeof(value) IN ('integer', 'real')
)
"""
_encode: Final = msgspec.json.encode


class Sample(NamedTuple):
    """A number and when its counting began."""

    time_ns: int
    start_ns: int
    value: float


def read_last_samples(
    connection: sqlite3.Connection, series: Collection[int], times_ns: Sequence[int]
) -> dict[int, list[Sample | None]]:
    """Return the last number until each of the increasing times, by series; those without one are left out."""
    found: dict[int, list[Sample | None]] = {}
    known: dict[int, Sample] = {}
    left = list(series)
    for index, time_ns in enumerate(reversed(times_ns)):
        wanted = left if index == 0 else [each for each in left if known[each].time_ns > time_ns]
        if wanted:
            rows = connection.execute(_LAST, (_encode(wanted).decode(), time_ns))
            new = {row[0]: Sample(*row[1:]) for row in rows}
            for each in wanted:
                if each not in new:
                    known.pop(each, None)
            known |= new
            left = list(known)
        for each, sample in known.items():
            found.setdefault(each, [None] * len(times_ns))[-1 - index] = sample
    return found


def read_latest_rows(
    connection: sqlite3.Connection, series: Collection[int], until_ns: int, after_ns: int
) -> dict[int, tuple[int, object]]:
    """Return time and value of the last point in (after, until], by series; a value that is no number is as stored."""
    rows = connection.execute(_LATEST, (_encode(list(series)).decode(), until_ns, after_ns))
    return {row[0]: (row[1], row[2]) for row in rows}


def with_points(connection: sqlite3.Connection, series: Collection[int], after_ns: int, until_ns: int) -> list[int]:
    """Return the series that have a number in (after, until]."""
    rows = connection.execute(_WITH_POINTS, (_encode(list(series)).decode(), after_ns, until_ns))
    return [row[0] for row in rows]
