"""What the catalogue says of one metric family: the shape of an entry, not the entries themselves."""

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """Instrument kinds, by the names of the OpenTelemetry metrics API."""

    COUNTER = "counter"
    UP_DOWN_COUNTER = "up_down_counter"
    HISTOGRAM = "histogram"
    OBSERVABLE_GAUGE = "observable_gauge"
    OBSERVABLE_COUNTER = "observable_counter"

    @property
    def prometheus_type(self) -> str:
        """The TYPE that text format 0.0.4 declares for a stream of this kind."""
        if self is Kind.HISTOGRAM:
            return "histogram"
        return "counter" if self in {Kind.COUNTER, Kind.OBSERVABLE_COUNTER} else "gauge"

    @property
    def is_observable(self) -> bool:
        """Whether values come from a callback at collection time instead of from events."""
        return self in {Kind.OBSERVABLE_GAUGE, Kind.OBSERVABLE_COUNTER}


class Category(StrEnum):
    """The five groups that have an endpoint under `/prometheus/metrics/`."""

    SYSTEM = "system"
    PROVIDERS = "providers"
    MODELS = "models"
    BUSINESS = "business"
    PERFORMANCE = "performance"


class Label(msgspec.Struct, frozen=True):
    """One label of a family: its key and what bounds its values.

    `values` lists every value the label can take. Where it is empty, `bound_by` says what bounds it instead
    (`providers`, `models`, `routes` …: sets that come from the configuration).
    """

    key: str
    values: tuple[str, ...] = ()
    bound_by: str = ""


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One metric family, from instrument to documentation.

    `name` is the documented Prometheus name, exact at every observation point. `instrument` is the OpenTelemetry name
    that a view renames to it; `unit` is in UCUM. `series_limit` bounds the attribute sets of the stream; what does not fit is
    counted as overflow. `starts_at_zero` says that every combination of listed label values exists before the first event.
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
    moved_by: str = ""
    queries: tuple[str, ...] = ()
    documented_by_guide: bool = True

    @property
    def label_keys(self) -> tuple[str, ...]:
        """The label keys, in documented order."""
        return tuple(label.key for label in self.labels)
