"""The window that a period is compared with, and whether the store knows all of it."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from console.query.growth import Growth
from console.query.shapes.cost import Period
from console.query.times import SECOND
from console.query.view import View
from console.store.read_metrics import read_families, read_series

_DAY_NS: Final = 86_400 * SECOND


def earlier_window(period: Period, begin_ns: int, end_ns: int) -> tuple[int, int]:
    """Return the window to compare with, which is as long and ends at `begin_ns` at the latest.

    Today is compared with yesterday until the same time, a month with the month before until the
    same time after its first moment (or its end, where it is shorter), a range with what precedes it.
    """
    length_ns = end_ns - begin_ns
    if period == "today":
        return begin_ns - _DAY_NS, end_ns - _DAY_NS
    if period == "month":
        last_day = datetime.fromtimestamp(begin_ns // SECOND, UTC) - timedelta(days=1)
        earlier_ns = int(last_day.replace(day=1).timestamp()) * SECOND
        return earlier_ns, min(earlier_ns + length_ns, begin_ns)
    return begin_ns - length_ns, begin_ns


def is_covered(view: View, name: str, growths: Iterable[Growth], begin_ns: int) -> bool:
    """Return whether a counter's growth since a time is known whole.

    A sample from before it must be retained: points are deleted oldest first, so none is missing
    after that one. And no series may have counted before the console saw it.
    """
    return all(growth.unknown_before_ns is None for growth in growths) and _has_sample(view, name, begin_ns)


def _has_sample(view: View, name: str, until_ns: int) -> bool:
    return any(
        view.connection.execute(
            "SELECT 1 FROM number_points WHERE series_id = ? AND time_ns <= ? LIMIT 1", (series.id, until_ns)
        ).fetchone()
        for family in read_families(view.connection, name)
        for series in read_series(view.connection, family.id)
    )
