"""Alertmanager's files name alerts, teams and severities that exist, keep secrets out of the tree, and differ in receivers alone."""

import re
from pathlib import Path

import pytest
import yaml

from otel.catalogue.semconv import DELIVERY_DROP_REASONS, HELD_LIMIT

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "compose" / "alertmanager"
MAIN = "alertmanager.yml"
EXAMPLES = {
    "slack": "slack_configs",
    "pagerduty": "pagerduty_configs",
    "email": "email_configs",
    "msteams": "msteamsv2_configs",
}
SECRET = re.compile(r"url|key|password|token|secret")
NO_SECRET = {"template_url", "title_link"}


def read(name):
    return yaml.safe_load((FOLDER / name).read_text())


def alert_rules():
    for path in sorted((ROOT / "dashboards" / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from (rule for rule in group["rules"] if "alert" in rule)


def matchers(document):
    """Yield label and the values that each matcher of the file takes."""
    inhibited = [rule[side] for rule in document["inhibit_rules"] for side in ("source_matchers", "target_matchers")]
    routes = document["route"]["routes"]
    routed = [route["matchers"] for route in [*routes, *(each for route in routes for each in route["routes"])]]
    for matcher in (each for group in [*inhibited, *routed] for each in group):
        label, _, value = re.fullmatch(r'(\w+)(=~|=)"(.+)"', matcher).groups()
        yield label, value.split("|")


def exporters():
    """Yield the name of each exporter of the Collector."""
    for path in sorted((ROOT / "collector-config").glob("*.yaml")):
        yield from yaml.safe_load(path.read_text()).get("exporters") or ()


def scalars(value, key=""):
    if isinstance(value, dict):
        for name, each in value.items():
            yield from scalars(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from scalars(each, key)
    else:
        yield key, value


def test_every_kind_of_receiver_has_its_example():
    assert {path.name for path in FOLDER.glob("*.yml")} == {MAIN, *(f"alertmanager.{kind}.yml" for kind in EXAMPLES)}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_differs_from_the_main_file_in_receivers_alone(kind):
    main, example = read(MAIN), read(f"alertmanager.{kind}.yml")
    assert [each["name"] for each in example["receivers"]] == [each["name"] for each in main["receivers"]]
    assert any(EXAMPLES[kind] in each for each in example["receivers"])
    for document in (main, example):
        del document["receivers"]
    assert example.pop("global", None) is None or kind == "email"
    assert example == main


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_secrets_are_in_files_that_are_not_committed(path):
    found = [
        key
        for key, value in scalars(yaml.safe_load(path.read_text()))
        if SECRET.search(key) and key not in NO_SECRET and value
    ]
    assert [key for key in found if not key.endswith("_file")] == []
    assert (FOLDER / "secrets" / ".gitignore").read_text().splitlines()[1:] == ["*", "!.gitignore"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.name)
def test_every_receiver_hears_of_the_end_too(path):
    for receiver in yaml.safe_load(path.read_text())["receivers"]:
        (configs,) = [value for key, value in receiver.items() if key != "name"]
        assert all(config["send_resolved"] for config in configs)


def test_matchers_name_alerts_teams_and_severities_that_rules_have():
    rules = list(alert_rules())
    known = {label: {rule["labels"][label] for rule in rules} for label in ("severity", "team")}
    known["alertname"] = {rule["alert"] for rule in rules}
    known["job"] = {path.stem for path in (ROOT / "compose" / "prometheus" / "targets").iterdir()}
    known["reason"] = {*DELIVERY_DROP_REASONS, HELD_LIMIT}
    for label, values in matchers(read(MAIN)):
        if label == "exporter":
            assert any(re.fullmatch(value, name) for value in values for name in exporters()), values
        else:
            assert set(values) <= known[label], (label, values)
    routed = [values for label, values in matchers(read(MAIN)) if label == "team"]
    assert {value for values in routed for value in values} == known["team"]
