"""What a board is made of: rows of panels, their queries, and the choices at its top.

Provides immutable descriptions that `render.py` turns into Grafana's JSON.
"""

from enum import StrEnum
from typing import Final

import msgspec

COLUMNS: Final = 24
"""Of Grafana's grid."""

FIRST_SCREEN_ROWS: Final = 17
"""Grid rows that a window of 1280 x 800 pixels shows: 38 pixels each, below 140 pixels of bars and variables."""


class Source(StrEnum):
    """Data sources, by Grafana's names of their types."""

    PROMETHEUS = "prometheus"
    LOKI = "loki"
    TEMPO = "tempo"

    @property
    def variable(self) -> str:
        """The name of the boards' variable that chooses the data source."""
        return f"{self.value}_datasource"

    @property
    def import_input(self) -> str:
        """The name of the input that asks for the data source when a board is imported."""
        return f"DS_{self.value.upper()}"


class PanelKind(StrEnum):
    """Visualisations, by Grafana's names of them."""

    STAT = "stat"
    GAUGE = "gauge"
    BAR_GAUGE = "bargauge"
    TIME_SERIES = "timeseries"
    PIE_CHART = "piechart"
    HEATMAP = "heatmap"
    STATE_TIMELINE = "state-timeline"
    TABLE = "table"
    LOGS = "logs"
    NODE_GRAPH = "nodeGraph"


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One query in the language of its data source.

    `instant` asks for the value now, otherwise for the course over the board's time range.
    `exemplars` shows the traces behind a histogram. `service_map` asks Tempo for its service graph,
    which it computes from metrics; `expr` is empty then.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    source: Source = Source.PROMETHEUS
    exemplars: bool = False
    service_map: bool = False


class Step(msgspec.Struct, frozen=True):
    """A colour from `value` upwards; the base, which colours everything below the second step, has none."""

    color: str
    value: float | None = None


class Meaning(msgspec.Struct, frozen=True):
    """The text and colour in place of a value."""

    value: int
    text: str
    color: str


class SeriesColor(msgspec.Struct, frozen=True):
    """The colour of the series whose names match a regular expression."""

    pattern: str
    color: str


class Order(msgspec.Struct, frozen=True):
    """The order of a table's rows: by the column of this title."""

    title: str
    is_descending: bool = False


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a table: the label or value it shows, its title, the unit of a value, and where a click leads.

    Columns of traces are Tempo's: they are found by their title, and `field` is empty.
    """

    field: str = ""
    title: str
    unit: str = ""
    width_pixels: int | None = None
    link_title: str = ""
    url: str = ""


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One panel.

    - `unit` is Grafana's name of a unit; `no_value` is shown where the query finds nothing.
    - `width` is in columns of the grid.
    - `by` is the label (`provider` or `model`) by which its series differ; a click on one leads to
      its board.
    - `logs` and `traces` are the LogQL and TraceQL behind the panel's links; empty for the board's.
    - `order` sorts a table, by its first entry first.
    - `colors` is for series whose colour has a meaning, such as failures.
    - `empty_when_well`: no data is the normal state, as in a list of what is broken.
    """

    title: str
    description: str
    kind: PanelKind
    queries: tuple[Query, ...]
    unit: str
    width: int
    steps: tuple[Step, ...] = (Step("green"),)
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    no_value: str = "no data"
    by: str = ""
    is_stacked: bool = False
    meanings: tuple[Meaning, ...] = ()
    columns: tuple[Column, ...] = ()
    order: tuple[Order, ...] = ()
    colors: tuple[SeriesColor, ...] = ()
    logs: str = ""
    traces: str = ""
    empty_when_well: bool = False

    @property
    def transforms_columns(self) -> bool:
        """Whether its columns are chosen and named here: those of traces are Tempo's."""
        return any(column.field for column in self.columns)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Panels beside each other. `is_purpose`: what the board is for, so it fits in the first screen."""

    height: int
    panels: tuple[Panel, ...]
    is_purpose: bool = False


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """A choice at the top of a board: one, several or all values of a label of a family."""

    name: str
    label: str
    family: str
    label_key: str

    @property
    def query(self) -> str:
        """What Grafana asks Prometheus."""
        return f"label_values({self.family}, {self.label_key})"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A choice of fixed values at the top of a board; the first is the default."""

    name: str
    label: str
    values: tuple[str, ...]


class Dashboard(msgspec.Struct, frozen=True, kw_only=True):
    """One board. `uid` is part of its URL and of links to it: it never changes. `folder` is where Grafana shows it.

    `logs` and `traces` are the LogQL and TraceQL that a panel's links open unless it has its own.
    """

    uid: str
    title: str
    description: str
    folder: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    logs: str
    traces: str
    choices: tuple[Choice, ...] = ()
    tags: tuple[str, ...] = ("gatewayz",)
    refresh: str = "30s"
    time_from: str = "now-1h"

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, row by row."""
        return tuple(panel for row in self.rows for panel in row.panels)
