"""The ids of resources, scopes, metrics and series: found in memory, else in the file, else made.

Belongs to the writer's thread, inside its transaction. After a rollback `forget` drops what the
file does not have.
"""

import sqlite3
from hashlib import blake2b
from typing import Final, NamedTuple

from console.store.records import MetricRecord, ResourceRecord, ScopeRecord

_DIGEST_BYTES: Final = 16
_MAX_REMEMBERED: Final = 50_000
_TOUCH_SECONDS: Final = 60


class SeriesKey(NamedTuple):
    """What tells a series from others; the order is that of the columns."""

    metric_id: int
    resource_id: int
    scope_id: int
    attributes: str
    bounds: str | None


class TooManySeriesError(Exception):
    """The file has as many series as it may have."""


class _Known:
    """Ids of one table by what identifies a row, each with the second of its last use in the file."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._touch = f"UPDATE {table} SET received_s = ? WHERE id = ?"
        self._connection = connection
        self._ids: dict[object, tuple[int, int]] = {}

    def find(self, key: object, now_s: int) -> int | None:
        found = self._ids.get(key)
        if found is None:
            return None
        if now_s - found[1] >= _TOUCH_SECONDS:
            self.add(key, found[0], now_s)
        return found[0]

    def add(self, key: object, row_id: int, now_s: int) -> int:
        if len(self._ids) >= _MAX_REMEMBERED:
            self._ids.clear()
        self._ids[key] = (row_id, now_s)
        self._connection.execute(self._touch, (now_s, row_id))
        return row_id

    def forget(self) -> None:
        self._ids.clear()


class Identities:
    """Finds and makes ids. `max_series` bounds the series in the file."""

    def __init__(self, connection: sqlite3.Connection, max_series: int) -> None:
        self._connection = connection
        self._max_series = max_series
        self._resources = _Known(connection, "resources")
        self._scopes = _Known(connection, "scopes")
        self._series = _Known(connection, "series")
        self._metrics: dict[MetricRecord, int] = {}
        self._series_count: int | None = None

    def forget(self) -> None:
        """Drop what is remembered: rows may have been rolled back or deleted."""
        for each in (self._resources, self._scopes, self._series):
            each.forget()
        self._metrics.clear()
        self._series_count = None

    def resource(self, record: ResourceRecord, now_s: int) -> int:
        """Return the id of a resource."""
        found = self._resources.find(record, now_s)
        if found is not None:
            return found
        identity = _digest(record.attributes, record.schema_url)
        row_id = self._row(
            "resources",
            "(identity, received_s, first_received_s, service_name, service_version, service_instance, attributes, schema_url)",
            (
                identity,
                now_s,
                now_s,
                record.service_name,
                record.service_version,
                record.service_instance,
                record.attributes,
                record.schema_url,
            ),
        )
        return self._resources.add(record, row_id, now_s)

    def scope(self, record: ScopeRecord, now_s: int) -> int:
        """Return the id of a scope."""
        found = self._scopes.find(record, now_s)
        if found is not None:
            return found
        identity = _digest(record.name, record.version, record.attributes, record.schema_url)
        row_id = self._row(
            "scopes",
            "(identity, received_s, name, version, attributes, schema_url)",
            (identity, now_s, record.name, record.version, record.attributes, record.schema_url),
        )
        return self._scopes.add(record, row_id, now_s)

    def metric(self, record: MetricRecord) -> int:
        """Return the id of a metric; another description does not make another metric."""
        found = self._metrics.get(record)
        if found is not None:
            return found
        key = (record.name, record.unit, record.kind, record.temporality, record.is_monotonic)
        self._connection.execute(
            "INSERT OR IGNORE INTO metrics(name, unit, kind, temporality, is_monotonic, description)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (*key, record.description),
        )
        row = self._connection.execute(
            "SELECT id FROM metrics WHERE name = ? AND unit = ? AND kind = ? AND temporality = ? AND is_monotonic = ?",
            key,
        ).fetchone()
        if len(self._metrics) >= _MAX_REMEMBERED:
            self._metrics.clear()
        self._metrics[record] = row[0]
        return int(row[0])

    def series(self, key: SeriesKey, now_s: int) -> int:
        """Return the id of a series; raises `TooManySeriesError`."""
        found = self._series.find(key, now_s)
        if found is not None:
            return found
        identity = _digest(
            str(key.metric_id), str(key.resource_id), str(key.scope_id), key.attributes, key.bounds or ""
        )
        row = self._connection.execute("SELECT id FROM series WHERE identity = ?", (identity,)).fetchone()
        if row is None:
            if self._count_series() >= self._max_series:
                raise TooManySeriesError
            self._series_count = self._count_series() + 1
        row_id = self._row(
            "series",
            "(identity, received_s, metric_id, resource_id, scope_id, attributes, bounds)",
            (identity, now_s, *key),
        )
        return self._series.add(key, row_id, now_s)

    def _count_series(self) -> int:
        if self._series_count is None:
            self._series_count = int(self._connection.execute("SELECT count(*) FROM series").fetchone()[0])
        return self._series_count

    def _row(self, table: str, columns: str, values: tuple[object, ...]) -> int:
        """Insert the row unless there is one of this identity, which is the first value; return its id."""
        marks = ", ".join("?" * len(values))
        self._connection.execute(f"INSERT OR IGNORE INTO {table}{columns} VALUES ({marks})", values)
        row = self._connection.execute(f"SELECT id FROM {table} WHERE identity = ?", values[:1]).fetchone()
        return int(row[0])


def _digest(*parts: str) -> bytes:
    """Return what identifies a row; the lengths keep parts apart."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.digest()
