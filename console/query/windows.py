"""The time that a response covers, and since when the store has rows for it."""

from typing import Final

from console.query.shapes.base import Window
from console.query.times import to_seconds
from console.query.view import View

_OLDEST: Final = {
    "requests": "SELECT time_ns FROM requests INDEXED BY requests_by_time ORDER BY time_ns LIMIT 1",
    "log_records": "SELECT time_ns FROM log_records INDEXED BY log_records_by_time ORDER BY time_ns LIMIT 1",
    "spans": "SELECT start_ns FROM spans INDEXED BY spans_by_start ORDER BY start_ns LIMIT 1",
    "resources": "SELECT min(first_received_s) * 1000000000 FROM resources",
}


def oldest_ns(view: View, table: str) -> int | None:
    """Return the time of the oldest row; None without rows."""
    row = view.connection.execute(_OLDEST[table]).fetchone()
    return None if row is None else row[0]


def covered_window(view: View, table: str, begin_ns: int, end_ns: int) -> Window:
    """Return the window, and the oldest row's time where that is later than its begin."""
    oldest = oldest_ns(view, table)
    is_later = oldest is not None and oldest > begin_ns
    return Window(
        from_=to_seconds(begin_ns),
        to=to_seconds(end_ns),
        covered_from=to_seconds(oldest) if oldest is not None and is_later else None,
    )
