"""Each alert says what it is, has a page, and cases that it fires in and cases that it does not."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules"
GUIDE_ALERTS = {
    "HighErrorRate": "5m",
    "ProviderHealthDegraded": "10m",
    "HighLatency": "5m",
    "CircuitBreakerOpen": "2m",
    "HighCostRate": "10m",
    "AnomalyDetected": None,
}
"""The six documented alerts, and for how long their condition must hold."""


def rules():
    return [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def cases():
    """Yield name of the alert, test group, and the case, of every promtool file."""
    for path in sorted((RULES / "tests").glob("*_test.yml")):
        for group in yaml.safe_load(path.read_text())["tests"]:
            for case in group["alert_rule_test"]:
                yield case["alertname"], group, case


ALERTS = sorted({rule["alert"] for rule in rules()})


def test_the_documented_alerts_are_there_with_their_patience():
    assert GUIDE_ALERTS.items() <= {rule["alert"]: rule.get("for") for rule in rules()}.items()


def test_prometheus_does_not_take_test_files_for_rules():
    files = (ROOT / "compose" / "prometheus").glob("prometheus*.yml")
    assert {tuple(yaml.safe_load(path.read_text())["rule_files"]) for path in files} == {("rules/*.yml",)}
    assert all(path.name.endswith("_test.yml") for path in (RULES / "tests").iterdir())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: "-".join([rule["alert"], *rule["labels"].values()]))
def test_an_alert_can_be_routed_and_understood(rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings(ROOT / page)


def headings(page):
    return re.findall(r"^## (\w+)$", page.read_text(), re.MULTILINE)


def test_the_page_tells_of_no_alert_that_does_not_exist():
    assert sorted(headings(ROOT / "docs" / "alerts.md")) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_cases_in_which_it_fires_and_ends_and_does_not_fire(alert):
    own = [(group["name"], bool(case["exp_alerts"])) for name, group, case in cases() if name == alert]
    outcomes = {group: [fires for name, fires in own if name == group] for group, _ in own}
    assert any(fired == [*fired[:-1], False] and True in fired for fired in outcomes.values()), "fires, then ends"
    assert any(True not in fired for fired in outcomes.values()), "does not fire"
    assert any(group["name"] == "no series" for name, group, _ in cases() if name == alert), "absent series"


@pytest.mark.parametrize("alert", sorted(GUIDE_ALERTS))
def test_an_alert_of_the_reference_has_a_near_miss_and_a_case_without_traffic(alert):
    names = {group["name"] for name, group, _ in cases() if name == alert}
    assert any("near miss" in name for name in names)
    assert any("traffic" in name for name in names)
