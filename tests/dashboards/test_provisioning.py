"""What Grafana reads at its start: data sources with the documented names, links that lead somewhere, and escapes that survive."""

import json
import re
from pathlib import Path

import pytest
import yaml

from dashboards.generate import JSON_FOLDER
from dashboards.grafana.expansion import default_values

GRAFANA = Path(__file__).parents[2] / "dashboards" / "grafana"
FILES = sorted((GRAFANA / "provisioning").rglob("*.yml"))
DATA_SOURCES = GRAFANA / "provisioning" / "datasources" / "datasources.yml"


def defaults():
    lines = (GRAFANA / "grafana.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def as_grafana_reads(value, environ):
    """Replace as Grafana does: split at `$$`, put in the environment between, join by `$`; an unknown name becomes nothing."""
    if isinstance(value, dict):
        return {key: as_grafana_reads(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [as_grafana_reads(each, environ) for each in value]
    if not isinstance(value, str):
        return value
    parts = [
        re.sub(r"\$(?:\{([^}]*)\}|(\w+))", lambda found: environ.get(found[1] or found[2], ""), part)
        for part in value.split("$$")
    ]
    return "$".join(parts)


@pytest.fixture(scope="module")
def sources():
    document = as_grafana_reads(yaml.safe_load(DATA_SOURCES.read_text()), defaults())
    return {source["name"]: source for source in document["datasources"]}


def test_the_documented_data_sources_are_there_by_name(sources):
    assert {name: source["type"] for name, source in sources.items()} == {
        "Prometheus": "prometheus",
        "Loki": "loki",
        "Tempo": "tempo",
        "Alertmanager": "alertmanager",
    }
    assert [source["name"] for source in sources.values() if source.get("isDefault")] == ["Prometheus"]


def test_addresses_come_from_the_environment_and_have_the_documented_defaults(sources):
    assert sources["Prometheus"]["url"] == "http://prometheus:9090"
    assert sources["Loki"]["url"] == "http://loki:3100"
    assert sources["Tempo"]["url"] == "http://tempo:3200"
    elsewhere = as_grafana_reads(yaml.safe_load(DATA_SOURCES.read_text()), {"LOKI_URL": "http://127.0.0.1:1"})
    assert elsewhere["datasources"][1]["url"] == "http://127.0.0.1:1"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_of_a_file_has_a_default_and_none_is_written_as_a_shell_would(path):
    names = set(re.findall(r"(?<!\$)\$\{?([^}\s$]+)", re.sub(r"#.*", "", path.read_text()).replace("$$", "  ")))
    assert names == names & defaults().keys()


def test_no_default_is_left_over():
    text = "".join(path.read_text() for path in FILES)
    assert [name for name in defaults() if f"${{{name}}}" not in text] == []


def test_every_link_leads_to_a_data_source_that_exists(sources):
    uids = {source["uid"] for source in sources.values()}
    linked = re.findall(r"['\"]?datasourceUid['\"]?: (\w+)", DATA_SOURCES.read_text())
    assert len(linked) == 5
    assert set(linked) <= uids


def test_the_data_source_variables_of_the_boards_name_provisioned_sources(sources):
    types = {source["uid"]: source["type"] for source in sources.values()}
    for path in JSON_FOLDER.rglob("*.json"):
        document = json.loads(path.read_text())
        for variable in document["templating"]["list"]:
            if variable["type"] == "datasource":
                assert sources[variable["current"]["text"]]["type"] == variable["query"]
        assert {variable: types[uid] for variable, uid in default_values(document).items() if uid in types} == {
            "prometheus_datasource": "prometheus",
            "loki_datasource": "loki",
            "tempo_datasource": "tempo",
        }


def test_an_exemplar_and_a_log_line_lead_to_their_trace(sources):
    assert sources["Prometheus"]["jsonData"]["exemplarTraceIdDestinations"] == [
        {"name": "trace_id", "datasourceUid": "tempo", "urlDisplayLabel": "Open trace"}
    ]
    (field,) = sources["Loki"]["jsonData"]["derivedFields"]
    # Structured metadata matches by name, not by a pattern in the line.
    assert (field["matcherType"], field["matcherRegex"]) == ("label", "trace_id")
    assert (field["datasourceUid"], field["url"]) == ("tempo", "${__value.raw}")


def test_a_trace_leads_to_its_logs_its_metrics_and_the_service_map(sources):
    tempo = sources["Tempo"]["jsonData"]
    logs = tempo["tracesToLogsV2"]
    assert (logs["datasourceUid"], logs["customQuery"]) == ("loki", True)
    assert logs["query"] == '{job="gatewayz"} | trace_id="${__trace.traceId}"'
    assert logs["tags"], "without a tag there is no link"
    assert tempo["tracesToMetrics"]["datasourceUid"] == "prometheus"
    assert all("{$__tags}" in link["query"] for link in tempo["tracesToMetrics"]["queries"])
    assert tempo["serviceMap"] == {"datasourceUid": "prometheus"}


def test_logs_are_looked_for_around_the_span_and_not_only_in_it(sources):
    logs = sources["Tempo"]["jsonData"]["tracesToLogsV2"]
    assert logs["spanStartTimeShift"].startswith("-")
    assert logs["spanEndTimeShift"] == "5m"


def test_the_dashboards_folder_is_the_generated_one():
    (path,) = (GRAFANA / "provisioning" / "dashboards").iterdir()
    (provider,) = as_grafana_reads(yaml.safe_load(path.read_text()), {"GRAFANA_DASHBOARDS": str(JSON_FOLDER)})[
        "providers"
    ]
    assert provider["options"] == {"path": str(JSON_FOLDER), "foldersFromFilesStructure": True}
    assert {found.parent.name for found in JSON_FOLDER.rglob("*.json")} == {"Gatewayz"}
    # Grafana refuses a folder name together with the folders of the file system.
    assert "folder" not in provider
