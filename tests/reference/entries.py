"""Reads `reference.toml`: every query, alert, panel and variable of the reference document, verbatim, and what is right instead."""

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

FILE: Final = Path(__file__).with_name("reference.toml")
Step: TypeAlias = tuple[str | float, ...]
"""A colour, and from which value upwards; the base has no value."""


class PromQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PromQL query. `name` is what it is called in `expected.py`; `does_not_parse`: what is wrong where it is not PromQL."""

    name: str
    query: str
    corrected: str = ""
    why: str = ""
    does_not_parse: str = ""

    @property
    def in_use(self) -> str:
        """What is right: the corrected query, or the query itself."""
        return self.corrected or self.query


class Panel(PromQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A panel, and how ours shows it."""

    title: str
    kind: Literal["stat", "gauge", "timeseries", "piechart"]
    unit: str
    steps: tuple[Step, ...] = ()


class Alert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"patience": "for"}):
    """An alert. `rule` and `rule_in_use` say what is asked for, as written and in `dashboards/rules/`."""

    name: str
    query: str
    rule: str
    why: str
    rule_in_use: str
    patience: str = ""


class Variable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A variable of the dashboards."""

    name: str
    query: str


class LogQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LogQL query."""

    name: str
    query: str


class Other(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is no query, as documented, and what is right."""

    documented: str
    why: str
    corrected: str


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    promql: tuple[PromQuery, ...]
    panels: tuple[Panel, ...]
    alerts: tuple[Alert, ...]
    variables: tuple[Variable, ...]
    logql: tuple[LogQuery, ...]
    others: tuple[Other, ...]

    @property
    def prom_queries(self) -> tuple[PromQuery, ...]:
        """Every PromQL query in the document's order, those of the panels last."""
        return (*self.promql, *self.panels)


def read_reference() -> Reference:
    """Read the file; raises `msgspec.ValidationError` where it does not have this shape."""
    return msgspec.toml.decode(FILE.read_bytes(), type=Reference)
