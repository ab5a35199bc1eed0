"""What people do most with the console's page, in a real browser, with the telemetry of a real gateway."""

import csv
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.console.page.observed_gateway import (
    FAILED_MODEL,
    FAILOVER_MODEL,
    FAILOVERS,
    FAILURES,
    OK_MODEL,
    RESPONSES,
    Console,
)
from tests.console.page.watched_page import WatchedPage

pytestmark = pytest.mark.live

TRACE_ID = re.compile(r"id=([0-9a-f]{32})")
PAGE_ROWS = 50
REFRESH_MS = 5_100
TWO_LINES_PX = 52


def query_of(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def wait_for_query(page: Page, **wanted: str | None) -> None:
    """Wait until the address has these parameters; None: not there."""

    def has_all(url: str) -> bool:
        found = parse_qs(urlsplit(url).query)
        return all(found.get(name) == (None if value is None else [value]) for name, value in wanted.items())

    page.wait_for_url(has_all)


def rows(page: Page):
    return page.locator("main table tbody tr")


def choose(page: Page, label: str, value: str) -> None:
    page.locator(".filters label", has_text=re.compile(f"^{label}")).get_by_role("combobox").select_option(value)


def test_the_overview_leads_from_a_red_row_to_the_waterfall_of_its_newest_failure(watched: WatchedPage) -> None:
    page = watched.open()
    first = rows(page).first
    expect(first.locator(".mark.red")).to_be_visible()
    expect(first).to_contain_text("broken")
    first.locator("td a[href*='screen=trace']").click()
    watched.settled()
    page.wait_for_url(TRACE_ID)
    expect(page.get_by_role("region", name="Waterfall")).to_contain_text("POST /v1/chat/completions")


def test_a_group_of_failures_names_its_count_and_leads_to_an_example(watched: WatchedPage) -> None:
    page = watched.open(f"?screen=failures&model={FAILOVER_MODEL}")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).first).to_contain_text("rate_limited")
    expect(rows(page).first.locator("td.figure").first).to_have_text(str(FAILOVERS))
    rows(page).first.click(position={"x": 400, "y": 10})
    watched.settled()
    expect(page.get_by_role("heading", level=1)).to_have_text("POST /v1/chat/completions 200")


def test_the_detail_says_why_each_attempt_failed_what_it_cost_and_has_the_log_line(
    watched: WatchedPage, console: Console
) -> None:
    trace_id = console.get(f"requests?model={FAILOVER_MODEL}")["rows"][0]["trace_id"]
    page = watched.open(f"?screen=trace&id={trace_id}")
    attempts = page.get_by_role("region", name="Attempts of the request")
    expect(attempts.locator("tbody tr").nth(0)).to_contain_text("rate_limited")
    expect(attempts.locator("tbody tr").nth(0)).to_contain_text("HTTP 429")
    expect(attempts.locator("tbody tr").nth(1)).to_contain_text("success")
    # 11 input and 7 output tokens at 0.9 US dollars per million.
    expect(attempts.locator("tbody tr").nth(1)).to_contain_text("$0.0000162")
    expect(attempts.locator("tbody tr").nth(1)).to_contain_text("$0.9000")
    expect(page.get_by_role("region", name="Log lines of the trace")).to_contain_text("POST /v1/chat/completions 200")
    spans = page.get_by_role("region", name="Waterfall")
    spans.get_by_role("link", name=f"chat {FAILOVER_MODEL}").first.click()
    expect(spans.locator(".attributes").first).to_contain_text("gen_ai.request.model")
    page.wait_for_url(re.compile("span="))
    link = page.url
    page.reload()
    watched.settled()
    assert page.url == link
    expect(page.locator(".attributes dd", has_text=FAILOVER_MODEL).first).to_be_visible()


def test_the_trace_id_can_be_copied_and_pasted_to_jump(watched: WatchedPage, console: Console) -> None:
    trace_id = console.get(f"requests?model={FAILED_MODEL}")["rows"][0]["trace_id"]
    page = watched.open(f"?screen=trace&id={trace_id}")
    page.get_by_role("button", name="Copy the trace id").click()
    expect(page.get_by_text("copied")).to_be_visible()
    assert page.evaluate("() => navigator.clipboard.readText()") == trace_id
    watched.open("?screen=cost")
    page.locator("h1").click()
    page.keyboard.press("Control+v")
    watched.settled()
    wait_for_query(page, id=trace_id)
    watched.open()
    watched.enter_search()
    page.keyboard.type(trace_id)
    page.keyboard.press("Enter")
    watched.settled()
    wait_for_query(page, id=trace_id)


def test_filters_narrow_the_request_log_and_live_in_its_address(watched: WatchedPage) -> None:
    page = watched.open("?screen=requests")
    choose(page, "Model", FAILED_MODEL)
    expect(rows(page)).to_have_count(FAILURES)
    expect(rows(page).first).to_contain_text("502 error")
    choose(page, "Outcome", "error")
    expect(rows(page)).to_have_count(FAILURES)
    wait_for_query(page, screen="requests", model=FAILED_MODEL, outcome="error")
    page.reload()
    watched.settled()
    expect(rows(page)).to_have_count(FAILURES)
    page.go_back()
    wait_for_query(page, model=FAILED_MODEL, outcome=None)
    page.get_by_role("link", name="Remove all").click()
    expect(rows(page)).to_have_count(PAGE_ROWS)


def test_free_text_and_ranges_find_requests_and_nothing_found_says_what_to_do(watched: WatchedPage) -> None:
    page = watched.open("?screen=requests")
    watched.enter_search()
    page.keyboard.type(FAILOVER_MODEL)
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(FAILOVERS)
    watched.open("?screen=requests&cost_min=1000")
    expect(page.get_by_text("Choose a longer range or remove a filter")).to_be_visible()
    field = page.get_by_label("Cost at least")
    expect(field).to_have_value("1000")
    field.fill("")
    field.press("Tab")
    expect(rows(page)).to_have_count(PAGE_ROWS)


def test_pages_of_the_request_log_hold_each_request_once_and_so_does_the_csv(
    watched: WatchedPage, console: Console, tmp_path: Path
) -> None:
    page = watched.open(f"?screen=requests&range=24h&model={OK_MODEL}")
    first = [row.get_attribute("href") for row in page.locator("[data-row]").all()]
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    expect(rows(page)).to_have_count(len(console.get(f"requests?model={OK_MODEL}&limit=500")["rows"]) - PAGE_ROWS)
    second = [row.get_attribute("href") for row in page.locator("[data-row]").all()]
    assert len({*first, *second}) == len(first) + len(second) >= RESPONSES
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    path = tmp_path / "requests.csv"
    download.value.save_as(path)
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(first) + len(second)
    assert {line["model"] for line in lines} == {OK_MODEL}


def test_a_metric_is_chosen_grouped_and_an_exemplar_opens_its_trace(watched: WatchedPage) -> None:
    page = watched.open("?screen=metrics&range=5m")
    page.get_by_label("Find").fill("model_inference_duration")
    page.get_by_role("link", name="model_inference_duration_seconds").click()
    choose(page, "By", "model")
    expect(page.locator(".legend")).to_contain_text(OK_MODEL)
    wait_for_query(page, by="model")
    choose(page, "Quantile", "0.5")
    expect(page.locator("figcaption")).to_contain_text("p50 of model_inference_duration_seconds")
    # A new exemplar would lie over the one that is about to be clicked.
    page.keyboard.press("p")
    page.locator(".exemplar").last.click()
    watched.settled()
    page.wait_for_url(TRACE_ID)
    expect(page.get_by_role("region", name="Waterfall")).to_contain_text("chat ")


def test_a_brushed_range_becomes_the_range_of_the_screen(watched: WatchedPage) -> None:
    page = watched.open("?screen=metrics&name=model_inference_requests_total&range=1h")
    plot = page.locator(".u-over")
    expect(plot).to_be_visible()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator(".head .aside")).to_contain_text("UTC")
    wait_for_query(page, range=None)
    query = query_of(page)
    assert float(query["to"][0]) - float(query["from"][0]) == pytest.approx(900, abs=30)


def test_costs_of_the_day_are_those_of_the_requests(watched: WatchedPage, console: Console) -> None:
    page = watched.open("?screen=cost")
    report = console.get("cost?period=today")
    by_model = page.get_by_role("region", name="Cost by model")
    assert report["total_usd"] > 0
    expect(by_model.locator("tbody tr")).to_have_count(len(report["by_model"]))
    expect(by_model).to_contain_text(OK_MODEL)
    page.get_by_role("link", name="this month (UTC)").click()
    watched.settled()
    wait_for_query(page, period="month")
    expect(page.get_by_role("link", name="CSV")).to_have_attribute("href", "api/cost.csv?period=month&bom=true")


def test_the_tail_shows_new_requests_and_holds_still_while_it_is_paused(watched: WatchedPage, console: Console) -> None:
    page = watched.open("?screen=tail")
    expect(page.locator(".head")).to_contain_text("connected")
    shown = console.send_ok()
    row = page.locator(f"[data-row][href*='{shown}']")
    expect(row).to_be_visible()
    page.keyboard.press("p")
    waiting = console.send_ok()
    expect(page.get_by_role("button", name="Go on, 1 new")).to_be_visible()
    expect(page.locator(f"[data-row][href*='{waiting}']")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.locator(f"[data-row][href*='{waiting}']")).to_be_visible()
    expect(row).to_be_visible()


def test_rows_help_and_theme_are_reached_from_the_keyboard(watched: WatchedPage) -> None:
    page = watched.open("?screen=requests")
    expect(rows(page)).to_have_count(PAGE_ROWS)
    for key in ("j", "j", "k", "j"):
        page.keyboard.press(key)
    expect(page.locator("[data-row]").nth(1)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next and previous row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Theme").press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(rows(page)).to_have_count(PAGE_ROWS)
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(TRACE_ID)


def test_a_console_that_went_away_is_named_and_the_shown_numbers_stay(watched: WatchedPage) -> None:
    watched.page.clock.install()
    page = watched.open()
    expect(rows(page).first).to_be_visible()
    page.route(
        "**/api/now", lambda route: route.fulfill(status=503, body=json.dumps({"detail": "The console is busy."}))
    )
    page.clock.run_for(REFRESH_MS)
    expect(page.get_by_text("Not up to date: The console is busy.")).to_be_visible()
    expect(rows(page).first).to_be_visible()
    page.unroute("**/api/now")
    page.clock.run_for(REFRESH_MS)
    expect(page.get_by_text("Not up to date")).to_be_hidden()
    # The browser reports the response on its console.
    watched.forget()


def test_every_screen_names_its_sources_and_what_the_console_is_not(watched: WatchedPage, console: Console) -> None:
    not_for = console.get("meta")["not_for"]
    for screen in ("now", "failures", "requests", "metrics", "cost", "pipeline"):
        page = watched.open(f"?screen={screen}")
        expect(page.get_by_role("region", name="Sources of the numbers")).to_contain_text(
            re.compile("over |From |latest")
        )
        expect(page.locator("footer")).to_contain_text(not_for)


def test_a_row_has_its_causes_in_two_lines_and_totals_name_what_is_not_known_of_before(watched: WatchedPage) -> None:
    page = watched.open()
    cell = page.locator("main .causes", has=page.locator(".cause")).first
    rate, cause = cell.bounding_box(), cell.locator(".cause").bounding_box()
    assert rate is not None
    assert cause is not None
    # On the line of the rate, not below it.
    assert cause["y"] - rate["y"] < cause["height"]
    table = page.locator("main .now")
    assert table.evaluate("one => one.scrollWidth <= one.clientWidth")
    heights = rows(page).evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert max(heights) < TWO_LINES_PX
    expect(page.get_by_text("5 min before: unknown").first).to_be_visible()
    expect(page.get_by_text("10 min before: unknown")).to_be_visible()


def test_no_table_of_the_cost_is_cut_and_its_chart_has_fine_steps(watched: WatchedPage, console: Console) -> None:
    page = watched.open("?screen=cost")
    expect(page.get_by_text("yesterday until this time: unknown")).to_be_visible()
    step = console.get("cost?period=today")["chart"]["step_seconds"]
    assert step <= 60
    expect(page.locator(".chart-title")).to_contain_text("by provider, stacked")
    tables = page.locator("main .scroll")
    assert tables.evaluate_all("all => all.filter(one => one.scrollWidth > one.clientWidth).length") == 0


def test_the_pipeline_says_where_a_result_of_the_doctor_is_looked_for(watched: WatchedPage, console: Console) -> None:
    page = watched.open("?screen=pipeline")
    file = console.get("pipeline")["doctor_file"]
    assert file.endswith("doctor.json")
    expect(page.locator("main pre")).to_have_text(f"gatewayz doctor --json > {file}")


def test_an_empty_list_names_the_address_where_this_console_receives(watched: WatchedPage, console: Console) -> None:
    page = watched.open("?screen=logs&q=nothinghasthisword")
    expect(page.locator("main pre")).to_have_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={console.otlp_url} gatewayz serve")


@pytest.mark.parametrize("name", ["nonsense", "toString", "constructor", "__proto__"])
def test_an_address_that_names_nothing_says_so_or_takes_the_default(watched: WatchedPage, name: str) -> None:
    watched.page.goto(f"{watched.open().url}?screen={name}")
    expect(watched.page.locator("main")).to_contain_text("There is no such screen.")
    page = watched.open(f"?screen=requests&range={name}")
    expect(page.locator("main table")).to_be_visible()
    expect(page.locator("main .failed")).to_have_count(0)
