"""How much the console keeps, and what follows from it."""

from typing import Final

import msgspec

MIB: Final = 2**20
MIN_BYTES: Final = 64 * MIB
PAGE_BYTES: Final = 4_096
_MAX_WAL_BYTES: Final = 64 * MIB
_MAX_BODY_BYTES: Final = 16 * MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The caps. What is beyond one is deleted, the oldest first; `max_bytes` is at least `MIN_BYTES`."""

    retention_seconds: int = 86_400
    max_bytes: int = 1_024 * MIB
    """Of the file and its write-ahead log together."""
    max_spans: int = 2_000_000
    max_log_records: int = 2_000_000
    max_points: int = 20_000_000
    max_series: int = 50_000

    @property
    def wal_bytes(self) -> int:
        """The share of the write-ahead log."""
        return min(_MAX_WAL_BYTES, self.max_bytes // 4)

    @property
    def max_pages(self) -> int:
        """The size of the file in SQLite's pages, which SQLite itself does not exceed."""
        return (self.max_bytes - self.wal_bytes) // PAGE_BYTES

    @property
    def body_bytes(self) -> int:
        """The largest request, decoded: its rows fit into the write-ahead log."""
        return min(_MAX_BODY_BYTES, self.max_bytes // 16)
