"""Checks every PromQL query of rule files, dashboards, Grafana's provisioning, the catalogue's examples, cookbook and runbooks."""

import json
import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from dashboards.grafana import board_queries
from dashboards.grafana.board_queries import QueryKind
from dashboards.grafana.expansion import default_values, expand
from otel.catalogue import CATALOGUE
from tests.checks.promql import problems_of

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules"
GRAFANA = ROOT / "dashboards" / "grafana"
PAGE = ROOT / "docs" / "queries.md"
RUNBOOKS = ROOT / "docs" / "runbooks"

MACROS = {"__rate_interval": "5m", "__range": "5m", "__interval": "1m", "__tags": 'provider=~".*"'}

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")

Query = tuple[str, str]
"""Where a query stands, and the query."""


def rule_queries() -> Iterator[Query]:
    """Yield the expression of each rule."""
    for path in sorted(RULES.glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{path.name}: {rule.get('alert') or rule.get('record')}", rule["expr"]


def boards() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield file name and decoded JSON of each board."""
    for path in sorted((GRAFANA / "json").rglob("*.json")):
        yield path.name, json.loads(path.read_text())


def panel_queries() -> Iterator[Query]:
    """Yield the PromQL of each panel and annotation, as Grafana sends it when every variable is All."""
    for name, document in boards():
        values = default_values(document) | MACROS
        for query in (
            *board_queries.panel_queries(document, values),
            *board_queries.annotation_queries(document, values),
        ):
            if query.kind in {QueryKind.PROMQL, QueryKind.SERVICE_MAP}:
                yield f"{name}: {query.place}", query.text


def variable_queries() -> Iterator[Query]:
    """Yield for each variable a query that has one series for each of its values."""
    for name, document in boards():
        for variable in board_queries.variable_queries(document):
            yield f"{name}: variable {variable.name}", f"count by ({variable.label}) ({variable.family})"


def link_queries() -> Iterator[Query]:
    """Yield the queries that a trace's links to metrics open."""
    for source in yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text())["datasources"]:
        for link in source["jsonData"].get("tracesToMetrics", {}).get("queries", ()):
            yield f"datasources.yml: {link['name']}", expand(link["query"].replace("$$", "$"), MACROS)


def catalogue_queries() -> Iterator[Query]:
    """Yield the examples of `/prometheus/metrics/docs`."""
    for spec in CATALOGUE:
        for query in spec.queries:
            yield f"catalogue: {spec.name}", query


def page_queries() -> Iterator[Query]:
    """Yield the queries of the cookbook, one a line."""
    yield from _fenced(PAGE, PAGE.name)


def runbook_queries() -> Iterator[Query]:
    """Yield the queries of the runbooks, one a line."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        yield from _fenced(path, f"{RUNBOOKS.name}/{path.name}")


def _fenced(path: Path, place: str) -> Iterator[Query]:
    for block in re.findall(r"^```promql\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line and not line.startswith("#"):
                yield place, line


def without_macros(query: str) -> str:
    """Return a query of Grafana's as Prometheus gets it: macros replaced, and every variable All."""
    return _VARIABLE.sub(".*", expand(query, MACROS))


def problems() -> list[str]:
    """Return one line for each defect of each query."""
    every = chain(
        rule_queries(),
        panel_queries(),
        variable_queries(),
        link_queries(),
        catalogue_queries(),
        page_queries(),
        runbook_queries(),
    )
    return [f"{place}: {problem}" for place, query in every for problem in problems_of(query)]


if __name__ == "__main__":
    sys.exit("\n".join(problems()) or 0)
