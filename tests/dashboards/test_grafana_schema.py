"""Each board is valid against Grafana's own schema, and the check finds what is not."""

import copy
import json

import pytest

from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.definitions.overview import OVERVIEW
from dashboards.grafana.render import render
from tests.dashboards.grafana_schema import UNITS, schema_problems


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_a_board_is_valid(dashboard):
    assert schema_problems(json.loads(render(dashboard))) == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_units_are_grafanas(dashboard):
    columns = {column.unit for panel in dashboard.panels for column in panel.columns if column.unit}
    assert {panel.unit for panel in dashboard.panels} | columns <= UNITS


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda board: board.update(refrsh="30s"), "board.refrsh is unknown to Grafana"),
        (lambda board: board.update(schemaVersion="39"), "board.schema_version: '39' is no int"),
        (lambda board: board["panels"][0]["options"].update(colorMode="rainbow"), "color_mode: 'rainbow' is no"),
        (lambda board: board["panels"][0]["options"].update(shade=1), "options.shade is unknown to Grafana"),
        (lambda board: board["panels"][0]["gridPos"].update(w="4"), "grid_pos.w: '4' is no int"),
        (lambda board: board["panels"][0]["targets"][0].update(format="heat"), "format: 'heat' is no"),
        (lambda board: board["templating"]["list"][0].update(type="source"), "type: 'source' is no"),
        (lambda board: board["templating"]["list"][3].update(refresh="time"), "refresh: 'time' is no"),
    ],
)
def test_what_is_wrong_is_found(change, problem):
    board = copy.deepcopy(json.loads(render(OVERVIEW)))
    change(board)
    assert any(problem in line for line in schema_problems(board)), schema_problems(board)
