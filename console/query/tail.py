"""Rows that arrived after a given one, in the order of arrival: what the live tail sends."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from console.query.log_rows import log_row
from console.query.logs import LogFilter
from console.query.request_filter import RequestFilter
from console.query.requests import request_row
from console.query.shapes.requests import RequestRow
from console.query.shapes.traces import LogRow
from console.query.view import View
from console.store.read_logs import REQUEST_COLUMNS, newest_log_id, read_log_records, request_of, search_log_ids

Kind: TypeAlias = Literal["requests", "logs"]
MAX_ROWS: Final = 200
"""Rows of one look; of more only the newest are sent, and the others are counted as skipped."""
_MAX_LOOK: Final = 20_000


class Arrived(NamedTuple):
    """What one look found."""

    rows: Sequence[RequestRow | LogRow]
    skipped: int
    last_id: int
    """Where the next look begins."""


def newest_id(view: View) -> int:
    """Return where a tail begins that wants only what arrives from now on."""
    return newest_log_id(view.connection)


def read_arrived(view: View, wanted: RequestFilter | LogFilter, after_id: int) -> Arrived:
    """Return the rows after an id; those far behind the newest are skipped, and counted by their ids."""
    last_id = newest_log_id(view.connection)
    if last_id <= after_id:
        return Arrived((), 0, after_id)
    begin_id = max(after_id, last_id - _MAX_LOOK)
    condition = wanted.condition(view)
    table, column = ("requests", "log") if isinstance(wanted, RequestFilter) else ("log_records", "id")
    columns = REQUEST_COLUMNS if isinstance(wanted, RequestFilter) else "id"
    found = view.connection.execute(
        f"SELECT {columns} FROM {table} WHERE {column} > ? AND {column} <= ? AND ({condition.sql})"
        f" ORDER BY {column} DESC",
        (begin_id, last_id, *condition.values),
    ).fetchall()
    if wanted.words is not None:
        with_words = set(_ids_with_words(view, wanted.words, begin_id))
        found = [row for row in found if row[0] in with_words]
    newest = found[:MAX_ROWS][::-1]
    rows: Sequence[RequestRow | LogRow]
    if isinstance(wanted, RequestFilter):
        rows = [request_row(view, request_of(row)) for row in newest]
    else:
        # Where their texts are long the newest have room.
        records = read_log_records(view.connection, (row[0] for row in reversed(newest)))
        rows = [log_row(record) for record in reversed(records)]
    skipped = len(found) - len(rows) + (begin_id - after_id)
    return Arrived(rows, skipped, last_id)


def _ids_with_words(view: View, words: str, begin_id: int) -> Sequence[int]:
    found = search_log_ids(view.connection, words, limit=_MAX_LOOK)
    return [each for each in found if each > begin_id]
