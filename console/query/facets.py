"""The values that filters can take."""

from collections.abc import Sequence
from typing import Final

from console.query.request_filter import FIELDS
from console.query.shapes.requests import Facet, Facets
from console.query.view import View

MAX_VALUES: Final = 200
_RECENT: Final = 5_000
"""The newest requests whose values are listed."""
SERVICE: Final = "service"
LOGGER: Final = "logger"
NAMES: Final = (*FIELDS, "status", SERVICE, LOGGER)

# A loose index scan: one lookup per value, however many rows have it.
_LOGGERS: Final = """
WITH RECURSIVE found(value) AS (
  SELECT min(logger) FROM log_records
  UNION ALL
  SELECT (SELECT min(logger) FROM log_records WHERE logger > value) FROM found WHERE value IS NOT NULL
)
SELECT value FROM found WHERE value IS NOT NULL LIMIT ?
"""


def read_facets(view: View, names: Sequence[str]) -> Facets:
    """Return the values of each field, sorted: of the newest requests, and of all services and loggers.

    Raises ValueError for an unknown field.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(f"field={unknown[0]!r} is none of {', '.join(NAMES)}")
    columns = [name for name in names if name in FIELDS or name == "status"]
    values: dict[str, set[str]] = {name: set() for name in names}
    if columns:
        rows = view.connection.execute(
            f"SELECT DISTINCT {', '.join(columns)} FROM"
            f" (SELECT {', '.join(columns)} FROM requests INDEXED BY requests_by_time ORDER BY time_ns DESC LIMIT ?)",
            (_RECENT,),
        )
        for row in rows:
            for name, value in zip(columns, row, strict=True):
                if value is not None:
                    values[name].add(str(value))
    if SERVICE in values:
        values[SERVICE] = {each.service_name for each in view.resources.values() if each.service_name is not None}
    if LOGGER in values:
        values[LOGGER] = {row[0] for row in view.connection.execute(_LOGGERS, (MAX_VALUES + 1,))}
    return Facets(
        facets=[
            Facet(field=name, values=sorted(found)[:MAX_VALUES], truncated=len(found) > MAX_VALUES)
            for name, found in values.items()
        ]
    )
