"""One SDK view per family: documented name, help, label keys, buckets and series limit.

A view cannot rename an attribute, so instruments record the documented label keys themselves.
"""

from collections.abc import Callable, Iterable

from opentelemetry.sdk.metrics import ExemplarReservoir
from opentelemetry.sdk.metrics.view import Aggregation, View

from otel.catalogue.spec import Kind, MetricSpec
from otel.metrics.aggregations import HistogramAggregation, SumAggregation
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir


def build_views(catalogue: Iterable[MetricSpec], meter_name: str | None = None) -> list[View]:
    """Return one view per family, by the exact name of the instrument and, if given, of the meter."""
    return [
        View(
            instrument_name=spec.instrument,
            meter_name=meter_name,
            name=spec.stream_name,
            description=spec.help,
            attribute_keys=set(spec.label_keys),
            aggregation=_aggregation(spec),
            aggregation_cardinality_limit=spec.series_limit,
            exemplar_reservoir_factory=_reservoirs,
        )
        for spec in catalogue
    ]


def _aggregation(spec: MetricSpec) -> Aggregation | None:
    """Return that of a synchronous family; an observable one has the SDK's default."""
    if spec.kind is Kind.HISTOGRAM:
        return HistogramAggregation(boundaries=spec.buckets)
    return SumAggregation() if spec.kind in {Kind.COUNTER, Kind.UP_DOWN_COUNTER} else None


def _reservoirs(_aggregation: object) -> Callable[..., ExemplarReservoir]:
    """Return the reservoir of a series, whatever its aggregation."""
    return LatestExemplarReservoir
