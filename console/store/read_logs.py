"""Lookups of log records and of the rows of requests; full-text search over log records."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

from console.store.read_budget import ReadBudget
from console.store.read_traces import read_resource
from console.store.rows import LogRecord, Request
from console.store.schema import GENERATION, LOG_TEXT
from console.store.values import decode

_MAX_LINES: Final = 1_000
_LOG: Final = """
SELECT l.id, l.time_ns, l.observed_ns, l.severity_number, l.severity_text, l.trace_id, l.span_id, l.logger, l.event_name,
  l.message, l.body, l.body_is_json, l.attributes, l.dropped_attributes, l.resource_id, c.name
FROM log_records l JOIN scopes c ON c.id = l.scope_id
"""


def read_trace_logs(
    connection: sqlite3.Connection, trace_id: str, limit: int = _MAX_LINES, budget: ReadBudget | None = None
) -> list[LogRecord]:
    """Return the log records of a trace (32 hex digits) by time, at most `limit`, those within the budget."""
    try:
        key = bytes.fromhex(trace_id)
    except ValueError:
        return []
    rows = connection.execute(f"{_LOG} WHERE l.trace_id = ? ORDER BY l.time_ns LIMIT ?", (key, limit))
    return [_record(connection, row) for row in (budget or ReadBudget()).rows(rows)]


def read_log_records(connection: sqlite3.Connection, ids: Iterable[int]) -> list[LogRecord]:
    """Return log records by id, those that exist, up to the first one beyond the budget of a response."""
    rows = (connection.execute(f"{_LOG} WHERE l.id = ?", (each,)).fetchone() for each in ids)
    return [_record(connection, row) for row in ReadBudget().rows(row for row in rows if row is not None)]


def newest_log_id(connection: sqlite3.Connection) -> int:
    """Return the highest id, 0 where there is none: a live tail reads on from it."""
    found: int = connection.execute("SELECT coalesce(max(id), 0) FROM log_records").fetchone()[0]
    return found


def search_log_ids(
    connection: sqlite3.Connection, words: str, *, before_id: int | None = None, limit: int = 100
) -> list[int]:
    """Return ids of log records that contain all words, each from its beginning, newest arrival first.

    `before_id` continues a page. Any text is valid: only its words count, and without one nothing
    is found.
    """
    match = _match(words)
    found: list[int] = []
    if match is None:
        return found
    for generation in _generations(connection):
        if before_id is not None and generation * GENERATION >= before_id:
            continue
        table = LOG_TEXT.format(generation=generation)
        found += (
            row[0]
            for row in connection.execute(
                f"SELECT rowid FROM {table} WHERE {table} MATCH ? AND rowid < ?"
                f" AND EXISTS(SELECT 1 FROM log_records WHERE id = {table}.rowid) ORDER BY rowid DESC LIMIT ?",
                (match, 2**63 - 1 if before_id is None else before_id, limit - len(found)),
            )
        )
        if len(found) >= limit:
            break
    return found


def read_requests(connection: sqlite3.Connection, logs: Iterable[int]) -> list[Request]:
    """Return rows of `requests` by log record id, those that exist."""
    rows = (connection.execute(f"SELECT {_COLUMNS} FROM requests WHERE log = ?", (each,)).fetchone() for each in logs)
    return [request_of(row) for row in rows if row is not None]


_COLUMNS: Final = ", ".join(Request.__struct_fields__)
REQUEST_COLUMNS: Final = _COLUMNS
"""For a `SELECT` whose rows `request_of` takes."""

_FLAGS: Final = ("stream", "cached", "usage_estimated")


def request_of(row: tuple[object, ...]) -> Request:
    """Return the struct of a row with `REQUEST_COLUMNS`."""
    fields: dict[str, object] = dict(zip(Request.__struct_fields__, row, strict=True))
    for name in _FLAGS:
        fields[name] = None if fields[name] is None else bool(fields[name])
    trace_id, tags = fields["trace_id"], fields["tags"]
    fields["trace_id"] = trace_id.hex() if isinstance(trace_id, bytes) else None
    fields["tags"] = decode(tags) if isinstance(tags, str) else None
    return Request(**fields)  # type: ignore[arg-type]  # the columns have these types


def _generations(connection: sqlite3.Connection) -> Iterator[int]:
    """Return the numbers of the full-text tables, the newest first."""
    first, last = connection.execute("SELECT min(id), max(id) FROM log_records").fetchone()
    if last is not None:
        existing = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'log_text_%'")}
        for generation in range(last // GENERATION, first // GENERATION - 1, -1):
            if LOG_TEXT.format(generation=generation) in existing:
                yield generation


def _match(words: str) -> str | None:
    """Return the FTS5 query: each word quoted, so that no character of it is an operator."""
    quoted = [
        f'"{word.replace(chr(34), "")}"*'
        for word in words.replace("\x00", " ").split()
        if any(char.isalnum() for char in word)
    ]
    return " ".join(quoted) or None


def _record(connection: sqlite3.Connection, row: tuple) -> LogRecord:  # type: ignore[type-arg]  # columns of _LOG
    return LogRecord(
        id=row[0],
        time_ns=row[1],
        observed_ns=row[2],
        severity_number=row[3],
        severity_text=row[4],
        trace_id=None if row[5] is None else row[5].hex(),
        span_id=None if row[6] is None else row[6].hex(),
        logger=row[7],
        event_name=row[8],
        message=row[9],
        body=decode(row[10]) if row[11] else row[10],
        body_is_json=bool(row[11]),
        attributes=decode(row[12]),
        dropped_attributes=row[13],
        resource=read_resource(connection, row[14]),
        scope_name=row[15],
    )
