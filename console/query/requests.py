"""The request log: one row per line that a gateway logs of an HTTP request."""

from typing import Final

from console.query.paging import Cursor, read_page
from console.query.request_filter import REQUESTS, RequestFilter
from console.query.shapes.base import Bases, Basis
from console.query.shapes.requests import RequestPage, RequestRow
from console.query.times import NANO, to_seconds
from console.query.view import View
from console.query.windows import covered_window
from console.query.words import read_by_words
from console.store.read_logs import request_of
from console.store.rows import Request

_KEYS: Final = 2
"""Columns before those of the request."""
_MS_PER_SECOND: Final = 1_000

BASIS: Final[Bases] = {
    "rows": Basis(source="request log: one line of each HTTP request", window_seconds=None, formula="not sampled"),
    "cost_usd": Basis(source="request log", window_seconds=None, formula="the sum of all attempts of the request"),
    "has_trace": Basis(source="spans", window_seconds=None, formula="whether a span of the trace is retained"),
}


def read_requests_page(
    view: View, wanted: RequestFilter, *, begin_ns: int, end_ns: int, after: Cursor | None, limit: int
) -> RequestPage:
    """Return a page; raises ValueError where a filter cannot be read."""
    if wanted.words is None:
        found = read_page(
            view.connection,
            wanted.source(),
            wanted.condition(view),
            begin_ns=begin_ns,
            end_ns=end_ns,
            after=after,
            limit=limit,
        )
    else:
        condition = wanted.condition(view)
        found = read_by_words(
            view, REQUESTS, wanted.words, condition, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=limit
        )
    return RequestPage(
        window=covered_window(view, "requests", begin_ns, end_ns),
        rows=[request_row(view, request_of(row[_KEYS:])) for row in found.rows],
        next_cursor=None if found.next is None else found.next.text,
        searched_to=None if found.searched_to_ns is None else to_seconds(found.searched_to_ns),
        basis=BASIS,
    )


def has_trace(view: View, trace_id: str | None) -> bool:
    """Return whether at least one span of a trace is retained."""
    if trace_id is None:
        return False
    row = view.connection.execute("SELECT 1 FROM spans WHERE trace_id = ? LIMIT 1", (bytes.fromhex(trace_id),))
    return row.fetchone() is not None


def request_row(view: View, request: Request) -> RequestRow:
    """Return a row of the page."""
    return RequestRow(
        id=str(request.log),
        at=to_seconds(request.time_ns),
        trace_id=request.trace_id,
        service=view.service(request.resource_id),
        method=request.method,
        path=request.path,
        status=request.status,
        outcome=request.outcome,
        duration_seconds=_seconds(request.duration_ms),
        overhead_seconds=_seconds(request.overhead_ms),
        key_id=request.key_id,
        plan=request.plan,
        operation=request.operation,
        model=request.model,
        provider=request.provider,
        call_status=request.call_status,
        error_kind=request.error_kind,
        limit_type=request.limit_type,
        cancel_phase=request.cancel_phase,
        stream=request.stream,
        cached=request.cached,
        attempts=request.attempts,
        input_tokens=request.input_tokens,
        output_tokens=request.output_tokens,
        cached_tokens=request.cached_tokens,
        reasoning_tokens=request.reasoning_tokens,
        usage_estimated=request.usage_estimated,
        cost_usd=usd(request.cost_nanousd),
        cost_source=request.cost_source,
        unpriced_tokens=request.unpriced_tokens,
        exposure_usd=usd(request.exposure_nanousd),
        tags=request.tags or {},
        has_trace=has_trace(view, request.trace_id),
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / _MS_PER_SECOND


def usd(nanousd: int | None) -> float | None:
    """Return US dollars; the shortest decimal of the number has the nano-dollars exactly."""
    return None if nanousd is None else nanousd / NANO
