"""`make grafana-check` against a stand-in of Grafana's API: what works is said to work, and each failure is named."""

import re

import pytest

from dashboards.grafana.definitions import DASHBOARDS
from dashboards.grafana_check.__main__ import run
from tests.dashboards.grafana_stand_in import TOKEN, USER, GrafanaStandIn

NOW_SECONDS = 1_700_003_600.0


@pytest.fixture
def grafana():
    return GrafanaStandIn()


async def outcome(grafana, capsys, **environ):
    """Run the check; return its exit code, what it printed, and the lines of failures."""
    async with grafana.serving() as url:
        code = await run({"GRAFANA_URL": url, "GRAFANA_USER": USER, **environ}, NOW_SECONDS)
    text = "".join(capsys.readouterr())
    return code, text, re.findall(r"^ +FAIL (.+)$", text, re.MULTILINE)


async def test_a_grafana_in_which_everything_works(grafana, capsys):
    code, text, failures = await outcome(grafana, capsys)
    assert (code, failures) == (0, [])
    assert "ok    Grafana: 1 of 1" in text
    assert "ok    data sources: 4 of 4" in text
    assert f"ok    boards: {len(DASHBOARDS)} of {len(DASHBOARDS)}" in text
    for dashboard in DASHBOARDS:
        panels = len(dashboard.panels)
        assert f"ok    {dashboard.uid}: panels: {panels} of {panels}" in text
    assert "ok    gatewayz-overview: variables: 2 of 2" in text


async def test_each_query_of_each_panel_is_sent_with_its_variables_replaced(grafana, capsys):
    await outcome(grafana, capsys)
    assert len(grafana.asked) > sum(len(panel.queries) for dashboard in DASHBOARDS for panel in dashboard.panels)
    assert not [text for text in grafana.asked if re.search(r"\$\{|\$(provider|model|slo)\b", text)]
    assert any("$__rate_interval" in text for text in grafana.asked), "which Grafana's server replaces"
    assert 'traces_service_graph_request_total{client="gatewayz"}' in grafana.asked


async def test_an_empty_panel_is_named(grafana, capsys):
    grafana.empty = {"gatewayz_overhead_seconds_bucket"}
    code, text, failures = await outcome(grafana, capsys)
    assert code == 1
    assert "The gateway's own time: no data in the time range" in failures
    assert all("no data" in line for line in failures)
    assert "FAIL  gatewayz-latency: panels: " in text


async def test_a_list_of_what_is_broken_may_be_empty(grafana, capsys):
    grafana.empty = {"ALERTS_FOR_STATE", 'level="error"', "status = error"}
    code, text, failures = await outcome(grafana, capsys)
    assert (code, failures) == (0, [])
    quiet = "What is broken, and since when, Error logs, Failed requests"
    assert f"ok    gatewayz-on-call: panels: 6 of 9; 3 empty while all is well: {quiet}\n" in text


async def test_a_query_that_is_refused_is_named_with_the_reason(grafana, capsys):
    grafana.errors = {"loki_distributor_lines_received_total": "bad_data: parse error\nat char 7"}
    code, _, failures = await outcome(grafana, capsys)
    assert code == 1
    assert failures == ["Loki: lines: bad_data: parse error at char 7"]


async def test_a_link_whose_query_is_refused_is_named(grafana, capsys):
    grafana.errors = {"duration > 2s": "invalid TraceQL query"}
    code, _, failures = await outcome(grafana, capsys)
    assert code == 1
    assert failures
    assert all("link Traces: status 400: invalid TraceQL query" in line for line in failures)


async def test_an_unhealthy_data_source_is_named(grafana, capsys):
    grafana.health["loki"] = {"status": "ERROR", "message": "connection refused"}
    code, _, failures = await outcome(grafana, capsys)
    assert (code, failures) == (1, ["loki (loki): status 400: connection refused"])


@pytest.mark.parametrize("status", [404, 500, 501])
async def test_a_data_source_without_a_health_check_is_asked_through_the_proxy(grafana, capsys, status):
    grafana.no_health_check = {"tempo": status, "alertmanager": status}
    assert (await outcome(grafana, capsys))[::2] == (0, [])
    grafana.unreachable = {"alertmanager"}
    code, _, failures = await outcome(grafana, capsys)
    assert (code, failures) == (1, ["alertmanager (alertmanager): status 502: bad gateway"])


async def test_a_data_source_that_is_missing_is_named(grafana, capsys):
    grafana.data_sources = [each for each in grafana.data_sources if each["type"] != "tempo"]
    code, _, failures = await outcome(grafana, capsys)
    assert code == 1
    assert failures[0] == "tempo: there is none; mount provisioning/datasources"


async def test_data_sources_of_other_uids_are_found_by_their_type(grafana, capsys):
    for each in grafana.data_sources:
        each["uid"] = f"x-{each['uid']}"
    grafana.health["x-other"] = {"status": "ERROR", "message": "not this one"}
    code, text, failures = await outcome(grafana, capsys)
    assert (code, failures) == (0, []), text


async def test_a_missing_board_is_named_and_the_others_are_checked(grafana, capsys):
    del grafana.boards["gatewayz-cost"]
    code, text, failures = await outcome(grafana, capsys)
    assert code == 1
    assert failures == ["gatewayz-cost: status 404: Dashboard not found; mount provisioning/ and the JSON folder"]
    assert "ok    gatewayz-latency: panels" in text
    assert "gatewayz-cost: panels" not in text


async def test_a_board_of_another_version_is_named(grafana, capsys):
    board = grafana.boards["gatewayz-cost"]
    grafana.boards["gatewayz-cost"] = board | {"panels": board["panels"][1:]}
    code, _, failures = await outcome(grafana, capsys)
    assert (code, failures) == (1, ["gatewayz-cost: not as committed; panels missing: USD per hour"])


async def test_a_variable_without_values_is_named(grafana, capsys):
    grafana.values = []
    code, _, failures = await outcome(grafana, capsys)
    assert code == 1
    assert "provider: no value of provider in gatewayz_provider_health_score" in failures


async def test_an_old_grafana_is_named(grafana, capsys):
    grafana.version = "10.4.2"
    code, _, failures = await outcome(grafana, capsys)
    assert code == 1
    assert failures == ["version 10.4.2: database ok; the boards are made for Grafana 12 and 13"]


@pytest.mark.parametrize(
    ("environ", "expected"), [({"GRAFANA_USER": "", "GRAFANA_TOKEN": TOKEN}, 0), ({"GRAFANA_USER": ""}, 1)]
)
async def test_who_asks(grafana, capsys, environ, expected):
    code, text, _ = await outcome(grafana, capsys, **environ)
    assert code == expected
    assert ("set GRAFANA_TOKEN" in text) is (expected == 1)


async def test_anonymous_visitors_who_may_do_it_need_no_credentials(grafana, capsys):
    grafana.is_anonymous_enough = True
    code, _, _ = await outcome(grafana, capsys, GRAFANA_USER="")
    assert code == 0


async def test_a_grafana_that_does_not_answer_is_one_line(capsys):
    assert await run({"GRAFANA_URL": "http://127.0.0.1:9"}, NOW_SECONDS) == 1
    assert re.fullmatch(
        r"grafana-check: http://127.0.0.1:9 does not answer .+: is it running\?\n", capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"GRAFANA_URL": ""},
        {"GRAFANA_URL": "127.0.0.1:3000"},
        {"GRAFANA_MINUTES": "an hour"},
        {"GRAFANA_MINUTES": "0"},
        {"GRAFANA_MINUTES": "nan"},
        {"GRAFANA_USER": "admin"},
    ],
)
async def test_a_wrong_setting_is_answered_by_how_to_call_it(capsys, wrong):
    assert await run({"GRAFANA_URL": "http://127.0.0.1:9", **wrong}, NOW_SECONDS) == 2
    assert capsys.readouterr().err.startswith("usage: GRAFANA_URL=")
