"""The page of log records of any program."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from console.query.conditions import NEVER, Condition, any_of, every
from console.query.log_rows import log_row
from console.query.paging import Cursor, Found, Source, read_page
from console.query.shapes.base import Bases, Basis
from console.query.shapes.traces import LogPage
from console.query.times import to_seconds
from console.query.view import View
from console.query.windows import covered_window
from console.query.words import read_by_words
from console.store.read_logs import read_log_records

LOGS: Final = Source("log_records", "log_records_by_time", "id", "time_ns", "1")
_SEVERE: Final = 13
"""The severity from which an index of its own holds the records: WARN."""

BASIS: Final[Bases] = {"rows": Basis(source="log records", window_seconds=None)}


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a log record must be like; empty: anything."""

    severity_from: int | None = None
    """OTLP's number."""
    loggers: Sequence[str] = ()
    services: Sequence[str] = ()
    trace_ids: Sequence[bytes] = ()
    words: str | None = None

    def condition(self, view: View) -> Condition:
        """Return the condition; `words` are not part of it."""
        services = None
        if self.services:
            services = any_of("resource_id", view.resource_ids(tuple(self.services))) or NEVER
        severe = None if self.severity_from is None else Condition("severity_number >= ?", (self.severity_from,))
        return every(any_of("logger", self.loggers), services, any_of("trace_id", self.trace_ids), severe)


def read_logs_page(
    view: View, wanted: LogFilter, *, begin_ns: int, end_ns: int, after: Cursor | None, limit: int
) -> LogPage:
    """Return a page."""
    source, condition = LOGS, wanted.condition(view)
    if wanted.severity_from is not None and wanted.severity_from >= _SEVERE:
        source = LOGS._replace(by_index="log_records_severe", prefix=Condition(f"severity_number >= {_SEVERE}"))
    if len(wanted.loggers) == 1:
        source = LOGS._replace(by_index="log_records_by_logger", prefix=Condition("logger = ?", (wanted.loggers[0],)))
    if len(wanted.trace_ids) == 1:
        source = LOGS._replace(
            by_index="log_records_by_trace", prefix=Condition("trace_id = ?", (wanted.trace_ids[0],))
        )
    if wanted.words is not None:
        found = read_by_words(
            view, LOGS, wanted.words, condition, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit
        )
    else:
        found = read_page(
            view.connection, source, condition, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit
        )
    records = read_log_records(view.connection, _ids(found))
    if len(records) < len(found.rows):
        # Their texts are long: the next page goes on with the first one that has no room here.
        last = Cursor(records[-1].time_ns, records[-1].id)
        found = found._replace(next=last, searched_to_ns=last.time_ns)
    return LogPage(
        window=covered_window(view, "log_records", begin_ns, end_ns),
        rows=[log_row(record) for record in records],
        next_cursor=None if found.next is None else found.next.text,
        searched_to=None if found.searched_to_ns is None else to_seconds(found.searched_to_ns),
        basis=BASIS,
    )


def _ids(found: Found) -> list[Any]:
    return [row[1] for row in found.rows]
