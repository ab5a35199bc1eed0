"""Metric families and charts."""

from typing import Literal, TypeAlias

from console.query.shapes.base import Bases, Labels, Shape

MetricType: TypeAlias = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]
Temporality: TypeAlias = Literal["cumulative", "delta", "none"]
Function: TypeAlias = Literal["value", "rate", "increase", "average", "quantile", "buckets"]


class Family(Shape, frozen=True):
    """All series of one metric name."""

    name: str
    type: MetricType
    temporality: Temporality
    monotonic: bool
    """Whether it only grows: its `rate` means something."""
    unit: str
    description: str
    labels: list[str]
    """Label names that at least one series has, sorted; those of the resource begin with `resource.`."""
    series: int
    services: list[str]
    newest: float | None
    """When a point of it last arrived, within a minute."""
    functions: list[Function]
    """What can be drawn of it, the usual one first."""


class Families(Shape, frozen=True):
    """GET /api/metrics, by name."""

    families: list[Family]
    truncated: bool


class Exemplar(Shape, frozen=True):
    """One measurement with the trace that it belongs to."""

    at: float
    value: float
    trace_id: str
    span_id: str | None
    labels: Labels
    """The labels of its series."""


class Series(Shape, frozen=True):
    """One line of a chart."""

    labels: Labels
    """Only those that were grouped by; all of the series without grouping."""
    values: list[float | None]
    """One for each time of the chart; None is a gap."""


class Chart(Shape, frozen=True):
    """GET /api/metrics/range. With several quantiles each series has the label `quantile`, with buckets `le`."""

    name: str
    type: MetricType
    unit: str
    """The unit of the drawn numbers: `x/s` for a rate of `x`."""
    function: Function
    quantiles: list[float]
    """Those that were asked for; empty for the other functions."""
    times: list[float]
    """When each value was evaluated: equal steps, the last one is `to`."""
    step_seconds: float
    range_seconds: float
    """How far each evaluation looks back: the `[5m]` of PromQL; for `value` the staleness bound."""
    series: list[Series]
    truncated: bool
    """Whether series were left out; those with the largest last value are kept."""
    exemplars: list[Exemplar]
    basis: Bases
