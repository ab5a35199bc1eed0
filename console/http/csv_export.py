"""Exports as CSV (RFC 4180), with what a spreadsheet would take for a formula made plain text."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from console.http.filters import request_filter
from console.http.parameters import Parameters
from console.http.query_threads import QueryThreads
from console.http.responses import NOT_STORED, SECURITY, Receive, Send, wait_until_left
from console.query.paging import MAX_PAGE_ROWS, Cursor, parse_cursor
from console.query.request_filter import RequestFilter
from console.query.requests import read_requests_page
from console.query.shapes.cost import CostReport
from console.query.shapes.requests import RequestPage, RequestRow
from console.query.view import View

MAX_ROWS: Final = 100_000
_HOUR: Final = 3_600.0
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_COST_COLUMNS: Final = (
    "period", "from", "to", "by", "name", "cost_usd", "share", "requests", "input_tokens", "output_tokens", "cached_tokens",
)  # fmt: skip


def csv_line(values: Iterable[Any]) -> bytes:
    """Return one line."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(value) for value in values])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a cell; unknown is empty. A text that begins like a formula gets an apostrophe (OWASP, "CSV Injection")."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return _cell(" ".join(f"{name}={text}" for name, text in value.items()))
    return "" if value is None else value


async def request_lines(parameters: Parameters, queries: QueryThreads) -> AsyncIterator[bytes]:
    """Yield the lines of the request log, the newest first, in pages."""
    wanted = request_filter(parameters)
    begin_ns, end_ns = parameters.window(queries.unix_ns(), _HOUR)
    parameters.finish()
    columns = RequestRow.__struct_fields__
    yield csv_line(columns)
    after: Cursor | None = None
    rows = 0
    while rows < MAX_ROWS:
        page = await queries.run(_page(wanted, begin_ns, end_ns, after))
        yield b"".join(csv_line(getattr(row, name) for name in columns) for row in page.rows)
        rows += len(page.rows)
        if page.next_cursor is None:
            return
        after = parse_cursor(page.next_cursor)


def _page(wanted: RequestFilter, begin_ns: int, end_ns: int, after: Cursor | None) -> Any:
    def read(view: View) -> RequestPage:
        return read_requests_page(view, wanted, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=MAX_PAGE_ROWS)

    return read


def cost_lines(report: CostReport) -> bytes:
    """Return the cost report: a line for the total, then one per provider, model, source, plan and key."""
    lines = [csv_line(_COST_COLUMNS)]
    place: Sequence[Any] = (report.period, report.window.from_, report.window.to)
    lines.append(csv_line((*place, "total", "", report.total_usd, 1 if report.total_usd else None, *[None] * 4)))
    for name in ("provider", "model", "source", "plan", "key"):
        lines += [
            csv_line(
                (
                    *place,
                    name,
                    row.name,
                    row.cost_usd,
                    row.share,
                    row.requests,
                    row.input_tokens,
                    row.output_tokens,
                    row.cached_tokens,
                )
            )
            for row in getattr(report, f"by_{name}")
        ]
    return b"".join(lines)


async def send_lines(lines: AsyncIterator[bytes], name: str, receive: Receive, send: Send) -> None:
    """Send lines as a file until the client leaves; an error before the first line is raised."""
    first = await anext(lines)
    headers = [
        *SECURITY,
        NOT_STORED,
        (b"content-type", b"text/csv; charset=utf-8"),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
    ]
    await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    left = asyncio.create_task(wait_until_left(receive))
    try:
        async for part in lines:
            if left.done():
                return
            await send({"type": "http.response.body", "body": part, "more_body": True})
    finally:
        left.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
