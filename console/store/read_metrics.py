"""Lookups of metric families, their series, points and exemplars. Points of a series come by time."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from console.store.rows import (
    Exemplar,
    ExponentialPoint,
    Family,
    HistogramPoint,
    NumberPoint,
    Series,
    SummaryPoint,
)
from console.store.values import decode

_FAMILY: Final = """
SELECT m.id, m.name, m.unit, m.description, m.kind, m.temporality, m.is_monotonic,
  (SELECT count(*) FROM series s WHERE s.metric_id = m.id)
FROM metrics m
"""
_COUNTS: Final = msgspec.json.Decoder(tuple[int, ...])
_FLOATS: Final = msgspec.json.Decoder(tuple[float, ...])
_QUANTILES: Final = msgspec.json.Decoder(tuple[tuple[float, float | None], ...])


def read_families(connection: sqlite3.Connection, name: str | None = None) -> list[Family]:
    """Return all families by name, or those of one name: programs may declare it differently."""
    where, values = ("", ()) if name is None else ("WHERE m.name = ?", (name,))
    return [_family(row) for row in connection.execute(f"{_FAMILY} {where} ORDER BY m.name, m.id", values)]


def read_series(connection: sqlite3.Connection, metric_id: int) -> list[Series]:
    """Return the series of a family."""
    rows = connection.execute(
        "SELECT id, metric_id, resource_id, scope_id, attributes, coalesce(bounds, '[]') FROM series"
        " WHERE metric_id = ? ORDER BY id",
        (metric_id,),
    )
    return [
        Series(
            id=row[0],
            metric_id=row[1],
            resource_id=row[2],
            scope_id=row[3],
            attributes=decode(row[4]),
            bounds=_FLOATS.decode(row[5]),
        )
        for row in rows
    ]


def read_numbers(
    connection: sqlite3.Connection, series: Iterable[int], since_ns: int, until_ns: int
) -> Iterator[NumberPoint]:
    """Yield points with `since_ns <= time_ns <= until_ns`, series after series."""
    for each in series:
        for row in connection.execute(
            "SELECT series_id, time_ns, start_ns, value FROM number_points"
            " WHERE series_id = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns",
            (each, since_ns, until_ns),
        ):
            value = row[3]
            yield NumberPoint(row[0], row[1], row[2], float(value) if isinstance(value, str) else value)


def read_histograms(
    connection: sqlite3.Connection, series: Iterable[int], since_ns: int, until_ns: int
) -> Iterator[HistogramPoint]:
    """Yield points, as `read_numbers` does."""
    for each in series:
        for row in connection.execute(
            "SELECT series_id, time_ns, start_ns, count, sum, min, max, coalesce(counts, '[]') FROM histogram_points"
            " WHERE series_id = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns",
            (each, since_ns, until_ns),
        ):
            yield HistogramPoint(row[0], row[1], row[2], row[3], row[4], row[5], row[6], _COUNTS.decode(row[7]))


def read_exponentials(
    connection: sqlite3.Connection, series: Iterable[int], since_ns: int, until_ns: int
) -> Iterator[ExponentialPoint]:
    """Yield points, as `read_numbers` does."""
    for each in series:
        for row in connection.execute(
            "SELECT series_id, time_ns, start_ns, count, sum, min, max, coalesce(scale, 0), coalesce(zero_count, 0),"
            " coalesce(zero_threshold, 0.0), coalesce(positive_offset, 0), coalesce(positive_counts, '[]'),"
            " coalesce(negative_offset, 0), coalesce(negative_counts, '[]') FROM exponential_points"
            " WHERE series_id = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns",
            (each, since_ns, until_ns),
        ):
            positive, negative = _COUNTS.decode(row[11]), _COUNTS.decode(row[13])
            yield ExponentialPoint(*row[:11], positive, row[12], negative)  # type: ignore[call-arg]  # mypy counts a row of `Any` as endless


def read_summaries(
    connection: sqlite3.Connection, series: Iterable[int], since_ns: int, until_ns: int
) -> Iterator[SummaryPoint]:
    """Yield points, as `read_numbers` does."""
    for each in series:
        for row in connection.execute(
            "SELECT series_id, time_ns, start_ns, count, sum, coalesce(quantiles, '[]') FROM summary_points"
            " WHERE series_id = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns",
            (each, since_ns, until_ns),
        ):
            yield SummaryPoint(row[0], row[1], row[2], row[3], row[4], _QUANTILES.decode(row[5]))


def read_exemplars(
    connection: sqlite3.Connection, series: Iterable[int], since_ns: int, until_ns: int
) -> Iterator[Exemplar]:
    """Yield exemplars, as `read_numbers` yields points."""
    for each in series:
        for row in connection.execute(
            "SELECT series_id, time_ns, value, trace_id, span_id, attributes FROM exemplars"
            " WHERE series_id = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns",
            (each, since_ns, until_ns),
        ):
            yield Exemplar(
                series_id=row[0],
                time_ns=row[1],
                value=float(row[2]) if isinstance(row[2], str) else row[2],
                trace_id=row[3].hex() or None,
                span_id=row[4].hex() or None,
                attributes=decode(row[5]),
            )


def _family(row: tuple[int, str, str, str, str, int, int, int]) -> Family:
    return Family(
        id=row[0],
        name=row[1],
        unit=row[2],
        description=row[3],
        kind=row[4],
        temporality=row[5],
        is_monotonic=bool(row[6]),
        series=row[7],
    )
