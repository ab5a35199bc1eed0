"""Links of the console's page: each state has one, it opens in any zone and whatever it holds, and Back leads to the place that was left."""

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.page.observed_gateway import FAILED_MODEL, Console
from tests.console.page.watched_page import WatchedPage

pytestmark = pytest.mark.live

REFRESH_MS = 5_100
TWO_LINES_PX = 52
FIRST_OF_MARCH = 1_772_323_200


def rows(page: Page):
    return page.locator("main table tbody tr")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?from=1&to=1e300", "Requests per minute"),
        ("?screen=requests&from=1&to=Infinity", "last 15 min"),
        ("?screen=cost&period=toString", "today (UTC)"),
        ("?screen=failures&sort=constructor&range=__proto__", "last 15 min"),
        ("?screen=metrics&name=nope", "No metric nope is here"),
        (
            f"?screen=failures&from={FIRST_OF_MARCH - 600}&to={FIRST_OF_MARCH + 600}",
            "2026-02-28 23:50:00 \u2013 2026-03-01 00:10:00 UTC",
        ),
    ],
)
def test_a_link_opens_whatever_it_holds(watched: WatchedPage, query: str, words: str) -> None:
    page = watched.open(query)
    expect(page.locator("main")).to_contain_text(words)


def test_back_leads_to_the_row_that_was_opened_and_so_does_a_reload(watched: WatchedPage) -> None:
    page = watched.open("?screen=requests&range=24h")
    row = page.locator("[data-row]").nth(45)
    link = row.get_attribute("href")
    row.click()
    watched.settled()
    assert page.evaluate("() => window.scrollY") == 0
    page.go_back()
    opened = page.locator(f"[data-row][href='{link}']")
    expect(opened).to_be_focused()
    expect(opened).to_be_in_viewport()
    page.reload()
    watched.settled()
    expect(opened).to_be_in_viewport()
    page.keyboard.press("k")
    expect(page.locator("[data-row]:focus")).to_have_count(1)
    page.go_forward()
    watched.settled()
    expect(page.get_by_role("region", name="Waterfall")).to_be_visible()


def test_failures_are_ordered_by_a_column_and_the_order_has_a_link(watched: WatchedPage) -> None:
    page = watched.open("?screen=failures")
    counts = [int(text) for text in page.locator("main tbody tr td:nth-of-type(4)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Spans")
    page.get_by_role("link", name="Order by last seen").click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Last seen")
    expect(rows(page).first).to_contain_text(FAILED_MODEL)
    page.reload()
    watched.settled()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Last seen")


def test_of_many_providers_the_screen_says_what_it_leaves_out_and_finds_one(
    watched: WatchedPage, console: Console
) -> None:
    now = console.get("now")
    cause = {"error_kind": "whole_answer_timeout", "fault": "provider", "count": 30, "share": 0.3}
    breaker = {"provider": "a-provider-of-a-far-region", "model": "a-model-with-a-long-name", "state": "open"}
    worst = {
        "level": "red",
        "reasons": ["circuit breaker of lantern-70b at a-provider-of-a-far-region is open", "health 0.60"],
        "breakers": [breaker, {**breaker, "state": "half_open"}],
        "errors": {
            "attempts": 100,
            "failed": 60,
            "rate": 0.6,
            "by_cause": [cause, cause | {"error_kind": "stream_broken"}],
        },
    }
    many = {**now, "rows": [{**row, **worst} for row in now["rows"]], "left_out": {"green": 2_888, "amber": 12}}
    watched.page.route(
        re.compile(r"/api/now$"),
        lambda route: route.fulfill(status=200, content_type="application/json", body=json.dumps(many)),
    )
    page = watched.open()
    expect(
        page.get_by_text("And 2,900 more providers and models, none worse than these: 12 degraded, 2,888 healthy.")
    ).to_be_visible()
    assert page.locator("main .now").evaluate("one => one.scrollWidth <= one.clientWidth")
    heights = rows(page).evaluate_all("all => all.slice(0, 9).map(one => one.getBoundingClientRect().height)")
    assert max(heights) < TWO_LINES_PX
    watched.enter_search()
    page.keyboard.type(FAILED_MODEL[:5].upper())
    expect(page.locator("input:focus")).to_have_value(FAILED_MODEL[:5].upper())
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("find=HARBO"))
    expect(page.locator("main .now tbody tr")).to_have_count(1)
    expect(page.locator("main .now")).to_contain_text(FAILED_MODEL)


def test_a_chart_is_compared_with_the_time_before_and_says_what_of_it_is_held(watched: WatchedPage) -> None:
    page = watched.open("?screen=metrics&name=model_inference_requests_total&range=5m&by=none")
    page.get_by_role("link", name="Compare with the 5 min before").click()
    expect(page.locator(".legend thead")).to_contain_text("mean before")
    expect(page.locator(".legend tbody tr")).to_have_count(1)
    expect(page.get_by_text("The console holds nothing of it.")).to_be_visible()
    page.get_by_role("link", name="Not with the 5 min before").click()
    expect(page.locator(".legend thead")).not_to_contain_text("mean before")


def test_what_failed_because_the_console_was_busy_is_asked_for_again(watched: WatchedPage) -> None:
    busy = True

    def respond(route: Route) -> None:
        if busy:
            route.fulfill(status=503, content_type="application/json", body='{"detail": "The console is busy."}')
        else:
            route.fallback()

    watched.page.route(re.compile("/api/(requests|tail)"), respond)
    watched.page.clock.install()
    page = watched.open(f"?screen=requests&from={FIRST_OF_MARCH}&to={FIRST_OF_MARCH * 2}")
    expect(page.get_by_text("The console is busy.")).to_be_visible()
    busy = False
    page.clock.run_for(REFRESH_MS)
    expect(rows(page).first).to_be_visible()
    busy = True
    page = watched.open("?screen=tail")
    expect(page.locator(".head")).to_contain_text("not connected; it tries again")
    busy = False
    page.clock.run_for(REFRESH_MS)
    expect(page.locator(".head")).to_contain_text("connected")
    expect(page.locator(".head")).not_to_contain_text("not connected")
    # The browser reports the responses on its console.
    watched.forget()
