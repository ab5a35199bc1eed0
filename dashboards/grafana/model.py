"""What a dashboard is made of, in the words of any caller that writes one.

Provides immutable descriptions that `render.py` turns into Grafana's JSON. Only
what our dashboards use is here.
"""

from enum import StrEnum

import msgspec


class PanelKind(StrEnum):
    """Visualisations, by Grafana's names of them."""

    STAT = "stat"
    GAUGE = "gauge"
    TIME_SERIES = "timeseries"
    PIE_CHART = "piechart"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One PromQL query. `instant` asks for the value now, otherwise for the course over the dashboard's time range."""

    expr: str
    legend: str
    instant: bool = False


class Step(msgspec.Struct, frozen=True):
    """A colour from `value` upwards; the base, which colours everything below the second step, has none."""

    color: str
    value: float | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a panel is on the grid of 24 columns, and its size."""

    x: int
    y: int
    width: int
    height: int


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel. `unit` is Grafana's name of a unit; `no_value` is what it says where the query finds nothing."""

    title: str
    description: str
    kind: PanelKind
    queries: tuple[Query, ...]
    unit: str
    place: Place
    steps: tuple[Step, ...] = (Step("green"),)
    minimum: float | None = None
    maximum: float | None = None
    no_value: str = "no data"


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A choice at the top of a dashboard: one, several or all values of a label of a family."""

    name: str
    label: str
    family: str
    label_key: str

    @property
    def query(self) -> str:
        """What Grafana asks Prometheus."""
        return f"label_values({self.family}, {self.label_key})"


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One dashboard. `uid` is part of its URL and of links to it: it never changes. `folder` is where Grafana shows it."""

    uid: str
    title: str
    description: str
    folder: str
    tags: tuple[str, ...]
    variables: tuple[Variable, ...]
    panels: tuple[Panel, ...]
    refresh: str = "30s"
    time_from: str = "now-1h"
