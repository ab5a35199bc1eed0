"""Exports: every row that the page would show, once, with the columns of the page's rows."""

import csv
import io

from tests.harness.console import logs, metrics
from tests.harness.console_metrics import counter
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
