"""Each alert can be routed and understood, has a runbook, and cases that it fires in and cases that it does not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dashboards.alerting import __main__ as alerting
from dashboards.alerting.settings import PATH, SettingsError, read_settings, write_runbook_base_url
from tests.dashboards import rule_mutations

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules"
RUNBOOKS = ROOT / "docs" / "runbooks"
BASE_URL = read_settings().runbook_base_url
DOCUMENTED_ALERTS = {
    "HighErrorRate": "5m",
    "ProviderHealthDegraded": "10m",
    "HighLatency": "5m",
    "CircuitBreakerOpen": "2m",
    "HighCostRate": "10m",
    "AnomalyDetected": None,
}
"""The six documented alerts, and for how long their condition must hold."""


def rules(folder=RULES):
    return [
        rule
        for path in sorted(folder.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alert_rules():
    return [rule for rule in rules() if "alert" in rule]


def cases():
    """Yield name of the alert, test group, and the case, of every promtool file."""
    for path in sorted((RULES / "tests").glob("*_test.yml")):
        for group in yaml.safe_load(path.read_text())["tests"]:
            for case in group.get("alert_rule_test", ()):
                yield case["alertname"], group, case


ALERTS = sorted({rule["alert"] for rule in alert_rules()})
CASES = list(cases())


def test_the_documented_alerts_are_there_with_their_patience():
    assert DOCUMENTED_ALERTS.items() <= {rule["alert"]: rule.get("for") for rule in alert_rules()}.items()


def test_prometheus_does_not_take_test_files_for_rules():
    files = (ROOT / "compose" / "prometheus").glob("prometheus*.yml")
    assert {tuple(yaml.safe_load(path.read_text())["rule_files"]) for path in files} == {("rules/*.yml",)}
    assert all(path.name.endswith("_test.yml") for path in (RULES / "tests").iterdir())


@pytest.mark.parametrize("rule", alert_rules(), ids=lambda rule: "-".join([rule["alert"], *rule["labels"].values()]))
def test_an_alert_can_be_routed_and_understood(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["labels"]["team"] in {"gateway", "platform", "billing"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{BASE_URL}{rule['alert']}.md"


def test_recorded_series_are_named_by_level_metric_and_operation():
    names = {rule["record"] for rule in rules() if "record" in rule}
    assert names
    assert [name for name in names if not re.fullmatch(r"[a-z_]+:[a-z0-9_]+:[a-z0-9_]+", name)] == []


def test_alerts_and_runbooks_are_one_to_one():
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == ALERTS


def test_an_alert_without_a_runbook_is_found(tmp_path):
    shutil.copytree(RUNBOOKS, tmp_path / "runbooks")
    (tmp_path / "runbooks" / "TargetDown.md").unlink()
    lines = alerting.runbook_problems(RULES, tmp_path / "runbooks")
    assert lines == ["docs/runbooks/TargetDown.md is missing"]
    (tmp_path / "runbooks" / "TargetDown.md").write_text("# TargetDown\n")
    (tmp_path / "runbooks" / "Forgotten.md").write_text("# Forgotten\n")
    assert alerting.runbook_problems(RULES, tmp_path / "runbooks") == ["docs/runbooks/Forgotten.md is about no alert"]


def test_the_page_of_alerts_names_each_with_its_severity_and_team():
    page = (ROOT / "docs" / "alerts.md").read_text()
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| ([\w, ]+) \| (\w+) \|", page, re.MULTILINE)
    severities = {alert: [] for alert in ALERTS}
    for rule in alert_rules():
        if rule["labels"]["severity"] not in severities[rule["alert"]]:
            severities[rule["alert"]].append(rule["labels"]["severity"])
    teams = {rule["alert"]: rule["labels"]["team"] for rule in alert_rules()}
    assert sorted(rows) == [(alert, alert, ", ".join(severities[alert]), teams[alert]) for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_cases_in_which_it_fires_and_ends_and_does_not_fire(alert):
    own = [(group["name"], bool(case["exp_alerts"])) for name, group, case in CASES if name == alert]
    outcomes = {group: [fires for name, fires in own if name == group] for group, _ in own}
    assert any(fired == [*fired[:-1], False] and True in fired for fired in outcomes.values()), "fires, then ends"
    assert any("near miss" in name and True not in fired for name, fired in outcomes.items()), "does not fire"
    assert any("traffic" in name and True not in fired for name, fired in outcomes.items()), "without traffic"
    assert "no series" in outcomes, "absent series"


def test_a_rule_file_edited_by_hand_is_found(tmp_path):
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    assert alerting.problems(folder) == []
    for name, right, wrong in (("slo.yml", "> 14.4", "> 15"), ("gateway.yml", BASE_URL, "https://elsewhere.example/")):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(right, wrong))
        assert alerting.problems(folder) == [
            f"{name} is out of date or was edited by hand; run `python -m dashboards.alerting`"
        ]
        (folder / name).write_text(text)


@pytest.mark.parametrize("how", ["option", "environment", "file"])
def test_one_command_writes_another_address_of_the_runbooks_wherever_it_is(tmp_path, how):
    shutil.copytree(ROOT / "dashboards", tmp_path / "dashboards")
    (tmp_path / "otel").symlink_to(ROOT / "otel")
    url = "https://wiki.example/on-call/"
    arguments, environment = [sys.executable, "-m", "dashboards.alerting"], {**os.environ, "PYTHONPATH": str(tmp_path)}
    if how == "option":
        arguments += ["--runbooks", url]
    elif how == "environment":
        environment["RUNBOOK_BASE_URL"] = url
    else:
        settings = tmp_path / "dashboards" / "rules" / "settings.toml"
        settings.write_text(settings.read_text().replace(BASE_URL, url))
    subprocess.run(arguments, cwd=tmp_path, env=environment, check=True)
    assert files_with(tmp_path / "dashboards", BASE_URL) == set()
    assert files_with(tmp_path / "dashboards", url) == files_with(ROOT / "dashboards", BASE_URL)


def files_with(folder, text):
    """Return the paths below a folder of what is generated or set and has a text."""
    kinds = {".yml", ".json", ".toml"}
    files = [path for path in folder.rglob("*") if path.suffix in kinds and text in path.read_text()]
    return {path.relative_to(folder) for path in files}


@pytest.mark.parametrize(
    "url", ["docs/runbooks/", "https://wiki.example/on-call", 'https://wiki.example/"/', "https://a b/"]
)
def test_an_address_that_is_none_is_refused_and_nothing_is_written(tmp_path, url):
    folder = tmp_path / "rules"
    shutil.copytree(RULES, folder)
    with pytest.raises(SettingsError):
        alerting.write(folder, folder / "settings.toml", url)
    assert alerting.problems(folder, folder / "settings.toml") == []


def test_another_address_of_the_runbooks_is_written_into_rules_and_cases(tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(PATH.read_text().replace(BASE_URL, "https://wiki.example/on-call/"))
    texts = alerting.wanted(RULES, settings)
    urls = [url for text in texts.values() for url in re.findall(r"runbook_url: (\S+)", text)]
    assert {url.rpartition("/")[0] for url in urls} == {"https://wiki.example/on-call"}
    assert {url.rpartition("/")[2] for url in urls} == {f"{alert}.md" for alert in ALERTS}


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("objective = 0.995", "objective = 1.0", "availability.objective"),
        ("within_seconds = 2.0", "within_seconds = 2.1", "first_token.within_seconds must be one of"),
        (BASE_URL, "docs/runbooks/", "runbook_base_url must be an http or https address"),
        ("usd_per_30_days = 10000.0", "usd = 1.0", "unknown field `usd`"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, right, wrong, says):
    settings = tmp_path / "settings.toml"
    settings.write_text(PATH.read_text().replace(right, wrong))
    with pytest.raises(SettingsError, match=says):
        read_settings(settings)


def test_settings_that_begin_with_a_byte_order_mark_are_read_and_rewritten(tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text(PATH.read_text(), encoding="utf-8-sig")
    assert read_settings(settings) == read_settings()
    write_runbook_base_url("https://wiki.example/on-call/", settings)
    assert read_settings(settings).runbook_base_url == "https://wiki.example/on-call/"


def test_a_rule_is_altered_in_each_number_window_comparison_and_duration():
    rule = {"alert": "A", "expr": 'sum(rate(x{a="> 1[5m]"}[5m])) > 0.1 and y offset 2m == 1', "for": "4m"}
    found = {(what, before, after) for what, before, after, _ in rule_mutations.alterations(rule)}
    assert found == {
        ("window", "5m", "600s"),
        ("window", "5m", "150s"),
        ("window", "2m", "240s"),
        ("window", "2m", "60s"),
        ("comparison", "> 0.1", "< 0.1"),
        ("comparison", "> 0.1", ">= 0.1"),
        ("threshold", "> 0.1", "> 0.125"),
        ("threshold", "> 0.1", "> 0.08"),
        ("comparison", "== 1", "!= 1"),
        ("threshold", "== 1", "== 0"),
        ("for", "4m", "480s"),
        ("for", "4m", "120s"),
    }
    altered = {rule["expr"] for _, _, _, rule in rule_mutations.alterations(rule)}
    assert 'sum(rate(x{a="> 1[5m]"}[600s])) > 0.1 and y offset 2m == 1' in altered


def test_every_rule_is_altered():
    altered = {mutant.rule for mutant in rule_mutations.mutants()}
    unaltered = {rule.get("alert") or rule["record"] for rule in rules()} - altered
    # A quotient of recorded series has neither a window nor a number of its own to get wrong.
    assert unaltered == {"slo:budget_burn:rate5m"}
