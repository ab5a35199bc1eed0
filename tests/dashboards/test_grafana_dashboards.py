"""The generated dashboards are up to date, and are what Grafana's Classic JSON has to be."""

import json
from itertools import combinations

import pytest

from dashboards import generate
from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.definitions.gateway_overview import GATEWAY_OVERVIEW
from dashboards.grafana.model import PanelKind
from dashboards.grafana.render import render
from otel.catalogue import CATALOGUE

COLUMNS = 24
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}


@pytest.fixture(params=DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def document(request):
    return json.loads(render(request.param))


def test_the_committed_json_is_up_to_date():
    assert generate.problems(generate.JSON_FOLDER) == []


def test_what_is_missing_stale_or_orphaned_is_named_and_repaired(tmp_path):
    assert generate.problems(tmp_path) == ["Gatewayz/gatewayz-overview.json is missing"]
    generate.write(tmp_path)
    (tmp_path / "Gatewayz" / "gatewayz-overview.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    assert generate.problems(tmp_path) == [
        "Gatewayz/gatewayz-overview.json is out of date",
        "old.json is made by no definition",
    ]
    generate.write(tmp_path)
    assert generate.problems(tmp_path) == []


def test_the_command_takes_check_and_nothing_else():
    assert generate.main(["--check"]) is None
    assert generate.main(["--chek"]).startswith("usage")


def test_uids_are_unique_and_fit_in_a_url():
    uids = [dashboard.uid for dashboard in DASHBOARDS]
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 and uid.replace("-", "").isalnum() for uid in uids)


def test_the_form_is_the_one_that_file_provisioning_reads(document):
    assert document["schemaVersion"] >= 39
    assert document["editable"] is False
    assert "__inputs" not in document
    assert "id" not in document
    assert {"uid", "title", "panels", "templating", "time"} <= document.keys()


def test_each_panel_says_what_it_shows(document):
    for panel in document["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == PROMETHEUS
        assert [target["datasource"] for target in panel["targets"]] == [PROMETHEUS] * len(panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])


def test_threshold_steps_rise_from_a_base(document):
    for panel in document["panels"]:
        first, *others = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert first is None
        assert others == sorted(set(others))


def test_panels_lie_on_the_grid_beside_each_other(document):
    places = [panel["gridPos"] for panel in document["panels"]]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y


def test_every_variable_is_used_and_every_used_one_exists(document):
    names = {variable["name"] for variable in document["templating"]["list"]}
    text = json.dumps([panel["targets"] for panel in document["panels"]])
    assert names == {name for name in names if f"${name}" in text}
    assert all(f"${name}" not in text for name in {"provider", "model", "datasource"} - names)


def test_variables_ask_for_labels_that_exist(document):
    labels = {spec.name: spec.label_keys for spec in CATALOGUE}
    for variable in document["templating"]["list"]:
        family, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").split(", ")
        assert label in labels[family]
        assert variable["refresh"] in {1, 2}


def test_a_dashboard_is_not_refreshed_more_often_than_data_comes(document):
    assert document["refresh"].endswith("s")
    assert int(document["refresh"][:-1]) >= 15


def test_the_documented_dashboard_has_its_panels_variables_and_corrected_thresholds():
    panels = {panel.title: panel for panel in GATEWAY_OVERVIEW.panels}
    assert {title: panel.kind for title, panel in panels.items()} == {
        "Provider health": PanelKind.STAT,
        "Error rate": PanelKind.GAUGE,
        "Token usage over time": PanelKind.TIME_SERIES,
        "Cost analysis": PanelKind.PIE_CHART,
        "Provider availability": PanelKind.STAT,
    }
    assert [variable.query for variable in GATEWAY_OVERVIEW.variables] == [
        "label_values(gatewayz_provider_health_score, provider)",
        "label_values(model_inference_requests_total, model)",
    ]
    steps = {title: [(step.color, step.value) for step in panel.steps] for title, panel in panels.items()}
    assert steps["Provider health"] == [("red", None), ("yellow", 0.7), ("green", 0.85)]
    assert steps["Error rate"] == [("green", None), ("yellow", 1), ("red", 5)]
