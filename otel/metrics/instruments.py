"""The catalogue's instruments on one meter, addressed by documented name.

Values with a `LabelSet` go through a bound series. An observable family gets its instrument when a
callback is registered, so that a family without a source is absent instead of empty.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel.catalogue.spec import Kind, MetricSpec
from otel.metrics.added_series import HistogramSeries, SumSeries
from otel.metrics.bound_series import Series, Write
from otel.metrics.label_set import LabelSet
from otel.metrics.pending import Pending

Sample: TypeAlias = tuple[float, Mapping[str, str]]
"""A value and its label set."""

SampleSource: TypeAlias = Callable[[], Iterable[Sample]]
"""Returns a family's current samples.

Runs in the collecting thread and must not block; a series that it omits vanishes.
"""


class Instruments:
    """One instrument per catalogued family, created on first use.

    Recording is safe from any thread.
    """

    def __init__(self, meter: Meter, catalogue: Iterable[MetricSpec], pending: Pending | None = None) -> None:
        self._meter = meter
        self._specs = {spec.name: spec for spec in catalogue}
        self._recording: dict[str, tuple[object, Write]] = {}
        self.pending = pending or Pending()
        """Shared by instruments whose measurements a collection must see together."""
        # The SDK calls callbacks before it reads any aggregation. This one observes nothing, so the
        # instrument never becomes a metric.
        meter.create_observable_gauge("otel.pending_measurements", [self._flush])
        self.lock = self.pending.lock
        """Held while an event is measured, so that a collection sees all of its measurements or none."""

    def _flush(self, _: CallbackOptions) -> Iterable[Observation]:
        self.pending.flush()
        return ()

    def record(self, name: str, value: float, labels: Mapping[str, str], context: Context | None = None) -> None:
        """Add to a counter or record in a histogram.

        `context` carries the span that becomes the exemplar. Raises KeyError for a name that the
        catalogue lacks and TypeError for an observable family.
        """
        if type(labels) is LabelSet:
            with self.lock:
                self.add(name, value, labels, context)
            return
        self._instrument(name)[1](value, labels, context)

    def add(self, name: str, value: float, labels: LabelSet, context: Context | None) -> None:
        """Record a value under `lock`, which the caller holds."""
        series = labels.series.get(name)
        if series is None:
            series = self.series(name, labels)
        series.record(value, context)

    def series(self, name: str, labels: LabelSet) -> Series[Any]:
        """Return a family's series with these labels, under `lock`, which the caller holds."""
        series = labels.series.get(name)
        if series is None:
            series = labels.series[name] = self._make_series(name, labels)
        return series

    def _make_series(self, name: str, labels: LabelSet) -> Series[Any]:
        instrument, write = self._instrument(name)
        kind = self._specs[name].kind
        make = HistogramSeries if kind is Kind.HISTOGRAM else SumSeries
        return make(self.pending, instrument, write, labels, may_fall=kind is Kind.UP_DOWN_COUNTER)

    def _instrument(self, name: str) -> tuple[object, Write]:
        """Return a family's instrument and its record function, creating it on first use."""
        found = self._recording.get(name)
        if found is None:
            found = self._recording[name] = self._create(self._specs[name])
        return found

    def observe(self, name: str, source: SampleSource) -> None:
        """Call `source` for the samples of an observable family at each collection.

        Raises KeyError for a name that the catalogue lacks and TypeError for a synchronous family.
        """
        spec = self._specs[name]

        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, labels) for value, labels in source()]

        if spec.kind is Kind.OBSERVABLE_GAUGE:
            self._meter.create_observable_gauge(spec.instrument, [callback], spec.unit, spec.help)
        elif spec.kind is Kind.OBSERVABLE_COUNTER:
            self._meter.create_observable_counter(spec.instrument, [callback], spec.unit, spec.help)
        else:
            raise TypeError(f"{name} is synchronous: record values instead of observing a source")

    def _create(self, spec: MetricSpec) -> tuple[object, Write]:
        """Create the instrument of a synchronous family."""
        if spec.kind is Kind.COUNTER:
            counter = self._meter.create_counter(spec.instrument, spec.unit, spec.help)
            return counter, counter.add
        if spec.kind is Kind.UP_DOWN_COUNTER:
            gauge = self._meter.create_up_down_counter(spec.instrument, spec.unit, spec.help)
            return gauge, gauge.add
        if spec.kind is Kind.HISTOGRAM:
            histogram = self._meter.create_histogram(spec.instrument, spec.unit, spec.help)
            return histogram, histogram.record
        raise TypeError(f"{spec.name} is observable: give it a source instead of recording values")
