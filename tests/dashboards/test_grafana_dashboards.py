"""The generated boards are up to date, and are what Grafana's Classic JSON has to be."""

import json
import re

import pytest

from dashboards import generate
from dashboards.alerting.settings import read_settings
from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.definitions.overview import OVERVIEW
from dashboards.grafana.model import PanelKind, Source
from dashboards.grafana.render import render
from otel.catalogue import CATALOGUE
from tests.checks.promql import families_in
from tests.checks.queries import panel_queries

DATA_SOURCES = {name: {"type": name, "uid": f"${{{name}_datasource}}"} for name in ("prometheus", "loki", "tempo")}
WITHOUT_BOUNDS = {PanelKind.TABLE, PanelKind.LOGS, PanelKind.NODE_GRAPH}
FIXED_WINDOWS = {
    "Burn rate": "its windows are those of the alerts",
    "Token usage over time": "the documented query",
}
ON_NO_BOARD = {
    "fastapi_responses_total": "the same counts as fastapi_requests_total",
    "gatewayz_job_lag_seconds": "a late job shows in the time since its last success",
    "gatewayz_telemetry_queued_items": "the same queues as gatewayz_telemetry_queued_bytes",
}
NAMES = {
    "gatewayz-overview": "Gateway overview",
    "gatewayz-on-call": "On call",
    "gatewayz-providers": "Providers",
    "gatewayz-models": "Models",
    "gatewayz-cost": "Cost",
    "gatewayz-latency": "Latency",
    "gatewayz-logs-traces": "Logs and traces",
    "gatewayz-pipeline": "Pipeline",
}


@pytest.fixture(params=DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def dashboard(request):
    return request.param


@pytest.fixture
def document(dashboard):
    return json.loads(render(dashboard))


def test_the_committed_json_is_up_to_date():
    assert generate.problems(generate.JSON_FOLDER) == []


def test_what_is_missing_stale_or_orphaned_is_named_and_repaired(tmp_path):
    assert generate.problems(tmp_path) == [f"Gatewayz/{dashboard.uid}.json is missing" for dashboard in DASHBOARDS]
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


def test_there_are_eight_boards_whose_uids_fit_in_a_url():
    assert {dashboard.uid: dashboard.title for dashboard in DASHBOARDS} == NAMES
    assert all(len(uid) <= 40 and uid.replace("-", "").isalnum() for uid in NAMES)


def test_the_form_is_the_one_that_provisioning_and_import_read(document):
    assert document["schemaVersion"] >= 39
    assert document["editable"] is False
    assert "id" not in document
    assert {"uid", "title", "panels", "templating", "time"} <= document.keys()


def test_each_data_source_is_a_variable_that_an_import_asks_for(document):
    inputs = {each["pluginId"]: each for each in document["__inputs"]}
    variables = {each["query"]: each for each in document["templating"]["list"] if each["type"] == "datasource"}
    assert inputs.keys() == variables.keys() == DATA_SOURCES.keys()
    for name, variable in variables.items():
        assert inputs[name]["type"] == "datasource"
        # An import replaces the value; provisioning does not, and Grafana then looks for the text.
        assert variable["current"]["value"] == f"${{{inputs[name]['name']}}}"
        assert variable["current"]["text"] == inputs[name]["pluginName"]
        assert DATA_SOURCES[name]["uid"] == f"${{{variable['name']}}}"
    without_choice = json.dumps([document["panels"], document["annotations"], document["links"]])
    assert set(re.findall(r'"uid": "([^"]*)"', without_choice)) <= {each["uid"] for each in DATA_SOURCES.values()}


def test_a_data_source_that_panels_read_can_be_chosen(document):
    read = {panel["datasource"]["type"] for panel in document["panels"]}
    for variable in document["templating"]["list"]:
        if variable["type"] == "datasource":
            assert (variable["hide"] == 0) is (variable["query"] in read)


def test_each_panel_says_what_it_shows(document):
    for panel in document["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["noValue"]
        assert panel["datasource"] in DATA_SOURCES.values()
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    assert len({panel["title"] for panel in document["panels"]}) == len(document["panels"])


def test_each_panel_of_values_has_bounds_and_each_series_a_legend(dashboard):
    for panel in dashboard.panels:
        if panel.kind in WITHOUT_BOUNDS:
            continue
        # What is left of an error budget may be below 0.
        assert panel.minimum == 0 or panel.title == "Error budget left"
        if panel.unit in {"percent", "percentunit"}:
            assert panel.maximum == (100 if panel.unit == "percent" else 1), panel.title
        assert all(query.legend for query in panel.queries), panel.title
        assert "{{" in panel.queries[0].legend or not panel.by, panel.title


def test_columns_of_a_table_are_labels_of_its_query_or_its_value(dashboard):
    for panel in (each for each in dashboard.panels if each.columns):
        values = {"Value"} if len(panel.queries) == 1 else {f"Value #{'AB'[n]}" for n in range(len(panel.queries))}
        for column in panel.columns:
            assert column.field in values or all(column.field in query.expr for query in panel.queries), panel.title


def test_a_series_of_a_panel_leads_to_the_board_of_its_provider_or_model(dashboard, document):
    for panel, drawn in zip(dashboard.panels, document["panels"], strict=True):
        links = drawn["fieldConfig"]["defaults"]["links"]
        if panel.by:
            (link,) = links
            assert link["url"].startswith(f"/d/gatewayz-{panel.by}s?${{__url_time_range}}&")
            assert link["url"].endswith(f"var-{panel.by}=${{__field.labels.{panel.by}}}")
            assert all(
                re.search(rf"by \([^)]*\b{panel.by}\b", query.expr) or "quantile" in query.expr
                for query in panel.queries
            )
        else:
            assert links == []


def test_lines_are_drawn_of_windows_that_grow_with_the_time_range(dashboard):
    # Of a fixed window most would be left out where the points of a long range are further apart.
    for panel in dashboard.panels:
        if panel.kind not in {PanelKind.TIME_SERIES, PanelKind.HEATMAP} or panel.title in FIXED_WINDOWS:
            continue
        windows = {window for query in panel.queries for window in re.findall(r"\[([^]]+)\]", query.expr)}
        own = "$__auto" if panel.queries[0].source is Source.LOKI else "$__rate_interval"
        assert windows <= {own}, panel.title


def test_threshold_steps_rise_from_a_base(document):
    for panel in document["panels"]:
        first, *others = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert first is None
        assert others == sorted(set(others))


def test_every_used_variable_exists(document):
    names = {variable["name"] for variable in document["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps([document["panels"], document["annotations"]])))
    assert used <= names


def test_a_choice_of_providers_or_models_has_an_effect(dashboard):
    expressions = " ".join(query.expr for panel in dashboard.panels for query in panel.queries)
    for variable in (*dashboard.variables, *dashboard.choices):
        assert re.search(rf"\$\{{?{variable.name}\b", expressions), variable.name


def test_variables_ask_for_labels_that_exist_and_follow_the_time_range(dashboard, document):
    labels = {spec.name: spec.label_keys for spec in CATALOGUE}
    for variable in dashboard.variables:
        assert variable.label_key in labels[variable.family]
    for variable in document["templating"]["list"]:
        assert variable["type"] != "query" or variable["refresh"] == 2


def test_alerts_anomalies_and_deployments_are_marked(document):
    marks = {each["name"]: each for each in document["annotations"]["list"]}
    assert marks.keys() == {"Alerts", "Anomalies", "Deployments"}
    assert "ALERTS" in marks["Alerts"]["expr"]
    assert "gatewayz_detected_anomalies" in marks["Anomalies"]["expr"]
    # The value is the time at which a gateway started, in milliseconds.
    assert marks["Deployments"]["useValueForTime"] is True
    assert marks["Deployments"]["expr"].startswith("1000 * ")
    assert "process_start_time_seconds" in marks["Deployments"]["expr"]


def test_every_family_of_the_catalogue_is_on_a_board_or_has_a_reason_why_not():
    shown = set().union(*(families_in(query) for _, query in panel_queries()))
    assert {spec.name for spec in CATALOGUE} - shown == ON_NO_BOARD.keys()


def test_a_board_leads_to_the_others_with_time_and_values(document):
    (link,) = document["links"]
    assert (link["type"], link["tags"]) == ("dashboards", document["tags"])
    assert link["includeVars"] is link["keepTime"] is True


def test_a_dashboard_is_not_refreshed_more_often_than_data_comes(document):
    assert document["refresh"].endswith("s")
    assert int(document["refresh"][:-1]) >= 15


def test_the_objectives_of_the_overview_are_those_of_the_alerts():
    settings = read_settings()
    assert float(OVERVIEW.choices[0].values[0]) == pytest.approx(100 * settings.availability.objective)
    (first_token,) = (panel for panel in OVERVIEW.panels if panel.title.startswith("First token"))
    assert first_token.title == f"First token within {settings.first_token.within_seconds:g} s"
    assert f'le=~"{settings.first_token.within_seconds:g}|' in first_token.queries[0].expr
    assert first_token.steps[1].value == pytest.approx(100 * settings.first_token.objective)


def test_the_documented_dashboard_has_its_panels_variables_and_corrected_thresholds():
    panels = {panel.title: panel for panel in OVERVIEW.panels}
    documented = {
        "Provider health": PanelKind.STAT,
        "Error rate": PanelKind.GAUGE,
        "Token usage over time": PanelKind.TIME_SERIES,
        "Cost analysis": PanelKind.PIE_CHART,
        "Provider availability": PanelKind.STAT,
    }
    assert {title: panels[title].kind for title in documented} == documented
    assert [variable.query for variable in OVERVIEW.variables] == [
        "label_values(gatewayz_provider_health_score, provider)",
        "label_values(model_inference_requests_total, model)",
    ]
    steps = {title: [(step.color, step.value) for step in panels[title].steps] for title in documented}
    assert steps["Provider health"] == [("red", None), ("yellow", 0.7), ("green", 0.85)]
    assert steps["Error rate"] == [("green", None), ("yellow", 1), ("red", 5)]
