"""A person sees what a board is for on the first screen, without scrolling."""

import json
from itertools import combinations

import msgspec
import pytest

from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.definitions.on_call import ON_CALL
from dashboards.grafana.definitions.overview import OVERVIEW
from dashboards.grafana.layout import places
from dashboards.grafana.model import COLUMNS, FIRST_SCREEN_ROWS, PanelKind
from dashboards.grafana.render import render

WINDOW_PIXELS = 800
ROW_PIXELS = 38
"""A row of Grafana's grid is 30 pixels high, and 8 apart from the next."""

BARS_PIXELS = 140
"""Navigation, toolbar, variables, and the margin below."""

WINDOW_WIDTH_PIXELS = 1280
MARGIN_PIXELS = 16
GAP_PIXELS = 8
BORDERS_PIXELS = 18
"""A panel's border and padding."""

LEAST_COLUMN_PIXELS = 150
"""Grafana's, of a column without a width."""

LEAST_HEIGHT = {PanelKind.STAT: 4, PanelKind.GAUGE: 4, PanelKind.PIE_CHART: 5, PanelKind.LOGS: 6, PanelKind.TABLE: 5}
LEAST_WIDTH = {PanelKind.LOGS: 10, PanelKind.TABLE: 8, PanelKind.TIME_SERIES: 6, PanelKind.HEATMAP: 8}


def test_the_first_screen_is_that_of_a_window_of_1280_by_800_pixels():
    assert (
        BARS_PIXELS + FIRST_SCREEN_ROWS * ROW_PIXELS
        <= WINDOW_PIXELS
        < BARS_PIXELS + (FIRST_SCREEN_ROWS + 1) * ROW_PIXELS
    )


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_the_purpose_of_a_board_is_on_its_first_screen(dashboard):
    purpose = [row.is_purpose for row in dashboard.rows]
    assert purpose[0]
    assert purpose == sorted(purpose, reverse=True), "what matters comes first"
    assert sum(row.height for row in dashboard.rows if row.is_purpose) <= FIRST_SCREEN_ROWS


def test_the_on_call_board_is_one_screen():
    assert all(row.is_purpose for row in ON_CALL.rows)
    titles = [panel.title for panel in ON_CALL.panels]
    assert {"What is broken, and since when", "Why", "USD per hour", "Error logs", "Failed requests"} <= set(titles)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_panels_lie_on_the_grid_beside_each_other_and_large_enough_to_read(dashboard):
    document = json.loads(render(dashboard))
    boxes = [panel["gridPos"] for panel in document["panels"]]
    assert all(box["x"] + box["w"] <= COLUMNS for box in boxes)
    for one, other in combinations(boxes, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
    for panel, place in places(dashboard):
        assert place.height >= LEAST_HEIGHT.get(panel.kind, 4), panel.title
        assert place.width >= LEAST_WIDTH.get(panel.kind, 4), panel.title


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_the_columns_of_a_table_are_seen_without_scrolling_sideways(dashboard):
    for panel in dashboard.panels:
        if panel.kind is PanelKind.TABLE:
            assert panel.columns, panel.title
            widths = [column.width_pixels or LEAST_COLUMN_PIXELS for column in panel.columns]
            columns_pixels = WINDOW_WIDTH_PIXELS - 2 * MARGIN_PIXELS + GAP_PIXELS
            assert sum(widths) <= panel.width * columns_pixels / COLUMNS - GAP_PIXELS - BORDERS_PIXELS, panel.title


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_large_value_has_a_name_only_where_the_title_does_not_say_it(dashboard):
    for panel, drawn in zip(dashboard.panels, json.loads(render(dashboard))["panels"], strict=True):
        if panel.kind is PanelKind.STAT:
            has_names = any(sign in query.legend for query in panel.queries for sign in ("{{", "$"))
            assert drawn["options"]["textMode"] == ("value_and_name" if has_names else "value"), panel.title


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_thresholds_of_lines_are_drawn(dashboard):
    for panel, drawn in zip(dashboard.panels, json.loads(render(dashboard))["panels"], strict=True):
        if panel.kind is PanelKind.TIME_SERIES:
            mode = drawn["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"]
            assert mode == ("off" if len(panel.steps) == 1 else "dashed"), panel.title


def test_what_fires_and_is_critical_comes_first():
    (table,) = (panel for panel in ON_CALL.panels if panel.title.startswith("What is broken"))
    (drawn,) = (panel for panel in json.loads(render(ON_CALL))["panels"] if panel["title"] == table.title)
    assert drawn["options"]["sortBy"] == [
        {"displayName": "State", "desc": False},
        {"displayName": "Severity", "desc": False},
    ]
    assert min("pending", "firing") == "firing"
    assert min("warning", "critical") == "critical"


def test_a_row_that_does_not_fill_the_grid_is_refused():
    first, *others = OVERVIEW.rows
    short = msgspec.structs.replace(first, panels=first.panels[1:])
    with pytest.raises(ValueError, match="is 20 columns wide, not 24"):
        list(places(msgspec.structs.replace(OVERVIEW, rows=(short, *others))))
