"""Inserts the records of batches. Belongs to the writer's thread, inside its transaction."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

from console.store.identities import Identities, SeriesKey, TooManySeriesError
from console.store.records import Batch, LogGroup, PointGroup, SpanGroup, SpanRecord
from console.store.schema import CREATE_LOG_TEXT, GENERATION, LOG_TEXT

_SPAN_COLUMNS: Final = 36
_LOG_COLUMNS: Final = 18
_REQUEST_COLUMNS: Final = 38
_POINT_COLUMNS: Final = {"number_points": 5, "histogram_points": 9, "exponential_points": 15, "summary_points": 7}


def _insert(table: str, columns: int, conflict: str = "") -> str:
    return f"INSERT {conflict} INTO {table} VALUES ({', '.join('?' * columns)})"


_INSERT_SPAN: Final = _insert("spans", _SPAN_COLUMNS, "OR IGNORE")
_INSERT_EVENT: Final = _insert("span_events", 6)
_INSERT_LINK: Final = _insert("span_links", 8)
_INSERT_LOG: Final = _insert("log_records", _LOG_COLUMNS)
_INSERT_REQUEST: Final = _insert("requests", _REQUEST_COLUMNS)
_INSERT_EXEMPLAR: Final = _insert("exemplars", 6, "OR IGNORE")
_INSERT_POINT: Final = {table: _insert(table, columns, "OR IGNORE") for table, columns in _POINT_COLUMNS.items()}
_REPLACE_POINT: Final = {table: _insert(table, columns, "OR REPLACE") for table, columns in _POINT_COLUMNS.items()}


class Inserts:
    """Writes batches and counts what it writes; `counts` are changes since `take_counts`."""

    def __init__(self, connection: sqlite3.Connection, identities: Identities) -> None:
        self._connection = connection
        self._identities = identities
        self._counts: Counter[str] = Counter()
        self._next_span = self._next_log = 0
        self._generation = -1
        self.forget()

    def forget(self) -> None:
        """Read again what a rollback may have changed."""
        self._identities.forget()
        self._counts.clear()
        self._next_span = self._next_id("spans")
        self._next_log = self._next_id("log_records")
        self._generation = -1

    def forget_deleted(self) -> None:
        """Drop ids of resources, scopes and series, some of which were deleted."""
        self._identities.forget()

    def store_last_ids(self) -> None:
        """Store which ids were used, which the tables do not show when all rows are deleted."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO counts VALUES (?, ?)",
            [("last_spans", self._next_span - 1), ("last_log_records", self._next_log - 1)],
        )

    def take_counts(self) -> Counter[str]:
        """Return how much each count of `counts` grew, and begin again."""
        counts, self._counts = self._counts, Counter()
        return counts

    def add(self, batch: Batch, now_s: int) -> None:
        """Insert a batch; what has no room as a series is counted as refused in the batch.

        A batch whose digest is stored already changes nothing.
        """
        if batch.digest is not None:
            done = self._connection.execute("INSERT OR IGNORE INTO uploads(digest) VALUES (?)", (batch.digest,))
            if not done.rowcount:
                self._counts[f"repeated_{batch.signal}"] += 1
                return
        for spans in batch.spans:
            self._add_spans(spans, now_s)
        for logs in batch.logs:
            self._add_logs(logs, now_s)
        for points in batch.points:
            self._add_points(points, batch, now_s)
        self._counts[f"received_{batch.signal}"] += batch.items - batch.refused
        self._counts[f"refused_{batch.signal}"] += batch.refused

    def _next_id(self, table: str) -> int:
        # Never an id again: what was deleted last may still be in a full-text table.
        last = self._connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
        stored = self._connection.execute("SELECT value FROM counts WHERE name = ?", (f"last_{table}",)).fetchone()
        return max(last or 0, stored[0] if stored else 0) + 1

    def _add_spans(self, group: SpanGroup, now_s: int) -> None:
        resource_id = self._identities.resource(group.origin.resource, now_s)
        scope_id = self._identities.scope(group.origin.scope, now_s)
        plain = []
        first = self._next_span
        for span in group.spans:
            row = (self._next_span, now_s, resource_id, scope_id, *span.values)
            self._next_span += 1
            if span.events or span.links:
                self._add_whole_span(row, span)
            else:
                plain.append(row)
        self._connection.executemany(_INSERT_SPAN, plain)
        # The ids tell how many spans there are, so those that were sent again use none up behind the last one.
        last = self._connection.execute("SELECT max(id) FROM spans").fetchone()[0]
        self._next_span = max(first, (last or 0) + 1)

    def _add_whole_span(self, row: tuple[object, ...], span: SpanRecord) -> None:
        """Insert a span with events and links, which one that is stored already has."""
        if self._connection.execute(_INSERT_SPAN, row).rowcount != 1:
            return
        self._connection.executemany(
            _INSERT_EVENT,
            [
                (row[0], position, each.time_ns, each.name, each.attributes, each.dropped_attributes)
                for position, each in enumerate(span.events)
            ],
        )
        self._connection.executemany(
            _INSERT_LINK,
            [
                (
                    row[0],
                    position,
                    each.trace_id,
                    each.span_id,
                    each.trace_state,
                    each.flags,
                    each.attributes,
                    each.dropped_attributes,
                )
                for position, each in enumerate(span.links)
            ],
        )

    def _add_logs(self, group: LogGroup, now_s: int) -> None:
        resource_id = self._identities.resource(group.origin.resource, now_s)
        scope_id = self._identities.scope(group.origin.scope, now_s)
        first = self._next_log
        self._next_log += len(group.records)
        numbered = list(enumerate(group.records, first))
        self._connection.executemany(
            _INSERT_LOG, [(log, now_s, resource_id, scope_id, *record.values) for log, record in numbered]
        )
        requests = [(log, resource_id, *record.request) for log, record in numbered if record.request is not None]
        if requests:
            self._connection.executemany(_INSERT_REQUEST, requests)
        self._add_words([(log, record.words) for log, record in numbered if record.words])

    def _add_words(self, rows: Iterable[tuple[int, str]]) -> None:
        by_table: dict[int, list[tuple[int, str]]] = {}
        for row in rows:
            by_table.setdefault(row[0] // GENERATION, []).append(row)
        for generation, its_rows in by_table.items():
            table = LOG_TEXT.format(generation=generation)
            if generation != self._generation:
                self._connection.execute(CREATE_LOG_TEXT.format(table=table))
                self._generation = generation
            self._connection.executemany(f"INSERT INTO {table}(rowid, words) VALUES (?, ?)", its_rows)

    def _add_points(self, group: PointGroup, batch: Batch, now_s: int) -> None:
        resource_id = self._identities.resource(group.origin.resource, now_s)
        scope_id = self._identities.scope(group.origin.scope, now_s)
        metric_id = self._identities.metric(group.metric)
        rows: list[tuple[object, ...]] = []
        exemplars: list[tuple[object, ...]] = []
        for point in group.points:
            try:
                key = SeriesKey(metric_id, resource_id, scope_id, point.attributes, point.bounds)
                series_id = self._identities.series(key, now_s)
            except TooManySeriesError:
                batch.refused += 1
                batch.reason = batch.reason or "the console holds as many series as it may"
                continue
            rows.append((series_id, *point.values))
            exemplars += (
                (series_id, each.time_ns, each.trace_id, each.span_id, each.value, each.attributes)
                for each in point.exemplars
            )
        inserted = self._connection.executemany(_INSERT_POINT[group.table], rows).rowcount if rows else 0
        if inserted < len(rows):
            # Of two points of one series and time the later one counts.
            self._connection.executemany(_REPLACE_POINT[group.table], rows)
        if exemplars:
            self._connection.executemany(_INSERT_EXEMPLAR, exemplars)
        self._counts["points"] += inserted
