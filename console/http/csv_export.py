"""Exports as CSV (RFC 4180), with what a spreadsheet would take for a formula made plain text."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from console.csv_text import inert
from console.http.filters import request_filter
from console.http.parameters import Parameters
from console.http.query_threads import QueryThreads
from console.http.responses import NOT_STORED, SECURITY, Receive, Send, wait_until_left
from console.query.paging import MAX_PAGE_ROWS, Cursor, parse_cursor
from console.query.requests import read_requests_page
from console.query.shapes.cost import CostReport
from console.query.shapes.requests import RequestRow
from console.query.view import View

_HOUR: Final = 3_600.0
_BOM: Final = "\ufeff".encode()
"""Spreadsheets read a file without it in an encoding of their own."""
_COST_COLUMNS: Final = (
    "period", "from", "to", "by", "name", "cost_usd", "share", "requests", "input_tokens", "output_tokens", "cached_tokens",
)  # fmt: skip


def csv_line(values: Iterable[Any]) -> bytes:
    """Return one line."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(value) for value in values])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a cell; unknown is empty."""
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return inert(" ".join(f"{name}={text}" for name, text in value.items()))
    return "" if value is None else value


def first_bytes(parameters: Parameters) -> bytes:
    """Return what the file begins with: nothing, or where `bom` is true what names its encoding to spreadsheets."""
    return _BOM if parameters.flag("bom") else b""


async def request_lines(parameters: Parameters, queries: QueryThreads) -> AsyncIterator[bytes]:
    """Yield the lines of the request log, the newest first, in pages."""
    wanted = request_filter(parameters)
    begin_ns, end_ns = parameters.window(queries.unix_ns(), _HOUR)
    begin = first_bytes(parameters)
    parameters.finish()
    columns = RequestRow.__struct_fields__

    def read(view: View, after: Cursor | None) -> tuple[bytes, str | None]:
        page = read_requests_page(view, wanted, begin_ns=begin_ns, end_ns=end_ns, after=after, limit=MAX_PAGE_ROWS)
        return b"".join(csv_line(getattr(row, name) for name in columns) for row in page.rows), page.next_cursor

    # With the first page: where it cannot be read the response is an error, and no file that ends early.
    lines, cursor = await queries.run(partial(read, after=None))
    yield begin + csv_line(columns) + lines
    while cursor is not None:
        lines, cursor = await queries.run(partial(read, after=parse_cursor(cursor)))
        yield lines


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
