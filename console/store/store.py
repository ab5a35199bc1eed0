"""The store: the file, the thread that writes to it and the readers beside it, opened and closed together."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from console.store.file import StoreFile, damaged
from console.store.limits import Limits
from console.store.readers import Readers
from console.store.rows import StoreState
from console.store.work import Work
from console.store.writer import StoreWriter

_SIGNALS = ("traces", "metrics", "logs")


class Store:
    """An open store. `submit` enqueues what was received; `readers` lend connections to queries."""

    def __init__(
        self, path: Path, limits: Limits, *, unix_s: Callable[[], float], print_line: Callable[[str], None]
    ) -> None:
        """Open or make the file; raises `StoreFileError`."""
        file = StoreFile(path, limits)
        self.path = file.path
        self.limits = limits
        self.readers = Readers(file.path, is_in_place=lambda: file.is_in_place)
        try:
            self._writer = StoreWriter(file, limits, unix_s=unix_s, print_line=print_line)
        except sqlite3.Error as error:
            file.close()
            raise damaged(file.path, error) from None
        self._writer.start()

    def submit(self, work: Work) -> bool:
        """Enqueue a request; False where there is no room."""
        return self._writer.submit(work)

    def state(self) -> StoreState:
        """Return what the file holds."""
        with self.readers.connection() as connection:
            counts = dict(connection.execute("SELECT name, value FROM counts"))

            def rows(table: str) -> int:
                # Of ids in the order of arrival; a span that was sent again leaves a gap.
                # Two lookups: with both in one SELECT SQLite reads the whole table.
                sql = f"SELECT coalesce((SELECT max(id) FROM {table}) - (SELECT min(id) FROM {table}) + 1, 0)"
                return int(connection.execute(sql).fetchone()[0])

            oldest = [
                row[0]
                for table in ("spans", "log_records")
                if (row := connection.execute(f"SELECT received_s FROM {table} ORDER BY id LIMIT 1").fetchone())
            ]
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            return StoreState(
                bytes_used=(pages - free) * connection.execute("PRAGMA page_size").fetchone()[0],
                max_bytes=self.limits.max_bytes,
                spans=rows("spans"),
                log_records=rows("log_records"),
                points=counts.get("points", 0),
                series=connection.execute("SELECT count(*) FROM series").fetchone()[0],
                received={signal: counts.get(f"received_{signal}", 0) for signal in _SIGNALS},
                refused={signal: counts.get(f"refused_{signal}", 0) for signal in _SIGNALS},
                deleted={signal: counts.get(f"deleted_{signal}", 0) for signal in _SIGNALS},
                oldest_received_s=min(oldest, default=None),
            )

    def close(self) -> None:
        """Write what was accepted and close everything."""
        # Readers first: the last connection empties the write-ahead log, which theirs may not write.
        self.readers.close()
        self._writer.close()
