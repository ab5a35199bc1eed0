"""Links of panels open logs and traces with the chosen values and the time range; what they open is read as Grafana reads it."""

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards.alerting.settings import read_settings
from dashboards.grafana.board_queries import QueryKind, link_queries, panel_queries, variable_queries
from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana.definitions.on_call import ON_CALL
from dashboards.grafana.expansion import default_values, expand, time_values
from dashboards.grafana.links import BOARD_OF, explore_url
from dashboards.grafana.model import Source
from dashboards.grafana.render import render
from otel.logs.request_line import RequestLine

ROOT = Path(__file__).parents[2]
TIMES = time_values(1_700_000_000_000, 1_700_003_600_000)
FIELDS = {*RequestLine.__struct_fields__, "timestamp", "level", "logger", "message", "__error__"}


@pytest.fixture(params=DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def document(request):
    return json.loads(render(request.param))


def test_each_panel_leads_to_logs_and_to_traces(document):
    queries = list(link_queries(document, default_values(document) | TIMES))
    assert [query.kind for query in queries] == [QueryKind.LOGQL, QueryKind.TRACEQL] * len(document["panels"])
    for query in queries:
        assert "$" not in query.text, "every name has a value"
        assert query.target["datasource"]["uid"] in {"loki", "tempo"}
        assert query.text.startswith('{job="gatewayz"}' if query.kind is QueryKind.LOGQL else "{ resource.service.name")


def test_links_carry_the_time_range(document):
    for panel in document["panels"]:
        for link in panel["links"]:
            panes = parse_qs(urlsplit(expand(link["url"], TIMES)).query)["panes"][0]
            (pane,) = json.loads(panes).values()
            assert pane["range"] == {"from": "1700000000000", "to": "1700003600000"}


def test_links_of_boards_with_a_choice_of_provider_carry_it(document):
    values = default_values(document) | {"provider": "one|two", "model": "a/model-4.1"}
    texts = [query.text for query in link_queries(document, values | TIMES)]
    if document["uid"] in {"gatewayz-providers", "gatewayz-models"}:
        assert all("one|two" in text or 'level="error"' in text for text in texts)
        assert any("a/model-4.1" in text for text in texts)


def test_a_url_keeps_what_grafana_replaces_and_encodes_the_rest():
    url = explore_url(Source.LOKI, {"expr": '{a="b"} | json | provider=~"${provider:pipe}"', "queryType": "range"})
    assert set(re.findall(r"\$\{[^}]*\}", url)) == {"${loki_datasource}", "${provider:pipe}", "${__from}", "${__to}"}
    assert re.search(r'[\s"<>\\^`]', url) is None
    assert url.startswith("/explore?")


def test_an_alert_leads_to_its_runbook():
    document = json.loads(render(ON_CALL))
    overrides = document["panels"][0]["fieldConfig"]["overrides"]
    (link,) = next(each["value"] for each in overrides[0]["properties"] if each["id"] == "links")
    assert overrides[0]["matcher"]["options"] == "Alert"
    page = expand(link["url"], {"__data.fields.Alert": "GatewayDown"})
    assert page == f"{read_settings().runbook_base_url}GatewayDown.md"
    assert (ROOT / "docs" / "runbooks" / "GatewayDown.md").exists()


def test_an_imported_board_reads_the_data_sources_that_were_chosen(document):
    text = json.dumps(document)
    for each in document["__inputs"]:
        text = text.replace(f"${{{each['name']}}}", f"chosen-{each['pluginId']}")
    imported = json.loads(text)
    assert "${DS_" not in text
    sources = [each for each in imported["templating"]["list"] if each["type"] == "datasource"]
    values = default_values(imported) | {each["name"]: each["current"]["value"] for each in sources} | TIMES
    uids = {
        query.target["datasource"]["uid"]
        for query in (*panel_queries(imported, values), *link_queries(imported, values))
    }
    assert uids <= {"chosen-prometheus", "chosen-loki", "chosen-tempo"}


def test_the_boards_that_series_lead_to_exist():
    boards = {dashboard.uid: {variable.name for variable in dashboard.variables} for dashboard in DASHBOARDS}
    assert all(label in boards[uid] for label, uid in BOARD_OF.items())


def test_fields_that_log_queries_name_are_fields_of_lines(document):
    values = default_values(document) | TIMES | {"__range": "1h"}
    for query in (*panel_queries(document, values), *link_queries(document, values)):
        if query.kind is QueryKind.LOGQL:
            named = set(re.findall(r"\| (\w+)(?:=|>|<|!)", query.text)) | set(re.findall(r"unwrap (\w+)", query.text))
            assert named <= FIELDS, query.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $name b", "a x b"),
        ("${name}", "x"),
        ("${name:pipe}|${other:regex}", "x|${other:regex}"),
        ("$__range $names", "$__range $names"),
        ("${__field.labels.name}", "of a series"),
    ],
)
def test_variables_are_replaced_and_other_names_stay(text, expected):
    assert expand(text, {"name": "x", "__field.labels.name": "of a series"}) == expected


def test_a_variable_with_another_query_is_refused():
    variable = {"name": "a", "type": "query", "query": {"query": "metrics(.*)"}}
    with pytest.raises(ValueError, match="no label_values"):
        list(variable_queries({"templating": {"list": [variable]}}))
