"""Pages of rows by time, the newest first, that look at a bounded number of rows each.

A cursor names the last row that was looked at. Rows that arrive later with a newer time do not
shift a page. A filter that few rows pass ends a page early, with a cursor that continues.
"""

import sqlite3
from typing import Any, Final, NamedTuple

from console.query.conditions import ALWAYS, Condition

MAX_PAGE_ROWS: Final = 500
SCAN_ROWS: Final = 20_000
"""Rows that one page looks at: far below the time limit of a query."""


class Cursor(NamedTuple):
    """A row's place in the order: its time, and its id among rows of one time."""

    time_ns: int
    id: int

    @property
    def text(self) -> str:
        """The cursor for a client."""
        return f"{self.time_ns}-{self.id}"


def parse_cursor(text: str) -> Cursor:
    """Read a cursor; raises ValueError where it is none."""
    time_ns, dash, row = text.partition("-")
    if not dash or not (time_ns.isascii() and time_ns.isdigit() and row.isascii() and row.isdigit()):
        raise ValueError(f"cursor={text!r} is not one that a page returned")
    cursor = Cursor(int(time_ns), int(row))
    if max(cursor) >= 1 << 63:
        raise ValueError(f"cursor={text!r} is not one that a page returned")
    return cursor


class Source(NamedTuple):
    """A table with its columns for a page; of the rows with the `prefix` the index has the order by time, then id."""

    table: str
    by_index: str
    id: str
    time: str
    columns: str
    prefix: Condition = ALWAYS


class Found(NamedTuple):
    """The rows of a page."""

    rows: list[tuple[Any, ...]]
    """The columns of the source, behind each row's time and id."""
    next: Cursor | None
    searched_to_ns: int | None


def read_page(
    connection: sqlite3.Connection,
    source: Source,
    wanted: Condition,
    *,
    begin_ns: int,
    end_ns: int,
    after: Cursor | None,
    limit: int,
    scan_rows: int = SCAN_ROWS,
) -> Found:
    """Return rows with begin <= time < end that come after the cursor and pass the condition."""
    top = after or Cursor(end_ns, 0)
    bottom = _bottom(connection, source, top, begin_ns, scan_rows)
    low = bottom or Cursor(begin_ns, 0)
    rows = connection.execute(
        f"SELECT {source.time}, {source.id}, {source.columns} FROM {source.table} INDEXED BY {source.by_index}"
        f" WHERE {source.prefix.sql} AND ({source.time}, {source.id}) < (?, ?) AND ({source.time}, {source.id}) >= (?, ?)"
        f" AND ({wanted.sql})"
        f" ORDER BY {source.time} DESC, {source.id} DESC LIMIT ?",
        (*source.prefix.values, *top, *low, *wanted.values, limit),
    ).fetchall()
    if len(rows) == limit:
        last = Cursor(rows[-1][0], rows[-1][1])
        return Found(rows, last, last.time_ns)
    return Found(rows, bottom, begin_ns if bottom is None else bottom.time_ns)


def _bottom(
    connection: sqlite3.Connection, source: Source, top: Cursor, begin_ns: int, scan_rows: int
) -> Cursor | None:
    """Return the last row to look at; None where the beginning of the window comes first."""
    row = connection.execute(
        f"SELECT {source.time}, {source.id} FROM {source.table} INDEXED BY {source.by_index}"
        f" WHERE {source.prefix.sql} AND ({source.time}, {source.id}) < (?, ?) AND {source.time} >= ?"
        f" ORDER BY {source.time} DESC, {source.id} DESC LIMIT 1 OFFSET ?",
        (*source.prefix.values, *top, begin_ns, scan_rows - 1),
    ).fetchone()
    return None if row is None else Cursor(*row)
