"""The shape of a catalogue entry: one metric family, from instrument to documentation."""

from enum import StrEnum
from typing import Final

import msgspec

DURATION_BUCKETS_SECONDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0,
)  # fmt: skip
"""For HTTP requests and LLM calls: fine enough for routing, and LLM calls reach two minutes."""


class Kind(StrEnum):
    """Instrument kinds, by the names of the OpenTelemetry metrics API."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up_down_counter"
    HISTOGRAM = "histogram"
    OBSERVABLE_GAUGE = "observable_gauge"
    OBSERVABLE_COUNTER = "observable_counter"

    @property
    def prometheus_type(self) -> str:
        """The TYPE that text format 0.0.4 declares for this kind."""
        if self is Kind.HISTOGRAM:
            return "histogram"
        return "counter" if self in {Kind.COUNTER, Kind.OBSERVABLE_COUNTER} else "gauge"

    @property
    def is_observable(self) -> bool:
        """Whether a callback yields the values at collection time.

        The others are recorded by events.
        """
        return self in {Kind.OBSERVABLE_GAUGE, Kind.OBSERVABLE_COUNTER}


class Category(StrEnum):
    """The five groups that have an endpoint under `/prometheus/metrics/`."""

    SYSTEM = "system"
    PROVIDERS = "providers"
    MODELS = "models"
    BUSINESS = "business"
    PERFORMANCE = "performance"


class Label(msgspec.Struct, frozen=True):
    """One label of a family.

    `values` lists every value that the label can take. Where it is empty, `bound_by` names the set
    that bounds the values, for example the configured providers.
    """

    key: str
    values: tuple[str, ...] = ()
    bound_by: str = ""


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One metric family.

    - `name` is the Prometheus name, the same in every output.
    - `instrument` is the OpenTelemetry name, which a view renames to `name`.
    - `unit` is in UCUM.
    - `series_limit` bounds the label sets; measurements beyond it go to the overflow series.
    - `starts_at_zero`: every combination of known label values has a series before the first event,
      unless these are more than `most_at_zero`: then a series begins with its first event.
    - `updated_by` describes what changes the value.
    - `queries` are examples, in PromQL.
    - `documented` is False for families beyond the documented metrics.
    - `convention` is the opt-in of a family that keeps its instrument's name and attribute keys over
      OTLP; in Prometheus' formats it is called `name`.
    """

    name: str
    instrument: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    categories: tuple[Category, ...] = ()
    buckets: tuple[float, ...] = ()
    series_limit: int = 2_000
    starts_at_zero: bool = False
    most_at_zero: int = 2_000
    updated_by: str = ""
    queries: tuple[str, ...] = ()
    documented: bool = True
    convention: str = ""

    @property
    def stream_name(self) -> str:
        """The name of the metric that a view makes: over OTLP, and before an exposition writes it."""
        return self.instrument if self.convention else self.name

    @property
    def label_keys(self) -> tuple[str, ...]:
        """The label keys, in documented order."""
        return tuple(label.key for label in self.labels)
