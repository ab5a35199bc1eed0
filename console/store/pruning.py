"""Deletes what is beyond the caps: by age, by rows and by bytes, the oldest first.

Spans and log records go in the order of their arrival, points by their time. Each step is a short
transaction between two commits, so writing waits milliseconds; reading does not wait at all.
Belongs to the writer's thread.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from console.store.limits import PAGE_BYTES, Limits
from console.store.schema import GENERATION, LOG_TEXT

_STEP_ROWS: Final = 1_000
_FEWEST_ROWS: Final = 20
_STEP_SERIES: Final = 200
_ROUND_SECONDS: Final = 60
_KEPT_UPLOADS: Final = 20_000
_ROUND_STEPS: Final = 8
_ROOM_SHARE: Final = 0.08
"""Of the pages that the file may have: how much deleting leaves free. Half as much again ends it."""
_POINT_STEP_SECONDS: Final = 60
_POINT_STEP_SHARE: Final = 20
_NS: Final = 1_000_000_000
_POINT_TABLES: Final = {
    "gauge": "number_points",
    "sum": "number_points",
    "histogram": "histogram_points",
    "exponential_histogram": "exponential_points",
    "summary": "summary_points",
}


class Pruning:
    """Keeps the file under its caps."""

    def __init__(self, connection: sqlite3.Connection, path: Path, limits: Limits) -> None:
        self._connection = connection
        self._wal = path.with_name(f"{path.name}-wal")
        self._limits = limits
        # Room for the largest request at least.
        room_pages = max(int(limits.max_pages * _ROOM_SHARE), 2 * limits.body_bytes // PAGE_BYTES)
        self._full_pages = limits.max_pages - room_pages
        self._enough_pages = limits.max_pages - room_pages * 3 // 2
        self._is_shrinking = False
        self._next_round_s = 0
        self._cursor: int | None = None
        """The series that the running round over all series comes to next; None: no round runs."""
        self._horizon_s = 0
        """Points before it are deleted by the running round."""

    @property
    def has_more(self) -> bool:
        """Whether there is more to delete now."""
        return self._is_shrinking or self._cursor is not None

    def count(self, changes: Mapping[str, int]) -> None:
        """Add to the counts of the file, within the caller's transaction."""
        for name, change in changes.items():
            if change:
                self._connection.execute(
                    "INSERT INTO counts(name, value) VALUES (?1, ?2)"
                    " ON CONFLICT(name) DO UPDATE SET value = value + ?2",
                    (name, change),
                )

    def has_room(self) -> bool:
        """Whether the write-ahead log is within its share; a reader that is slow to end keeps it from being emptied."""
        if self._wal_bytes() > self._limits.wal_bytes // 2:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self._wal_bytes() <= self._limits.wal_bytes * 3 // 4

    def shrink(self) -> None:
        """Delete down to the lower share, because a write failed."""
        self._is_shrinking = True

    def run(self, now_s: int, *, is_idle: bool) -> bool:
        """Delete a bounded number of rows; return whether ids of resources, scopes or series were deleted."""
        # While requests come in, more is deleted than one commit adds.
        for _ in range(4 if is_idle else 16):
            if not self._step(now_s):
                break
        deleted_identities = self._round_step(now_s)
        for _ in range(_ROUND_STEPS):
            if not (self._is_shrinking and self._cursor is not None):
                break
            deleted_identities |= self._round_step(now_s)
        return deleted_identities

    def _step(self, now_s: int) -> bool:
        """Delete spans or log records that are too old, too many or in the way; return whether there were some."""
        horizon_s = now_s - self._limits.retention_seconds
        if self._delete_arrived("spans", horizon_s, self._limits.max_spans):
            return True
        if self._delete_arrived("log_records", horizon_s, self._limits.max_log_records):
            return True
        self._is_shrinking = self._used_pages() > (self._enough_pages if self._is_shrinking else self._full_pages)
        return self._is_shrinking and self._delete_oldest(now_s)

    def _delete_oldest(self, now_s: int) -> bool:
        """Delete what arrived first; where that is points, begin a round over all series."""
        oldest = [(found, table) for table in ("spans", "log_records") if (found := self._oldest_s(table)) is not None]
        points_s = self._oldest_point_s()
        if points_s is not None and (not oldest or points_s <= min(oldest)[0]):
            if self._cursor is None:
                step_s = max(_POINT_STEP_SECONDS, (now_s - points_s) // _POINT_STEP_SHARE)
                self._begin_round(points_s + step_s)
            return False
        if not oldest:
            return False
        table = min(oldest)[1]
        first, last = self._connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()
        # A hundredth of the rows, because each may be large.
        rows = max(_FEWEST_ROWS, min((last - first + 1) // 100, _STEP_ROWS))
        self._delete_up_to(table, first + rows - 1)
        return True

    def _delete_arrived(self, table: str, horizon_s: int, max_rows: int) -> bool:
        """Delete the first rows of a table as far as they are too old or too many."""
        first, last = self._connection.execute(f"SELECT min(id), max(id) FROM {table}").fetchone()
        if first is None:
            return False
        surplus = last - first + 1 - max_rows
        if surplus > 0:
            self._delete_up_to(table, first + min(surplus, _STEP_ROWS) - 1)
            return True
        if self._received_s(table, first) >= horizon_s:
            return False
        old = self._connection.execute(
            f"SELECT max(id) FROM (SELECT id, received_s FROM {table} ORDER BY id LIMIT {_STEP_ROWS})"
            " WHERE received_s < ?",
            (horizon_s,),
        ).fetchone()[0]
        self._delete_up_to(table, old)
        return True

    def _delete_up_to(self, table: str, last_id: int) -> None:
        """Delete rows of a table up to an id, with what belongs to them."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        if table == "spans":
            execute("DELETE FROM span_events WHERE span <= ?", (last_id,))
            execute("DELETE FROM span_links WHERE span <= ?", (last_id,))
            deleted = execute("DELETE FROM spans WHERE id <= ?", (last_id,)).rowcount
            self.count({"deleted_traces": deleted})
        else:
            first_id = execute("SELECT min(id) FROM log_records").fetchone()[0]
            execute("DELETE FROM requests WHERE log <= ?", (last_id,))
            deleted = execute("DELETE FROM log_records WHERE id <= ?", (last_id,)).rowcount
            self.count({"deleted_logs": deleted})
            # Tables of words whose ids are all deleted.
            for generation in range(first_id // GENERATION, (last_id + 1) // GENERATION):
                execute(f"DROP TABLE IF EXISTS {LOG_TEXT.format(generation=generation)}")
        execute("COMMIT")

    def _round_step(self, now_s: int) -> bool:
        """Go on with the round over all series, which begins once a minute; return whether identities were deleted."""
        if self._cursor is None:
            # A clock that was set back must not stop the rounds until it is there again.
            if 0 < self._next_round_s - now_s <= _ROUND_SECONDS:
                return False
            self._next_round_s = now_s + _ROUND_SECONDS
            self._begin_round(now_s - self._limits.retention_seconds)
        rows = self._connection.execute(
            "SELECT s.id, m.kind, s.received_s FROM series s JOIN metrics m ON m.id = s.metric_id"
            " WHERE s.id > ? ORDER BY s.id LIMIT ?",
            (self._cursor, _STEP_SERIES),
        ).fetchall()
        self._connection.execute("BEGIN IMMEDIATE")
        deleted_series = sum([self._prune_series(*row) for row in rows])
        if len(rows) == _STEP_SERIES:
            self._cursor = rows[-1][0]
        else:
            self._cursor = None
            deleted_series += self._delete_unused()
        self._connection.execute("COMMIT")
        return deleted_series > 0

    def _begin_round(self, horizon_s: int) -> None:
        self._cursor = 0
        self._horizon_s = horizon_s
        row = self._connection.execute("SELECT value FROM counts WHERE name = 'points'").fetchone()
        if row is not None and row[0] > self._limits.max_points and (oldest_s := self._oldest_point_s()) is not None:
            self._horizon_s = max(horizon_s, oldest_s + _POINT_STEP_SECONDS)
            # The next round follows at once, until there are few enough.
            self._next_round_s = 0

    def _prune_series(self, series_id: int, kind: str, received_s: int) -> int:
        """Delete old points of a series; return 1 where the series itself was deleted, because nothing is left."""
        table, horizon = _POINT_TABLES[kind], (series_id, self._horizon_s * _NS)
        points = self._connection.execute(f"DELETE FROM {table} WHERE series_id = ? AND time_ns < ?", horizon).rowcount
        self._connection.execute("DELETE FROM exemplars WHERE series_id = ? AND time_ns < ?", horizon)
        if points:
            self.count({"points": -points, "deleted_metrics": points})
        if received_s >= self._horizon_s:
            return 0
        left = self._connection.execute(f"SELECT 1 FROM {table} WHERE series_id = ? LIMIT 1", (series_id,)).fetchone()
        if left is not None:
            return 0
        self._connection.execute("DELETE FROM exemplars WHERE series_id = ?", (series_id,))
        self._connection.execute("DELETE FROM series WHERE id = ?", (series_id,))
        return 1

    def _delete_unused(self) -> int:
        """Delete metrics, resources and scopes that no row can refer to, and digests that no client will send again."""
        execute = self._connection.execute
        oldest = [found for table in ("spans", "log_records") if (found := self._oldest_s(table)) is not None]
        # A row refers to what was received with it or later; a minute is how late a use is noted.
        unused_s = min([*oldest, self._horizon_s]) - _ROUND_SECONDS
        deleted = execute("DELETE FROM metrics WHERE id NOT IN (SELECT metric_id FROM series)").rowcount
        for table, column in (("resources", "resource_id"), ("scopes", "scope_id")):
            deleted += execute(
                f"DELETE FROM {table} WHERE received_s < ? AND id NOT IN (SELECT {column} FROM series)",
                (unused_s,),
            ).rowcount
        execute("DELETE FROM uploads WHERE id <= (SELECT max(id) FROM uploads) - ?", (_KEPT_UPLOADS,))
        return deleted

    def _oldest_s(self, table: str) -> int | None:
        row = self._connection.execute(f"SELECT received_s FROM {table} ORDER BY id LIMIT 1").fetchone()
        return None if row is None else int(row[0])

    def _received_s(self, table: str, row_id: int) -> int:
        row = self._connection.execute(f"SELECT received_s FROM {table} WHERE id = ?", (row_id,)).fetchone()
        return int(row[0])

    def _oldest_point_s(self) -> int | None:
        """Return the second of the oldest point."""
        found = [
            row[0]
            for table in sorted(set(_POINT_TABLES.values()))
            if (
                row := self._connection.execute(
                    f"SELECT min((SELECT min(time_ns) FROM {table} WHERE series_id = s.id)) FROM series s"
                ).fetchone()
            )[0]
            is not None
        ]
        return min(found) // _NS if found else None

    def _used_pages(self) -> int:
        pages: int = self._connection.execute("PRAGMA page_count").fetchone()[0]
        free: int = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        return pages - free

    def _wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0
