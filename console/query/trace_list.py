"""The page of traces: spans without a parent in the same program, of any OpenTelemetry program."""

from collections.abc import Sequence
from typing import Final

import msgspec

from console.query.conditions import NEVER, Condition, any_of, between, either, every
from console.query.paging import Cursor, Source, read_page
from console.query.request_filter import Range
from console.query.shapes.base import Bases, Basis
from console.query.shapes.traces import TracePage, TraceRow
from console.query.times import SECOND, to_seconds
from console.query.traces import STATUSES, span_kind, span_status
from console.query.view import View
from console.query.windows import covered_window

_COLUMNS: Final = "trace_id, span_id, resource_id, name, kind, status_code, duration_ns"
SPANS: Final = Source("spans", "spans_by_start", "id", "start_ns", _COLUMNS)
_ROOT: Final = either(Condition("parent_span_id IS NULL"), Condition("kind IN (2, 5)"))
"""A server's or consumer's span begins the part of a trace that its program made."""

BASIS: Final[Bases] = {
    "rows": Basis(
        source="spans", window_seconds=None, formula="spans without a parent, and those of servers and consumers"
    )
}


class TraceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a root span must be like; empty: anything."""

    services: Sequence[str] = ()
    names: Sequence[str] = ()
    statuses: Sequence[str] = ()
    duration_seconds: Range = Range()

    def condition(self, view: View) -> Condition:
        """Return the condition; raises ValueError for an unknown status."""
        unknown = [status for status in self.statuses if status not in STATUSES]
        if unknown:
            raise ValueError(f"status={unknown[0]!r} is none of {', '.join(STATUSES)}")
        services = None
        if self.services:
            services = any_of("resource_id", view.resource_ids(tuple(self.services))) or NEVER
        low, high = (
            None if bound is None else bound * SECOND
            for bound in (self.duration_seconds.low, self.duration_seconds.high)
        )
        codes = [STATUSES.index(status) for status in STATUSES if status in self.statuses]
        return every(
            _ROOT, services, any_of("name", self.names), any_of("status_code", codes), between("duration_ns", low, high)
        )


def read_trace_page(
    view: View, wanted: TraceFilter, *, begin_ns: int, end_ns: int, after: Cursor | None, limit: int
) -> TracePage:
    """Return a page; raises ValueError where a filter cannot be read."""
    condition = wanted.condition(view)
    found = read_page(view.connection, SPANS, condition, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit)
    return TracePage(
        window=covered_window(view, "spans", begin_ns, end_ns),
        rows=[
            TraceRow(
                id=str(span),
                trace_id=trace_id.hex(),
                span_id=span_id.hex(),
                at=to_seconds(start_ns),
                service=view.service(resource_id),
                name=name,
                kind=span_kind(kind),
                status=span_status(status),
                duration_seconds=duration_ns / SECOND,
            )
            for start_ns, span, trace_id, span_id, resource_id, name, kind, status, duration_ns in found.rows
        ],
        next_cursor=None if found.next is None else found.next.text,
        searched_to=None if found.searched_to_ns is None else to_seconds(found.searched_to_ns),
        basis=BASIS,
    )
