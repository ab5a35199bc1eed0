"""Pages of rows whose log record has all words of a free text.

The order is that of arrival, which is nearly that of time. One page looks at a bounded number of
records that have the words.
"""

from collections.abc import Sequence
from typing import Any, Final

from console.query.conditions import NEVER, Condition, any_of, every
from console.query.paging import Cursor, Found, Source
from console.query.times import SECOND
from console.query.view import View
from console.store.read_logs import search_log_ids

_BATCH: Final = 500
_BATCHES: Final = 20
_CLOCKS_DIFFER_NS: Final = 3_600 * SECOND
"""A record can have arrived so long before the time that it has. What arrived late tells nothing of others."""


def read_by_words(
    view: View,
    source: Source,
    words: str,
    wanted: Condition,
    *,
    begin_ns: int,
    end_ns: int,
    after: Cursor | None,
    limit: int,
) -> Found:
    """Return the rows; the id of the source must be that of a log record."""
    condition = every(wanted, Condition(f"{source.time} >= ? AND {source.time} < ?", (begin_ns, end_ns)))
    before = None if after is None else after.id
    rows: list[tuple[Any, ...]] = []
    reached_ns = begin_ns
    for _ in range(_BATCHES):
        ids = search_log_ids(view.connection, words, before_id=before, limit=_BATCH)
        rows += _rows_of(view, source, ids, condition)[: limit - len(rows)]
        if len(rows) == limit:
            last = Cursor(rows[-1][0], rows[-1][1])
            return Found(rows, last, last.time_ns)
        if len(ids) < _BATCH:
            break
        before = ids[-1]
        arrived_ns, reached_ns = _times_of(view, ids)
        if arrived_ns < begin_ns - _CLOCKS_DIFFER_NS:
            break
    else:
        return Found(rows, Cursor(max(0, reached_ns), before or 0), reached_ns)
    return Found(rows, None, begin_ns)


def _rows_of(view: View, source: Source, ids: Sequence[int], condition: Condition) -> list[tuple[Any, ...]]:
    both = every(any_of(source.id, ids) or NEVER, condition)
    return view.connection.execute(
        f"SELECT {source.time}, {source.id}, {source.columns} FROM {source.table} WHERE {both.sql}"
        f" ORDER BY {source.id} DESC",
        both.values,
    ).fetchall()


def _times_of(view: View, ids: Sequence[int]) -> tuple[int, int]:
    """Return when the newest of log records arrived, and the oldest time that one has."""
    wanted = any_of("id", ids) or NEVER
    arrived_s, oldest = view.connection.execute(
        f"SELECT coalesce(max(received_s), 0), coalesce(min(time_ns), 0) FROM log_records WHERE {wanted.sql}",
        wanted.values,
    ).fetchone()
    return arrived_s * SECOND, oldest
