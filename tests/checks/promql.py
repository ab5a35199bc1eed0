"""Checks one PromQL query against the catalogue.

A defect is: it does not parse, it names an unknown family or label, it matches a label value that never occurs, it takes
the rate of a gauge, or it computes a quantile without keeping `le`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import promql_parser as promql

from otel.catalogue import CATALOGUE
from otel.catalogue.spec import Kind, MetricSpec

TARGET_LABELS = frozenset({"job", "instance"})
FOREIGN = re.compile(
    r"up|ALERTS|ALERTS_FOR_STATE|(otelcol|prometheus|loki|tempo|alertmanager)_.+|traces_(spanmetrics|service_graph)_.+"
)
"""Names that the servers behind the gateway export; the stack's tests query them there."""

RULES = Path(__file__).parents[2] / "dashboards" / "rules"
RECORDED = frozenset(
    re.findall(r"^ *- record: (\S+)$", "\n".join(path.read_text() for path in RULES.glob("*.yml")), re.MULTILINE)
)
"""Names that recording rules make."""

RATES = frozenset({"rate", "irate", "increase"})
_PARTS = {"_bucket": frozenset({"le"}), "_sum": frozenset(), "_count": frozenset()}
_FAMILIES: Mapping[str, MetricSpec] = {spec.name: spec for spec in CATALOGUE}


def problems_of(query: str) -> list[str]:
    """Return one line for each defect of a query."""
    try:
        tree = promql.parse(query)
    except ValueError as error:
        return [f"does not parse: {error}"]
    found: list[str] = []
    for node in _nodes(tree):
        if isinstance(node, promql.VectorSelector):
            found += _selector_problems(node)
        elif isinstance(node, promql.AggregateExpr):
            found += _grouping_problems(node)
        elif isinstance(node, promql.Call):
            found += _call_problems(node)
    return list(dict.fromkeys(found))


def families_in(query: str) -> set[str]:
    """Return the names of the catalogue's families that a query reads; raises ValueError where it does not parse."""
    found = (_family(node) for node in _nodes(promql.parse(query)) if isinstance(node, promql.VectorSelector))
    return {spec.name for spec in found if spec is not None}


def foreign_in(query: str) -> set[str]:
    """Return the names of other servers' metrics that a query reads; raises ValueError where it does not parse."""
    selectors = [node for node in _nodes(promql.parse(query)) if isinstance(node, promql.VectorSelector)]
    return {selector.name or "" for selector in selectors if _family(selector) is None}


def _nodes(tree: promql.Expr) -> list[promql.Expr]:
    nodes: list[promql.Expr] = []
    promql.walk(tree, nodes.append)
    return nodes


def _family(selector: promql.VectorSelector) -> MetricSpec | None:
    """Return the family that a selector reads; None where it is not in the catalogue."""
    name = selector.name or ""
    spec = _FAMILIES.get(name)
    if spec is not None:
        return spec
    for part in _PARTS:
        spec = _FAMILIES.get(name.removesuffix(part))
        if spec is not None and name.endswith(part) and spec.kind is Kind.HISTOGRAM:
            return spec
    return None


def _labels(selector: promql.VectorSelector) -> frozenset[str] | None:
    """Return the labels that a selector's series have; None where that is not known here."""
    spec = _family(selector)
    if spec is None:
        return None
    part = next((part for part in _PARTS if selector.name == f"{spec.name}{part}"), None)
    return frozenset(spec.label_keys) | TARGET_LABELS | (_PARTS[part] if part else frozenset())


def _selector_problems(selector: promql.VectorSelector) -> Iterator[str]:
    name, spec = selector.name or "", _family(selector)
    if spec is None:
        if not FOREIGN.fullmatch(name) and name not in RECORDED:
            yield f"no family is called {name or 'nothing'}"
        return
    if spec.kind is Kind.HISTOGRAM and name == spec.name:
        yield f"{name} is a histogram: it has _bucket, _sum and _count"
    labels = _labels(selector) or frozenset()
    values = {label.key: label.values for label in spec.labels if label.values}
    for matcher in selector.matchers.matchers:
        if matcher.name not in labels:
            yield f"{name} has no label {matcher.name}"
        elif matcher.name == "le" and _is_whole(matcher):
            number = int(float(matcher.value))
            yield f'le="{matcher.value}" is le="{number}" by OTLP and le="{number}.0" in a scrape: le=~"{number}|{number}.0"'
        elif matcher.name in values and not any(_matches(matcher, value) for value in values[matcher.name]):
            yield f"{name} never has {matcher.name}={matcher.value}"


def _is_whole(matcher: promql.Matcher) -> bool:
    """Whether a matcher takes one bound that is a whole number, which senders write in two ways."""
    is_exact = matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual)
    return is_exact and re.fullmatch(r"\d+(\.0)?", matcher.value) is not None


def _matches(matcher: promql.Matcher, value: str) -> bool:
    """Whether a positive matcher takes a value, or a negative one refuses it."""
    if matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual):
        return matcher.value == value
    return re.fullmatch(matcher.value, value) is not None


def _grouping_problems(node: promql.AggregateExpr) -> Iterator[str]:
    if node.modifier is None or node.modifier.type != promql.AggModifierType.By:
        return
    nodes = _nodes(node.expr)
    joined = {label for inner in nodes if isinstance(inner, promql.BinaryExpr) for label in _joined_labels(inner)}
    for inner in nodes:
        if isinstance(inner, promql.VectorSelector) and (labels := _labels(inner)) is not None:
            for label in node.modifier.labels:
                if label not in labels | joined:
                    yield f"{inner.name} has no label {label}"


def _joined_labels(node: promql.BinaryExpr) -> list[str]:
    """Return the labels that `group_left` or `group_right` copies from the other side."""
    joins = (promql.VectorMatchCardinality.ManyToOne, promql.VectorMatchCardinality.OneToMany)
    if node.modifier is None or node.modifier.card not in joins:
        return []
    return list(node.modifier.group_labels or ())


def _call_problems(node: promql.Call) -> Iterator[str]:
    if node.func.name in RATES:
        for inner in _nodes(node.args[0]):
            if isinstance(inner, promql.VectorSelector):
                spec = _family(inner)
                if spec is not None and spec.kind.prometheus_type == "gauge":
                    yield f"{node.func.name} of {inner.name}, which is a gauge"
    if node.func.name == "histogram_quantile":
        inner = node.args[1]
        while isinstance(inner, promql.ParenExpr):
            inner = inner.expr
        keeps_le = (
            isinstance(inner, promql.AggregateExpr)
            and inner.modifier is not None
            and inner.modifier.type == promql.AggModifierType.By
            and "le" in inner.modifier.labels
        )
        if not keeps_le:
            yield "a quantile needs `sum by (le, ...)` inside"
