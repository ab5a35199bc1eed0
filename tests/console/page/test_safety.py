"""What must hold on every screen: no text runs, the policy is never violated, anybody can use it, and it fits."""

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, expect

from packages.page import NodeMissingError, install
from tests.console.page.hostile_sender import FAMILIES, STRINGS, TRACE_ID, HostileSender
from tests.console.page.observed_gateway import FAILOVER_MODEL, Console
from tests.console.page.watched_page import DESK, PHONE, WatchedPage, watched_page

pytestmark = pytest.mark.live

SCREENS = ("", "?screen=failures", "?screen=requests", "?screen=metrics", "?screen=cost", "?screen=traces", "?screen=logs",
           "?screen=pipeline", "?screen=tail", "?screen=requests&latency_min=0&cost_max=5", "?screen=trace&id=" + "0" * 31 + "1")  # fmt: skip
AXE = (
    "axe.run().then((found) => JSON.stringify(found.violations.map((one) => [one.id, one.impact, one.nodes[0].html])))"
)


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        return (install() / "axe-core" / "axe.min.js").read_text()
    except NodeMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[(DESK, "light"), (PHONE, "dark")], ids=["desk-light", "phone-dark"])
def view(request: pytest.FixtureRequest, browser: Browser, console: Console) -> Iterator[WatchedPage]:
    size, theme = request.param
    with watched_page(browser, console.page_url, size=size, theme=theme) as watched:
        yield watched
        assert watched.troubles() == []


def test_every_screen_is_accessible_and_fits_in_both_themes_and_widths(
    view: WatchedPage, console: Console, axe: str
) -> None:
    trace_id = console.get(f"requests?model={FAILOVER_MODEL}")["rows"][0]["trace_id"]
    span_id = console.get(f"traces/{trace_id}")["spans"][1]["span_id"]
    devtools = view.page.context.new_cdp_session(view.page)
    problems = {}
    for query in (*SCREENS, f"?screen=trace&id={trace_id}&span={span_id}"):
        view.open(query)
        # The page's policy forbids what Playwright does to insert a script; the debugger is not bound by it.
        devtools.send("Runtime.evaluate", {"expression": axe})
        found = devtools.send("Runtime.evaluate", {"expression": AXE, "awaitPromise": True, "returnByValue": True})
        violations = json.loads(found["result"]["value"])
        too_wide = view.width_beyond_window()
        if violations or too_wide:
            problems[query] = (violations, too_wide)
    assert problems == {}


def test_the_page_asks_nothing_of_any_other_host(browser: Browser, console: Console) -> None:
    asked: list[str] = []
    with watched_page(browser, console.page_url) as watched:
        watched.page.on("request", lambda request: asked.append(request.url))
        for query in SCREENS:
            watched.open(query)
    assert asked
    assert {url for url in asked if not url.startswith(f"{console.page_url}/")} == set()


def test_no_text_of_a_hostile_sender_runs_or_violates_the_policy(browser: Browser, console: Console) -> None:
    HostileSender(console.otlp_url, time.time_ns()).send()
    shown = ""
    trace = f"?screen=trace&id={TRACE_ID.hex()}"
    with watched_page(browser, console.page_url) as watched:
        page = watched.page
        names = _hostile_families(console)
        queries = [
            *SCREENS,
            *(f"{trace}&span={number:016x}" for number in (1, 2, 20)),
            f"?{urlencode({'screen': 'requests', 'q': STRINGS[1]})}",
        ]
        queries += [f"?{urlencode({'screen': 'metrics', 'name': name, 'by': 'each'})}" for name in names[:3]]
        for query in queries:
            watched.open(query)
            for summary in page.locator("main details > summary").all()[:3]:
                summary.click()
            shown += page.locator("main").inner_text()
            assert page.evaluate("() => window.ran") is None, query
            assert page.locator("main iframe, main script, main img, main style, main base, main form").count() == 0, (
                query
            )
            assert watched.width_beyond_window() == 0, query
        page.goto(f"{console.page_url}/{trace}")
        expect(page.get_by_role("region", name="Waterfall").locator("tbody tr")).to_have_count(20)
        assert watched.troubles() == []
    for text in STRINGS[:7]:
        assert text[:-1] in shown
    assert len(names) == FAMILIES


def _hostile_families(console: Console) -> list[str]:
    families = console.get("metrics")["families"]
    return [family["name"] for family in families if family["name"].startswith("hostile_")]
