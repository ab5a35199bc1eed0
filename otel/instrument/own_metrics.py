"""An application's own metrics: declared as catalogue entries, recorded by name.

A wrong name or label raises `MetricError` at once: it is a mistake in the code, which the first call
shows. A value that a metric cannot take depends on data, so it is skipped and logged once.
"""

import logging
import math
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Final, TypeAlias

import msgspec

from otel.catalogue.semconv import OTHER
from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec
from otel.metrics.instruments import Instruments, Sample, SampleSource
from otel.metrics.label_set import LabelSet

MAX_SERIES: Final = 2_000
"""The most series that one metric may have, `other` included."""

_MAX_SERIES_AT_ZERO: Final = 500
_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,199}")
_LABEL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*|_[a-zA-Z0-9][a-zA-Z0-9_]*")
_RESERVED_NAMES: Final = frozenset({"up", "target_info", "otel_scope_info"})
_RESERVED_NAME_PREFIXES: Final = ("scrape_", "alerts")
_RESERVED_LABELS: Final = frozenset({"le", "quantile", "job", "instance", "otel_metric_overflow"})
_logger: Final = logging.getLogger("otel.instrument.own_metrics")


class MetricError(ValueError):
    """A metric was declared or recorded in a way that cannot work; the message names the remedy."""


class _Declared(msgspec.Struct, frozen=True):
    """What the three kinds have in common.

    `labels` names every value that each label can take; any other value is recorded as `other`.
    `category` adds the metric to an endpoint: `system`, `providers`, `models`, `business`, `performance`.
    """

    name: str
    labels: Mapping[str, Sequence[str]] = {}
    help: str = ""
    unit: str = "1"
    category: str | None = None


class Counter(_Declared, frozen=True):
    """A sum that only grows; recorded with `add`. Its series exist at 0 from the start.

    End the name in `_total`: it is exposed as it is, while a Prometheus with default settings adds that to what is pushed.
    """


class Gauge(_Declared, frozen=True):
    """A value that goes up and down; recorded with `set`, absent until then."""


class Histogram(_Declared, frozen=True):
    """A distribution; recorded with `record`. `buckets` are upper bounds, by default for seconds up to 120."""

    buckets: Sequence[float] = DURATION_BUCKETS_SECONDS


OwnMetric: TypeAlias = Counter | Gauge | Histogram

_KINDS: Final[Mapping[type[OwnMetric], tuple[Kind, str]]] = {
    Counter: (Kind.COUNTER, "add"),
    Gauge: (Kind.OBSERVABLE_GAUGE, "set"),
    Histogram: (Kind.HISTOGRAM, "record"),
}


class OwnMetrics:
    """Records the declared metrics. Safe from any thread.

    `catalogue` holds the families whose names are taken. Raises `MetricError` for a declaration that cannot work.
    """

    def __init__(self, metrics: Iterable[OwnMetric], catalogue: Iterable[MetricSpec]) -> None:
        self._declared: dict[str, OwnMetric] = {}
        self._gauges: dict[str, dict[tuple[str, ...], Sample]] = {}
        self._sources: dict[str, SampleSource] = {}
        self._lock = threading.Lock()
        self._labels = LabelSet()
        self._instruments: Instruments | None = None
        self._has_warned: set[str] = set()
        taken = {sample.lower(): spec.name for spec in catalogue for sample in _sample_names(spec)}
        specs = []
        for metric in metrics:
            spec = _spec(metric)
            for sample in _sample_names(spec):
                if sample.lower() in taken:
                    raise MetricError(
                        f"{metric.name}: {sample} belongs to the family {taken[sample.lower()]}: choose another name"
                    )
            taken.update({sample.lower(): spec.name for sample in _sample_names(spec)})
            self._declared[metric.name] = metric
            specs.append(spec)
        self.specs: tuple[MetricSpec, ...] = tuple(specs)

    def connect(self, instruments: Instruments | None) -> None:
        """Record into these instruments, or nowhere where telemetry is off."""
        self._instruments = instruments

        def observe(name: str, instruments: Instruments) -> None:
            instruments.observe(name, lambda: self._samples(name))

        for name, metric in self._declared.items():
            if isinstance(metric, Gauge):
                self._gauges[name] = {}
                if instruments is not None:
                    observe(name, instruments)

    def add(self, name: str, value: float, labels: Mapping[str, object]) -> None:
        """Add to a counter."""
        self._record(Counter, name, value, labels, lowest=0.0)

    def record(self, name: str, value: float, labels: Mapping[str, object]) -> None:
        """Record one observation in a histogram."""
        self._record(Histogram, name, value, labels, lowest=0.0)

    def set(self, name: str, value: float | None, labels: Mapping[str, object]) -> None:
        """Set a gauge; None removes its series."""
        label_set = self._label_set(self._find(Gauge, name), labels)
        series = tuple(label_set.values())
        with self._lock:
            if value is None:
                self._gauges[name].pop(series, None)
            elif self._is_usable(name, value, -math.inf):
                self._gauges[name][series] = (value, label_set)

    def observe(self, name: str, source: SampleSource) -> None:
        """Add the samples of `source` to a gauge at each collection."""
        metric = self._find(Gauge, name)
        self._sources[name] = lambda: [(value, self._label_set(metric, labels)) for value, labels in source()]

    def _record(
        self, kind: type[OwnMetric], name: str, value: float, labels: Mapping[str, object], *, lowest: float
    ) -> None:
        label_set = self._label_set(self._find(kind, name), labels)
        if self._instruments is not None and self._is_usable(name, value, lowest):
            self._instruments.record(name, value, label_set)

    def _find(self, kind: type[OwnMetric], name: str) -> OwnMetric:
        metric = self._declared.get(name)
        if metric is None:
            known = ", ".join(self._declared) or "none"
            raise MetricError(
                f"no metric {name} is declared: pass it in Telemetry.from_environ(metrics=[...]). Declared: {known}"
            )
        if type(metric) is not kind:
            raise MetricError(f"{name} is a {type(metric).__name__}: call {_KINDS[type(metric)][1]}")
        return metric

    def _label_set(self, metric: OwnMetric, labels: Mapping[str, object]) -> LabelSet:
        """Return the series' labels in their declared order, each value from its closed set."""
        if labels.keys() != metric.labels.keys():
            wanted = ", ".join(metric.labels) or "none"
            given = ", ".join(labels) or "none"
            raise MetricError(f"{metric.name} has the labels {wanted}; given: {given}")
        found = self._labels
        for key, values in metric.labels.items():
            value = labels[key]
            text = value if isinstance(value, str) else str(value)
            found = found.plus(key, str(text) if text in values else OTHER)
        return found

    def _is_usable(self, name: str, value: float, lowest: float) -> bool:
        if math.isfinite(value) and value >= lowest:
            return True
        if name not in self._has_warned:
            self._has_warned.add(name)
            _logger.warning("%s cannot take %r: it is skipped, later ones without a line", name, value)
        return False

    def _samples(self, name: str) -> list[Sample]:
        source = self._sources.get(name)
        with self._lock:
            set_values = list(self._gauges[name].values())
        return set_values if source is None else [*set_values, *source()]


def _spec(metric: OwnMetric) -> MetricSpec:
    """Return the catalogue entry of a declaration."""
    name = metric.name
    if not _NAME.fullmatch(name):
        raise MetricError(f"{name!r} is no metric name: use letters, digits and underscores, a letter first")
    if name in _RESERVED_NAMES or name.lower().startswith(_RESERVED_NAME_PREFIXES):
        raise MetricError(f"{name} is reserved for Prometheus itself: choose another name")
    labels = tuple(_label(metric, key) for key in metric.labels)
    series = prod(len(label.values) + 1 for label in labels)
    if series > MAX_SERIES:
        raise MetricError(
            f"{name} could have {series} series, at most {MAX_SERIES} are allowed: name fewer label values"
        )
    kind = _KINDS[type(metric)][0]
    return MetricSpec(
        name=name,
        instrument=name,
        kind=kind,
        unit=metric.unit,
        help=metric.help or name.replace("_", " "),
        labels=labels,
        categories=() if metric.category is None else (_category(metric),),
        buckets=_buckets(metric) if isinstance(metric, Histogram) else (),
        series_limit=MAX_SERIES,
        starts_at_zero=kind is Kind.COUNTER and series <= _MAX_SERIES_AT_ZERO,
        updated_by="the application",
    )


def _label(metric: OwnMetric, key: str) -> Label:
    if not _LABEL.fullmatch(key) or key in _RESERVED_LABELS:
        raise MetricError(f"{metric.name}: {key!r} cannot be a label: choose another name than Prometheus' own")
    values = metric.labels[key]
    if isinstance(values, str) or not values or not all(values):
        raise MetricError(
            f"{metric.name}: labels[{key!r}] must name every value the label can take, as in {{{key!r}: ('a', 'b')}}"
        )
    return Label(key, tuple(dict.fromkeys(values)))


def _category(metric: OwnMetric) -> Category:
    if metric.category not in set(Category):
        raise MetricError(f"{metric.name}: category must be one of {', '.join(Category)}")
    return Category(metric.category)


def _buckets(metric: Histogram) -> tuple[float, ...]:
    bounds = tuple(map(float, metric.buckets))
    if not bounds or not all(map(math.isfinite, bounds)) or list(bounds) != sorted(set(bounds)):
        raise MetricError(f"{metric.name}: buckets must be finite numbers that increase")
    return bounds


def _sample_names(spec: MetricSpec) -> tuple[str, ...]:
    """Return every name that the family occupies in an exposition."""
    suffixes = ("", "_bucket", "_sum", "_count") if spec.kind is Kind.HISTOGRAM else ("",)
    return tuple(f"{spec.name}{suffix}" for suffix in suffixes)
