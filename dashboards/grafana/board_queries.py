"""Every query of a board's JSON, as Grafana sends it: of panels, of links, of annotations, of variables.

Input: the decoded JSON and the values of its variables (`expansion.py`). Nothing here does I/O.
"""

import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from dashboards.grafana.expansion import expand, expand_all

_LABEL_VALUES: Final = re.compile(r"label_values\((?P<family>[\w:]+), (?P<label>\w+)\)")


class QueryKind(StrEnum):
    """How a query is answered."""

    PROMQL = "promql"
    LOGQL = "logql"
    TRACEQL = "traceql"
    SERVICE_MAP = "service map"


class BoardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One query. `text` is in the language of `kind`; `target` is the whole object that Grafana sends.

    `place` is the panel's title and the query's letter, or what else it belongs to.
    """

    place: str
    kind: QueryKind
    text: str
    target: dict[str, Any]

    @property
    def is_instant(self) -> bool:
        """Whether it asks for the value now, not for the course over the time range."""
        return self.target.get("instant") is True or self.target.get("queryType") == "instant"


class VariableQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a label of a family."""

    name: str
    family: str
    label: str


def panel_queries(document: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[BoardQuery]:
    """Yield the queries of each panel."""
    for panel in document["panels"]:
        for target in panel["targets"]:
            yield panel_query(panel, target, values)


def panel_query(panel: Mapping[str, Any], target: Mapping[str, Any], values: Mapping[str, str]) -> BoardQuery:
    """Return one query of a panel."""
    return _query(f"{panel['title']} {target['refId']}", target, values)


def link_queries(document: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[BoardQuery]:
    """Yield the queries that links of panels open in Explore, read from the expanded URLs."""
    for panel in document["panels"]:
        for link in panel["links"]:
            url = urlsplit(expand(link["url"], values))
            if url.path != "/explore":
                continue
            for pane in json.loads(parse_qs(url.query)["panes"][0]).values():
                for target in pane["queries"]:
                    yield _query(f"{panel['title']}, link {link['title']}", target, {})


def annotation_queries(document: Mapping[str, Any], values: Mapping[str, str]) -> Iterator[BoardQuery]:
    """Yield the query of each annotation."""
    for annotation in document["annotations"]["list"]:
        target = {"refId": "A", "datasource": annotation["datasource"], "expr": annotation["expr"], "range": True}
        yield _query(f"annotation {annotation['name']}", target, values)


def variable_queries(document: Mapping[str, Any]) -> Iterator[VariableQuery]:
    """Yield the label and family of each variable that has a query; raises ValueError for another kind of query."""
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            if found is None:
                raise ValueError(f"{variable['name']}: no label_values(family, label): {variable['query']['query']}")
            yield VariableQuery(name=variable["name"], family=found["family"], label=found["label"])


def _query(place: str, target: Mapping[str, Any], values: Mapping[str, str]) -> BoardQuery:
    expanded = expand_all(target, values)
    match expanded["datasource"]["type"]:
        case "prometheus":
            kind, text = QueryKind.PROMQL, expanded["expr"]
        case "loki":
            kind, text = QueryKind.LOGQL, expanded["expr"]
        case _ if expanded["queryType"] == "serviceMap":
            kind, text = QueryKind.SERVICE_MAP, f"traces_service_graph_request_total{expanded['serviceMapQuery']}"
        case _:
            kind, text = QueryKind.TRACEQL, expanded["query"]
    return BoardQuery(place=place, kind=kind, text=text, target=expanded)
