"""A bound series and the SDK's own instrument move the same points: same values, same overflow, same refusals, same exemplars."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlignedHistogramBucketExemplarReservoir, Counter, Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import set_span_in_context

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.metrics.exemplar_reservoir import LatestExemplarReservoir
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.views import build_views
from otel.traces.context import traced_context

LABELS = (Label("provider"), Label("model"))
BUCKETS = (0.1, 1.0, 10.0)


def spec(name: str, kind: Kind, **more: Any) -> MetricSpec:
    return MetricSpec(
        name=name,
        instrument=f"{name}.instrument",
        kind=kind,
        unit="1",
        help="Help.",
        labels=LABELS,
        categories=(Category.SYSTEM,),
        **more,
    )


SPECS = (
    spec("calls_total", Kind.COUNTER),
    spec("few_total", Kind.COUNTER, series_limit=2),
    spec("in_progress", Kind.UP_DOWN_COUNTER),
    spec("seconds", Kind.HISTOGRAM, buckets=BUCKETS),
)
SPAN = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
UNSAMPLED = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t").start_span("s")
CONTEXTS = (
    None,
    Context(),
    set_span_in_context(SPAN, Context()),
    set_span_in_context(UNSAMPLED, Context()),
    traced_context(SPAN, Context()),
    traced_context(UNSAMPLED, None),
)

measurements = st.lists(
    st.tuples(
        st.sampled_from([each.name for each in SPECS]),
        st.one_of(
            st.integers(-3, 50), st.floats(-2, 50), st.sampled_from([math.nan, math.inf, -math.inf, 0, -0.0, 0.1, 1.0])
        ),
        # `secret` is no label of the families: the view takes it off, whichever way it comes.
        st.sampled_from([{}, {"provider": "a"}, {"provider": "b", "model": "m"}, {"model": "m", "secret": "x"}]),
        st.sampled_from(range(len(CONTEXTS))),
    ),
    max_size=40,
)


class Rig:
    """Instruments with one reader; `points` are those of the last collection, without what depends on the clock or on chance."""

    def __init__(self, *readers: MetricReader) -> None:
        self.readers = readers or (InMemoryMetricReader(),)
        self.provider = MeterProvider(self.readers, views=build_views(SPECS), shutdown_on_exit=False)
        self.instruments = Instruments(self.provider.get_meter("t"), SPECS)

    def points(self, reader: Any = None) -> dict[Any, Any]:
        data = (reader or self.readers[0]).get_metrics_data()
        return {
            (metric.name, tuple(sorted(point.attributes.items()))): _value(point)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


def _value(point: Any) -> Any:
    if hasattr(point, "bucket_counts"):
        exemplars = [
            (each.value, each.trace_id, each.span_id, dict(each.filtered_attributes or {})) for each in point.exemplars
        ]
        return point.count, point.sum, point.min, point.max, point.bucket_counts, exemplars
    # Which exemplar of a sum is kept is the SDK's dice; that there is one, and of which span, is not.
    return point.value, {(each.trace_id, each.span_id) for each in point.exemplars}


def label_set(root: LabelSet, labels: Mapping[str, str]) -> LabelSet:
    for key, value in labels.items():
        root = root.plus(key, value)
    return root


@settings(max_examples=150, deadline=None)
@given(measurements, st.integers(0, 40))
def test_bound_and_unbound_move_the_same_points(recorded: list[Any], collect_after: int) -> None:
    bound, plain, root = Rig(), Rig(), LabelSet()
    for position, (name, value, labels, context) in enumerate(recorded):
        bound.instruments.record(name, value, label_set(root, labels), CONTEXTS[context])
        plain.instruments.record(name, value, labels, CONTEXTS[context])
        if position == collect_after:
            assert bound.points() == plain.points()
    assert bound.points() == plain.points()


@contextmanager
def counted_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Count what goes through the instrument itself."""
    seen: list[float] = []
    write = Counter.add

    def add(self: Counter, amount: float, *args: Any) -> None:
        seen.append(amount)
        write(self, amount, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "add", add)
        yield seen


def test_only_the_first_value_takes_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet().plus("provider", "a")
    with counted_writes(monkeypatch) as seen:
        rig = Rig()
        for value in (1, 2, 3):
            rig.instruments.record("calls_total", value, labels)
    assert seen == [1]
    assert rig.points()["calls_total", (("provider", "a"),)] == (6, set())


def test_a_reader_that_comes_later_sees_what_comes_later() -> None:
    rig, labels = Rig(), LabelSet().plus("provider", "a")
    rig.instruments.record("calls_total", 1, labels)
    rig.instruments.record("calls_total", 1, labels)
    late = InMemoryMetricReader()
    rig.provider.add_metric_reader(late)
    rig.instruments.record("calls_total", 5, labels)
    rig.instruments.record("calls_total", 5, labels)
    assert rig.points(late)["calls_total", (("provider", "a"),)] == (10, set())
    assert rig.points()["calls_total", (("provider", "a"),)] == (12, set())


def test_a_delta_reader_whose_aggregations_are_replaced_gets_everything() -> None:
    rig = Rig(InMemoryMetricReader(preferred_temporality={Counter: AggregationTemporality.DELTA}))
    labels = LabelSet().plus("provider", "a")
    for _ in range(3):
        rig.instruments.record("calls_total", 1, labels)
        rig.instruments.record("calls_total", 1, labels)
        assert rig.points()["calls_total", (("provider", "a"),)] == (2, set())


def test_an_sdk_of_another_build_is_recorded_to_the_public_way(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet().plus("provider", "a")
    with counted_writes(monkeypatch) as seen:
        rig = Rig()
        monkeypatch.setattr("otel.metrics.bound_series.sdk_match", object())
        for value in (1, 2, 3):
            rig.instruments.record("calls_total", value, labels)
    assert seen == [1, 2, 3]
    assert rig.points()["calls_total", (("provider", "a"),)] == (6, set())


# With a span each: the SDK's reservoir gives a measurement without one the ids of the one before it.
TRACED = (CONTEXTS[2], CONTEXTS[3], traced_context(UNSAMPLED, Context()))
offers = st.lists(
    st.tuples(
        st.floats(-1, 20) | st.sampled_from(BUCKETS), st.sampled_from(TRACED), st.sampled_from([None, {"a": "1"}])
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(offers, min_size=1, max_size=3))
def test_the_reservoir_of_a_histogram_keeps_what_the_sdks_keeps(rounds: list[Any]) -> None:
    ours, theirs = LatestExemplarReservoir(boundaries=BUCKETS), AlignedHistogramBucketExemplarReservoir(BUCKETS)
    for offered in rounds:
        for number, (value, context, attributes) in enumerate(offered):
            for reservoir in (ours, theirs):
                reservoir.offer(value, number, attributes, context)
        assert _plain(ours.collect({"b": "2"})) == _plain(theirs.collect({"b": "2"}))


def _plain(exemplars: list[Exemplar]) -> list[Any]:
    return [
        (each.value, each.time_unix_nano, dict(each.filtered_attributes or {}), each.span_id, each.trace_id)
        for each in exemplars
    ]


def test_the_reservoir_of_a_sum_keeps_the_latest() -> None:
    reservoir = LatestExemplarReservoir()
    for value in (1, 2, 3):
        reservoir.offer(value, value, {"kept": "k", "point": "p"}, CONTEXTS[4])
    (exemplar,) = reservoir.collect({"point": "p"})
    assert (exemplar.value, exemplar.filtered_attributes) == (3, {"kept": "k"})
    assert exemplar.trace_id == SPAN.get_span_context().trace_id
    assert reservoir.collect({}) == []


def test_equal_labels_are_the_same_set_and_a_flood_of_values_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    root = LabelSet()
    assert root.plus("a", "1").plus("b", "2") is root.plus("a", "1").plus("b", "2")
    assert root.plus("a", "1") == {"a": "1"}
    monkeypatch.setattr("otel.metrics.label_set._MAX_LARGER", 3)
    sets = [root.plus("a", str(number)) for number in range(10)]
    assert [each["a"] for each in sets] == [str(number) for number in range(10)]
    assert root.plus("a", "9") is not sets[9]
