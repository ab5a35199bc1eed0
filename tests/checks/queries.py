"""Checks every PromQL query of the rule files, the dashboards, Grafana's provisioning and the catalogue's examples."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import yaml

from otel.catalogue import CATALOGUE
from tests.checks.promql import problems_of

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules"
GRAFANA = ROOT / "dashboards" / "grafana"
PAGE = ROOT / "docs" / "queries.md"

MACROS = (("$__rate_interval", "1m"), ("$__range", "1h"), ("$__interval", "1m"), ("$__tags", 'provider=~".*"'))
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")

Query = tuple[str, str]
"""Where a query stands, and the query."""


def rule_queries() -> Iterator[Query]:
    """Yield the expression of each rule."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.name}: {rule.get('alert') or rule.get('record')}", rule["expr"]


def panel_queries() -> Iterator[Query]:
    """Yield each panel's queries, as Grafana sends them when every variable is All."""
    for path in sorted((GRAFANA / "json").rglob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", without_macros(target["expr"])


def variable_queries() -> Iterator[Query]:
    """Yield for each variable a query that has one series for each of its values."""
    for path in sorted((GRAFANA / "json").rglob("*.json")):
        for variable in json.loads(path.read_text())["templating"]["list"]:
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            as_promql = f"count by ({found['label']}) ({found['selector']})" if found else variable["query"]["query"]
            yield f"{path.name}: variable {variable['name']}", as_promql


def link_queries() -> Iterator[Query]:
    """Yield the queries that a trace's links to metrics open."""
    for source in yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())["datasources"]:
        for link in source["jsonData"].get("tracesToMetrics", {}).get("queries", ()):
            yield f"datasources.yml: {link['name']}", without_macros(link["query"].replace("$$", "$"))


def catalogue_queries() -> Iterator[Query]:
    """Yield the examples of `/prometheus/metrics/docs`."""
    for spec in CATALOGUE:
        for query in spec.queries:
            yield f"catalogue: {spec.name}", query


def page_queries() -> Iterator[Query]:
    """Yield the queries of the cookbook, one a line."""
    for block in re.findall(r"^```promql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line and not line.startswith("#"):
                yield PAGE.name, line


def without_macros(query: str) -> str:
    """Return a query of Grafana's as Prometheus gets it: macros and variables replaced."""
    for macro, value in MACROS:
        query = query.replace(macro, value)
    return _VARIABLE.sub(".*", query)


def problems() -> list[str]:
    """Return one line for each defect of each query."""
    every = chain(
        rule_queries(), panel_queries(), variable_queries(), link_queries(), catalogue_queries(), page_queries()
    )
    return [f"{place}: {problem}" for place, query in every for problem in problems_of(query)]


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
