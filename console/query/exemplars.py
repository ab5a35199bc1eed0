"""The exemplars of a chart: the newest measurements that have a trace."""

from collections.abc import Mapping
from typing import Final

from console.query.shapes.base import Labels
from console.query.shapes.metrics import Exemplar
from console.query.times import to_seconds
from console.query.view import View

MOST: Final = 200
_PER_SERIES: Final = 50

_NEWEST: Final = """
SELECT time_ns, value, trace_id, span_id FROM exemplars
WHERE series_id = ? AND time_ns >= ? AND time_ns <= ? AND trace_id != x'' ORDER BY time_ns DESC LIMIT ?
"""


def read_chart_exemplars(view: View, series: Mapping[int, Labels], begin_ns: int, end_ns: int) -> list[Exemplar]:
    """Return them by time; `series` are the ids with their labels."""
    found = [
        Exemplar(
            at=to_seconds(time_ns),
            value=float(value),
            trace_id=trace_id.hex(),
            span_id=span_id.hex() or None,
            labels=labels,
        )
        for series_id, labels in series.items()
        for time_ns, value, trace_id, span_id in view.connection.execute(
            _NEWEST, (series_id, begin_ns, end_ns, _PER_SERIES)
        )
        if isinstance(value, int | float)
    ]
    found.sort(key=lambda each: each.at)
    return found[-MOST:]
