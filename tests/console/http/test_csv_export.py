"""Exports: every row that the page would show, once, with the columns of the page's rows."""

import csv
import io
import sqlite3
import time

import console.query.requests as requests_page
from console.csv_text import inert
from console.http.csv_export import request_lines
from console.http.parameters import Parameters
from tests.harness.console import logs, metrics
from tests.harness.console_metrics import at, counter
from tests.harness.gateway_lines import request_line


async def rows_of(site, path, params=None):
    response = await site.get(path, params)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    assert response.headers["x-content-type-options"] == "nosniff"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def test_an_export_has_more_rows_than_a_page_and_each_once(site):
    await site.console.send(
        logs(*(request_line(-5 - number / 1_000, model=f"m{number % 7}") for number in range(1_203)))
    )
    rows = await rows_of(site, "/api/requests.csv")
    assert len(rows) == len({row["id"] for row in rows}) == 1_203
    assert [float(row["at"]) for row in rows] == sorted((float(row["at"]) for row in rows), reverse=True)
    assert len(await rows_of(site, "/api/requests.csv", {"model": "m0"})) == 172
    assert await rows_of(site, "/api/requests.csv", {"model": "none"}) == []


FORMULAS = [
    ("=1+1", "'=1+1"),
    ("+1", "'+1"),
    ("-1", "'-1"),
    ("@SUM(A1)", "'@SUM(A1)"),
    ("  =1", "'  =1"),
    ("\uff1d1", "'\uff1d1"),
    ("\tx", "'\tx"),
    ("\rx", "'\rx"),
    ("\nx", "'\nx"),
    # Where a spreadsheet separates cells by another character than a comma.
    ("m;=1+1", "m;'=1+1"),
    ("m\t=1+1", "m\t'=1+1"),
    ('m"\r\n=1+1,"', 'm"\r\n\'=1+1,"'),
]
TEXTS = ["gpt-4", "a=b", "a, b", 'say "no"', "two\nlines", "größer 模型", "m; n", "x" * 4_000]


async def test_no_cell_is_a_formula_and_every_other_text_stays_as_it_is(site):
    wanted = dict(FORMULAS) | {text: text for text in TEXTS}
    await site.console.send(logs(*(request_line(-5, path=text, plan=text) for text in wanted)))
    rows = await rows_of(site, "/api/requests.csv")
    assert sorted(row["path"] for row in rows) == sorted(wanted.values())
    assert all(row["path"] == row["plan"] for row in rows)


def test_making_texts_inert_takes_time_in_proportion_to_their_length():
    began = time.process_time()
    for text in ("\n" * 400_000, " " * 400_000, ";" * 400_000, "\t=" * 200_000):
        inert(text)
    assert time.process_time() - began < 20


async def test_only_a_file_for_spreadsheets_begins_with_a_byte_order_mark(site):
    for path in ("/api/requests.csv", "/api/cost.csv"):
        assert (await site.get(path, {"bom": "true"})).content.startswith("\ufeff".encode())
        assert (await site.get(path)).content[:1].isalpha()
        assert (await site.get(path, {"bom": "maybe"})).status_code == 400


async def test_an_export_has_every_row_once_while_the_oldest_are_deleted_and_newer_ones_arrive(site, monkeypatch):
    monkeypatch.setattr("console.http.csv_export.MAX_PAGE_ROWS", 10)
    await site.console.send(logs(*(request_line(-5 - number, model=f"m{number}") for number in range(40))))
    read = requests_page.read_requests_page
    pages = 0

    def read_and_change(view, *arguments, **keywords):
        nonlocal pages
        page = read(view, *arguments, **keywords)
        pages += 1
        with sqlite3.connect(site.console.store.path) as other:
            # The row of this page's cursor, too.
            other.execute("DELETE FROM requests WHERE time_ns >= ? AND log <= 40", (at(-4 - 10 * pages),))
            other.execute("DELETE FROM requests WHERE time_ns <= ?", (at(-40),))
        other.close()
        return page

    monkeypatch.setattr("console.http.csv_export.read_requests_page", read_and_change)
    lines = request_lines(Parameters(b""), site.app._queries)
    text = b""
    async for part in lines:
        text += part
        if pages == 0:
            continue
        await site.console.send(logs(request_line(-1, model="new")))
    models = [row["model"] for row in csv.DictReader(io.StringIO(text.decode(), newline=""))]
    assert models == [f"m{number}" for number in range(35)]


async def test_cells_are_the_numbers_of_the_page_and_unknown_is_empty(site):
    line = request_line(-5, cost_usd=0.000_000_123, stream=False, input_tokens=7, tags={"team": "a"})
    await site.console.send(logs(line))
    (row,) = await rows_of(site, "/api/requests.csv")
    (shown,) = (await site.json("/api/requests"))["rows"]
    assert float(row["cost_usd"]) == shown["cost_usd"] == 0.000_000_123
    assert (row["stream"], row["input_tokens"], row["output_tokens"], row["plan"], row["tags"]) == (
        "false",
        "7",
        "",
        "",
        "team=a",
    )
    assert row.keys() == shown.keys()


async def test_the_cost_report_is_a_line_per_name_and_the_total(site):
    labels = {"provider": "a", "model": "m", "cost_source": "priced"}
    await site.console.send(metrics(counter("gatewayz_cost_usd_total", (-200, 1.0, labels), (-5, 1.5, labels))))
    await site.console.send(logs(request_line(-5, operation="chat", key_id="k", plan="pro", cost_usd=0.5)))
    rows = await rows_of(site, "/api/cost.csv", {"period": "range", "range": "100"})
    found = {(row["by"], row["name"]): float(row["cost_usd"]) for row in rows}
    names = [("total", ""), ("provider", "a"), ("model", "m"), ("source", "priced"), ("plan", "pro"), ("key", "k")]
    assert found == dict.fromkeys(names, 0.5)
