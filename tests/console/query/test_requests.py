"""The request log: every filter against rows that are known, pages, free text."""

import pytest

from console.query.paging import parse_cursor, read_page
from console.query.request_filter import REQUESTS, Range, RequestFilter
from console.query.requests import read_requests_page
from tests.harness.console import logs, resource, traces
from tests.harness.console_metrics import at
from tests.harness.gateway_lines import request_line, server_span

CALL = {"operation": "chat", "stream": False, "cached": False, "attempts": 1, "call_status": "success"}
ROWS = {
    "plain": {"model": "small", "provider": "a", "input_tokens": 10, "output_tokens": 5, "cost_usd": 0.001, **CALL},
    "failed": {
        "status": 502,
        "outcome": "error",
        "model": "small",
        "provider": "b",
        "duration_ms": 2_000.0,
        "error_kind": "upstream_5xx",
        "input_tokens": 100,
        "output_tokens": 0,
        "cost_usd": 0.25,
        **CALL,
        "stream": True,
        "call_status": "error",
    },
    "cached": {
        "model": "large",
        "key_id": "key_1",
        "plan": "pro",
        "cost_usd": 0,
        "cost_source": "priced",
        **CALL,
        "cached": True,
    },
    "refused": {"status": 429, "outcome": "refused", "limit_type": "budget", "key_id": "key_2", "plan": "free"},
    "health": {"method": "GET", "path": "/health/live", "duration_ms": 0.5},
}


@pytest.fixture
async def rows(console):
    for index, (name, fields) in enumerate(ROWS.items()):
        line = request_line(-50 + index * 10, trace=index + 1, message=f"row {name}", **fields)
        await console.send(logs(line, origin=resource(service__name="two" if name == "cached" else "one")))
    await console.send(traces(server_span(2)))
    return dict(enumerate(ROWS))


def read(view, wanted, *, begin=-100, end=1, after=None, limit=50):
    return read_requests_page(
        view, wanted, begin_ns=at(begin), end_ns=at(end), after=after and parse_cursor(after), limit=limit
    )


def names(page):
    return [list(ROWS)[int(row.trace_id, 16) - 1] for row in page.rows]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["health", "refused", "cached", "failed", "plain"]),
        ({"fields": {"provider": ("a",)}}, ["plain"]),
        ({"fields": {"provider": ("a", "b")}}, ["failed", "plain"]),
        ({"fields": {"provider": ("a", "b"), "outcome": ("error",)}}, ["failed"]),
        ({"fields": {"model": ("large",)}}, ["cached"]),
        ({"fields": {"key_id": ("key_2",)}}, ["refused"]),
        ({"fields": {"plan": ("pro",)}}, ["cached"]),
        ({"fields": {"outcome": ("error",)}}, ["failed"]),
        ({"fields": {"method": ("GET",)}}, ["health"]),
        ({"fields": {"path": ("/health/live",)}}, ["health"]),
        ({"fields": {"error_kind": ("upstream_5xx",)}}, ["failed"]),
        ({"fields": {"limit_type": ("budget",)}}, ["refused"]),
        ({"fields": {"cost_source": ("priced",)}}, ["cached"]),
        ({"fields": {"operation": ("chat",)}}, ["cached", "failed", "plain"]),
        ({"flags": {"stream": True}}, ["failed"]),
        ({"flags": {"cached": False}}, ["failed", "plain"]),
        ({"statuses": ("502",)}, ["failed"]),
        ({"statuses": ("4xx", "5xx")}, ["refused", "failed"]),
        ({"statuses": ("2xx", "429")}, ["health", "refused", "cached", "plain"]),
        ({"services": ("two",)}, ["cached"]),
        ({"services": ("three",)}, []),
        ({"trace_ids": ((2).to_bytes(16, "big"),)}, ["failed"]),
        ({"latency_seconds": Range(1.0, None)}, ["failed"]),
        ({"latency_seconds": Range(None, 0.0005)}, ["health"]),
        ({"latency_seconds": Range(2.0, 2.0)}, ["failed"]),
        ({"tokens": Range(15, 15)}, ["plain"]),
        ({"tokens": Range(16, None)}, ["failed"]),
        ({"cost_usd": Range(0.001, 0.001)}, ["plain"]),
        ({"cost_usd": Range(None, 0)}, ["cached"]),
        ({"words": "row failed"}, ["failed"]),
        ({"words": "FAIL"}, ["failed"]),
        ({"words": "row nothing"}, []),
        ({"words": "row", "fields": {"provider": ("b",)}}, ["failed"]),
        ({"words": '" OR * NEAR('}, []),
    ],
)
async def test_each_filter_finds_the_known_rows(rows, look, wanted, expected):
    with look() as view:
        assert names(read(view, RequestFilter(**wanted))) == expected


async def test_a_row_has_the_numbers_of_its_line(rows, look):
    with look() as view:
        (row,) = read(view, RequestFilter(fields={"outcome": ("error",)})).rows
    assert (row.duration_seconds, row.cost_usd, row.input_tokens, row.output_tokens) == (2.0, 0.25, 100, 0)
    assert (row.status, row.error_kind, row.service, row.stream) == (502, "upstream_5xx", "one", True)
    assert row.at == at(-40) / 1e9
    assert row.has_trace
    assert row.plan is None
    assert row.cached_tokens is None


async def test_the_window_begins_inclusive_and_ends_exclusive(rows, look):
    with look() as view:
        assert names(read(view, RequestFilter(), begin=-40, end=-20)) == ["cached", "failed"]


@pytest.mark.parametrize("wanted", [{}, {"words": "row"}])
async def test_pages_have_every_row_once(rows, look, wanted):
    found, after = [], None
    with look() as view:
        for _ in range(10):
            page = read(view, RequestFilter(**wanted), after=after, limit=2)
            found += names(page)
            after = page.next_cursor
            if after is None:
                break
    assert found == ["health", "refused", "cached", "failed", "plain"]


async def test_rows_of_one_time_are_on_pages_once_too(console, look):
    await console.send(logs(*(request_line(-5, trace=index + 1) for index in range(5))))
    found, after = [], None
    with look() as view:
        while True:
            page = read(view, RequestFilter(), after=after, limit=2)
            found += [row.trace_id for row in page.rows]
            after = page.next_cursor
            if after is None:
                break
    assert sorted(int(trace_id, 16) for trace_id in found) == [1, 2, 3, 4, 5]


async def test_new_rows_do_not_shift_a_page(rows, console, look):
    with look() as view:
        first = read(view, RequestFilter(), limit=2)
    await console.send(logs(request_line(-1, trace=1, message="new")))
    with look() as view:
        assert names(read(view, RequestFilter(), after=first.next_cursor, limit=2)) == ["cached", "failed"]


async def test_a_search_stops_after_many_rows_and_its_cursor_goes_on(rows, look):
    found, after, looks = [], None, 0
    with look() as view:
        wanted = RequestFilter(fields={"model": ("small",)}).condition(view)
        while looks == 0 or after is not None:
            page = read_page(
                view.connection, REQUESTS, wanted, begin_ns=at(-100), end_ns=at(1), after=after, limit=5, scan_rows=2
            )
            found += page.rows
            after, looks = page.next, looks + 1
    assert (len(found), looks) == (2, 3)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({"fields": {"key_id": ("rare",)}}, "requests_by_key"),
        ({"fields": {"provider": ("rare",)}}, "requests_by_provider"),
        ({"fields": {"model": ("rare",)}}, "requests_by_model"),
        ({"fields": {"outcome": ("error",)}}, "requests_failed"),
        ({"trace_ids": (bytes(16),)}, "requests_by_trace"),
        ({"fields": {"plan": ("rare",)}}, "requests_by_time"),
    ],
)
async def test_a_filter_looks_at_rows_that_pass_it_where_an_index_has_them(console, look, wanted, index):
    await console.send(
        logs(*(request_line(-number, model="often") for number in range(5)), request_line(-9, model="rare"))
    )
    with look() as view:
        statements: list[str] = []
        view.connection.set_trace_callback(statements.append)
        read_requests_page(view, RequestFilter(**wanted), begin_ns=at(-100), end_ns=at(0), after=None, limit=10)
        view.connection.set_trace_callback(None)
    pages = [sql for sql in statements if "FROM requests INDEXED BY" in sql and "DESC LIMIT" in sql]
    assert len(pages) == 2
    assert all(f"INDEXED BY {index} " in sql for sql in pages)
