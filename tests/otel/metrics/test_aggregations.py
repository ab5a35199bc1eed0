"""Aggregations that keep the point of an idle series collect what the SDK's own collect."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, SumAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir
from otel.metrics.instruments import Instruments
from otel.metrics.views import build_views

BUCKETS = (0.1, 1.0, 10.0)
KINDS = {"calls_total": Kind.COUNTER, "in_progress": Kind.UP_DOWN_COUNTER, "seconds": Kind.HISTOGRAM}
SPECS = tuple(
    MetricSpec(
        name=name,
        instrument=name,
        kind=kind,
        unit="1",
        help="Help.",
        labels=(Label("model"),),
        categories=(Category.SYSTEM,),
        buckets=BUCKETS if kind is Kind.HISTOGRAM else (),
        series_limit=3,
    )
    for name, kind in KINDS.items()
)
SPAN = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
CONTEXTS = (None, set_span_in_context(SPAN, Context()))


def sdk_views() -> list[View]:
    return [
        View(
            instrument_name=spec.instrument,
            description=spec.help,
            attribute_keys={"model"},
            aggregation=ExplicitBucketHistogramAggregation(BUCKETS)
            if spec.kind is Kind.HISTOGRAM
            else SumAggregation(),
            aggregation_cardinality_limit=3,
            exemplar_reservoir_factory=lambda _: LatestExemplarReservoir,
        )
        for spec in SPECS
    ]


class Collected:
    def __init__(self, views: list[View], *, delta: bool = False) -> None:
        temporality = AggregationTemporality.DELTA if delta else AggregationTemporality.CUMULATIVE
        types = dict.fromkeys((Counter, UpDownCounter, Histogram), temporality)
        self.reader = InMemoryMetricReader(preferred_temporality=types)
        provider = MeterProvider([self.reader], views=views, shutdown_on_exit=False)
        self.instruments = Instruments(provider.get_meter("t"), SPECS)

    def metrics(self) -> list[Any]:
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]

    def points(self) -> dict[Any, Any]:
        return {
            (metric.name, *point.attributes.items()): (
                getattr(point, "value", None),
                getattr(point, "bucket_counts", None),
                *(getattr(point, name, None) for name in ("count", "sum", "min", "max", "explicit_bounds")),
                [(each.value, each.trace_id) for each in point.exemplars],
                type(metric.data),
            )
            for metric in self.metrics()
            for point in metric.data.data_points
        }


steps = st.lists(
    st.one_of(
        st.none(),
        st.tuples(
            st.sampled_from(sorted(KINDS)),
            st.integers(-3, 50) | st.floats(-2, 50),
            st.sampled_from("abcde"),
            st.sampled_from(CONTEXTS),
        ),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(steps, st.booleans())
def test_every_collection_equals_that_of_the_sdks_aggregations(steps: list[Any], delta: bool) -> None:
    ours, sdks = Collected(build_views(SPECS), delta=delta), Collected(sdk_views(), delta=delta)
    for step in [*steps, None, None]:
        if step is None:
            assert ours.points() == sdks.points()
            continue
        name, value, model, context = step
        for each in (ours, sdks):
            each.instruments.record(name, value, {"model": model}, context)


def test_an_idle_series_keeps_its_point_at_the_time_of_the_collection() -> None:
    collected = Collected(build_views(SPECS))
    for model in "ab":
        for name in KINDS:
            collected.instruments.record(name, 1, {"model": model})
    first = {
        (metric.name, point.attributes["model"]): point
        for metric in collected.metrics()
        for point in metric.data.data_points
    }
    times = {point.time_unix_nano for point in first.values()}
    for name in KINDS:
        collected.instruments.record(name, 1, {"model": "b"})
    second = {
        (metric.name, point.attributes["model"]): point
        for metric in collected.metrics()
        for point in metric.data.data_points
    }
    assert {key for key in first if first[key] is second[key]} == {(name, "a") for name in KINDS}
    (now,) = {point.time_unix_nano for point in second.values()}
    assert now > max(times)


def test_an_exemplar_is_collected_once() -> None:
    collected = Collected(build_views(SPECS))
    for name in KINDS:
        collected.instruments.record(name, 1, {"model": "a"}, CONTEXTS[1])
    found = [
        [len(point.exemplars) for metric in collected.metrics() for point in metric.data.data_points] for _ in range(3)
    ]
    assert found == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_points_are_used_again_and_never_while_a_collection_holds_them() -> None:
    collected = Collected(build_views(SPECS))

    def collect() -> list[Any]:
        for name in KINDS:
            collected.instruments.record(name, 1, {"model": "a"}, CONTEXTS[1])
        return [point for metric in collected.metrics() for point in metric.data.data_points]

    held = [collect() for _ in range(4)]
    assert len({id(point) for points in held for point in points}) == 4 * len(KINDS)
    assert [[getattr(point, "value", None) or point.count for point in points] for points in held] == [
        [number] * len(KINDS) for number in (1, 2, 3, 4)
    ]
    ids = {id(point) for point in held[-1]}
    held.clear()
    for _ in range(4):
        ids |= {id(point) for point in collect()}
    assert len(ids) == 2 * len(KINDS)
