"""The renderer of boards draws every type of panel that they use, from the servers' answers, and what is missing as such."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from dashboards.generate import documents
from dashboards.pictures.page import NOTE, Bundle, build, html
from packages.page import NodeMissingError
from tests.dashboards.canned_answers import START, STEP, answers, with_data, without_data
from tests.dashboards.drawn_board import DrawnPanel, drawn_board, read_panels
from tests.servers.chromium import running_chromium

BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(text) for path, text in documents().items()}
STAT = {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "textMode": "value_and_name"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def built() -> Bundle:
    try:
        return build()
    except NodeMissingError as error:
        pytest.skip(str(error))


def drawn(browser: Browser, built: Bundle, given: dict[str, Any]) -> dict[int, DrawnPanel]:
    with drawn_board(browser, html(built, given, "light")) as page:
        return read_panels(page)


def test_every_panel_of_every_board_is_drawn_with_its_data(browser: Browser, built: Bundle) -> None:
    types = set()
    for board in BOARDS.values():
        panels = drawn(browser, built, with_data(board))
        assert panels.keys() == {panel["id"] for panel in board["panels"]}
        for panel in panels.values():
            assert not panel.is_empty, panel
            assert panel.items > 0, panel
            assert panel.has_ink, panel
            types.add(panel.type)
    assert types == {panel["type"] for board in BOARDS.values() for panel in board["panels"]}


def test_a_panel_without_data_shows_its_text(browser: Browser, built: Bundle) -> None:
    for board in BOARDS.values():
        panels = drawn(browser, built, without_data(board))
        for panel in board["panels"]:
            assert panels[panel["id"]].body == panel["fieldConfig"]["defaults"]["noValue"]
            assert panels[panel["id"]].title == panel["title"]


def one_panel(kind: str, defaults: dict[str, Any], options: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a board with one panel, whose query has the legend `{{provider}}`."""
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 10}]
    field = {
        "unit": "none",
        "noValue": "nothing",
        "mappings": [],
        "thresholds": {"steps": steps},
        "custom": {},
    } | defaults
    panel = {
        "id": 1,
        "title": "A panel",
        "type": kind,
        "gridPos": {"x": 0, "y": 0, "w": 12, "h": 6},
        "datasource": {"type": "prometheus"},
        "targets": [{"refId": "A", "legendFormat": "{{provider}}"}],
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options,
    }
    empty: dict[str, Any] = {
        "title": "A board",
        "description": "",
        "templating": {"list": []},
        "annotations": {"list": []},
    }
    return empty | {"panels": [panel | more]}


def vector(*values: tuple[dict[str, str], str]) -> dict[str, Any]:
    return {
        "data": {"resultType": "vector", "result": [{"metric": labels, "value": [0, text]} for labels, text in values]}
    }


def test_a_value_is_drawn_in_its_unit_by_its_name_in_the_colour_of_its_step(browser: Browser, built: Bundle) -> None:
    board = one_panel("stat", {"unit": "currencyUSD", "decimals": 2}, STAT)
    given = answers(board, {1: {"A": vector(({"provider": "cheap"}, "1.234"), ({"provider": "dear"}, "1234.5"))}})
    with drawn_board(browser, html(built, given, "light")) as page:
        cells = page.locator(".stat")
        assert cells.all_inner_texts() == ["cheap\n$1.23", "dear\n$1.23K"]
        colours = [each.evaluate("each => getComputedStyle(each).backgroundColor") for each in cells.all()]
        assert colours == ["rgb(63, 138, 46)", "rgb(192, 36, 28)"]


def test_a_mapped_value_is_drawn_as_its_text(browser: Browser, built: Bundle) -> None:
    mappings = [{"type": "value", "options": {"2": {"text": "open", "color": "red"}}}]
    board = one_panel("stat", {"mappings": mappings}, STAT)
    panel = drawn(browser, built, answers(board, {1: {"A": vector(({"provider": "one"}, "2"))}}))[1]
    assert panel.body.split() == ["one", "open"]


def test_lines_have_the_colours_and_thresholds_of_their_panel(browser: Browser, built: Bundle) -> None:
    board = one_panel(
        "timeseries",
        {"custom": {"stacking": {"mode": "none"}, "thresholdsStyle": {"mode": "dashed"}}, "min": 0, "max": 20},
        {"legend": {"calcs": ["lastNotNull"]}},
    )
    red = {
        "matcher": {"id": "byRegexp", "options": "/^(?:5..)$/"},
        "properties": [{"id": "color", "value": {"fixedColor": "red"}}],
    }
    board["panels"][0]["fieldConfig"]["overrides"] = [red]
    points = [[START + STEP * index, "7.5"] for index in range(41)]
    course = [{"metric": {"provider": name}, "values": points} for name in ("200", "503")]
    given = answers(board, {1: {"A": {"data": {"resultType": "matrix", "result": course}}}})
    with drawn_board(browser, html(built, given, "light")) as page:
        assert page.locator(".series-list > span").all_inner_texts() == ["200 7.5", "503 7.5"]
        swatches = page.locator(".swatch").all()
        colours = [each.evaluate("each => getComputedStyle(each).backgroundColor") for each in swatches]
        assert colours == ["rgb(29, 95, 184)", "rgb(192, 36, 28)"]
        # The step at 10 lies in the middle of an axis from 0 to 20.
        box, level = page.locator(".u-over").bounding_box(), page.locator(".level").bounding_box()
        assert box is not None
        assert level is not None
        assert level["y"] - box["y"] == pytest.approx(box["height"] / 2, abs=2)


def test_values_of_several_queries_are_joined_to_rows_in_the_order_of_the_panel(
    browser: Browser, built: Bundle
) -> None:
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {"provider": 0, "Value #B": 1, "Value #A": 2},
        "renameByName": {"provider": "Provider", "Value #A": "Cost", "Value #B": "Tokens"},
    }
    cost = {"matcher": {"id": "byName", "options": "Cost"}, "properties": [{"id": "unit", "value": "currencyUSD"}]}
    board = one_panel(
        "table",
        {"unit": "short"},
        {"sortBy": [{"displayName": "Tokens", "desc": True}]},
        targets=[{"refId": "A"}, {"refId": "B"}],
        transformations=[{"id": "merge", "options": {}}, {"id": "organize", "options": organize}],
    )
    board["panels"][0]["fieldConfig"]["overrides"] = [cost]
    one, other = {"provider": "one"}, {"provider": "other"}
    results = {"A": vector((one, "0.5"), (other, "2")), "B": vector((other, "4000"), (one, "300"))}
    with drawn_board(browser, html(built, answers(board, {1: results}), "light")) as page:
        assert page.locator("tr").all_inner_texts() == ["Provider\tTokens\tCost", "other\t4 K\t$2", "one\t300\t$0.5"]


def test_a_kind_of_panel_that_nothing_draws_is_an_error(browser: Browser, built: Bundle) -> None:
    given = answers(one_panel("candlestick", {}, {}), {1: {"A": {}}})
    with pytest.raises(AssertionError, match="A panel: nothing draws panels of the type candlestick"):
        drawn(browser, built, given)


def test_text_of_telemetry_is_text(browser: Browser, built: Bundle) -> None:
    hostile = "</script><img src=x onerror=document.title='run'>"
    stream = {"stream": {"level": "error"}, "values": [["1790000000000000000", hostile]]}
    board = one_panel("logs", {}, {})
    given = answers(board, {1: {"A": {"data": {"resultType": "streams", "result": [stream]}}}})
    with drawn_board(browser, html(built, given, "light")) as page:
        assert page.locator(".log-line").inner_text().endswith(hostile)
        assert page.title() == "Board"
        assert page.locator("img").count() == 0


def test_a_picture_says_what_it_is(browser: Browser, built: Bundle) -> None:
    with drawn_board(browser, html(built, without_data(BOARDS["gatewayz-overview"]), "dark")) as page:
        assert NOTE in page.locator("header").inner_text()
