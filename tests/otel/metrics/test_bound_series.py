"""A bound series and the SDK's instrument update the same points: same values, overflow, refusals and exemplars."""

import math
import threading
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
from otel.metrics.reader import OVERFLOW_ATTRIBUTE
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
        # `secret` is no label of the families: the view removes it on either path.
        st.sampled_from([{}, {"provider": "a"}, {"provider": "b", "model": "m"}, {"model": "m", "secret": "x"}]),
        st.sampled_from(range(len(CONTEXTS))),
    ),
    max_size=40,
)


class Harness:
    """Instruments with one reader; `points` are those of the last collection, without clock readings and random choices."""

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
    # The SDK keeps a random exemplar of a sum; only whether there is one, and its span, are certain.
    value = point.value
    if OVERFLOW_ATTRIBUTE in point.attributes:
        # Several series add to it, each its own sum: floats differ in the last digits by the order of additions.
        value = round(value, 9)
    return value, {(each.trace_id, each.span_id) for each in point.exemplars}


def label_set(root: LabelSet, labels: Mapping[str, str]) -> LabelSet:
    for key, value in labels.items():
        root = root.plus(key, value)
    return root


@settings(max_examples=150, deadline=None)
@given(measurements, st.integers(0, 40))
def test_bound_and_unbound_update_the_same_points(recorded: list[Any], collect_after: int) -> None:
    bound, unbound, root = Harness(), Harness(), LabelSet()
    for position, (name, value, labels, context) in enumerate(recorded):
        bound.instruments.record(name, value, label_set(root, labels), CONTEXTS[context])
        unbound.instruments.record(name, value, labels, CONTEXTS[context])
        if position == collect_after:
            assert bound.points() == unbound.points()
    assert bound.points() == unbound.points()


@contextmanager
def counted_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Collect the values that go through the instrument itself."""
    written: list[float] = []
    write = Counter.add

    def add(self: Counter, amount: float, *args: Any) -> None:
        written.append(amount)
        write(self, amount, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Counter, "add", add)
        yield written


def test_no_value_of_a_bound_series_goes_through_the_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet().plus("provider", "a")
    with counted_writes(monkeypatch) as written:
        harness = Harness()
        for value in (1, 2, 3):
            harness.instruments.record("calls_total", value, labels)
    assert written == []
    assert harness.points()["calls_total", (("provider", "a"),)] == (6, set())


def test_a_reader_that_is_added_later_sees_later_values() -> None:
    harness, labels = Harness(), LabelSet().plus("provider", "a")
    harness.instruments.record("calls_total", 1, labels)
    harness.instruments.record("calls_total", 1, labels)
    late = InMemoryMetricReader()
    harness.provider.add_metric_reader(late)
    harness.instruments.record("calls_total", 5, labels)
    harness.instruments.record("calls_total", 5, labels)
    assert harness.points(late)["calls_total", (("provider", "a"),)] == (10, set())
    assert harness.points()["calls_total", (("provider", "a"),)] == (12, set())


def test_a_collection_sees_all_measurements_of_an_event_or_none() -> None:
    harness, root = Harness(), LabelSet()
    stop, seen = threading.Event(), set()

    def record() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            # A new series from time to time: its creation must not show a part of the event either.
            labels = root.plus("provider", str(number // 20 % 60))
            with harness.instruments.lock:
                harness.instruments.record("calls_total", 1, labels, CONTEXTS[4])
                harness.instruments.record("in_progress", 1, labels)
                harness.instruments.record("seconds", 0.5, labels, CONTEXTS[4])

    recording = threading.Thread(target=record)
    recording.start()
    try:
        for _ in range(200):
            points = harness.points()
            calls = sum(value[0] for key, value in points.items() if key[0] == "calls_total")
            going = sum(value[0] for key, value in points.items() if key[0] == "in_progress")
            seconds = sum(value[0] for key, value in points.items() if key[0] == "seconds")
            assert calls == going == seconds
            seen.add(calls)
    finally:
        stop.set()
        recording.join()
    assert len(seen) > 1


def test_a_delta_reader_whose_aggregations_are_replaced_gets_everything() -> None:
    harness = Harness(InMemoryMetricReader(preferred_temporality={Counter: AggregationTemporality.DELTA}))
    labels = LabelSet().plus("provider", "a")
    for _ in range(3):
        harness.instruments.record("calls_total", 1, labels)
        harness.instruments.record("calls_total", 1, labels)
        assert harness.points()["calls_total", (("provider", "a"),)] == (2, set())


def test_an_unknown_sdk_is_recorded_to_through_its_public_api(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LabelSet().plus("provider", "a")
    with counted_writes(monkeypatch) as written:
        harness = Harness()
        monkeypatch.setattr("otel.metrics.bound_series.sdk_match", object())
        for value in (1, 2, 3):
            harness.instruments.record("calls_total", value, labels)
    assert written == [1, 2, 3]
    assert harness.points()["calls_total", (("provider", "a"),)] == (6, set())


# Each has a span, because the SDK's reservoir gives a measurement without one the ids of the previous one.
TRACED = (CONTEXTS[2], CONTEXTS[3], traced_context(UNSAMPLED, Context()))
offers = st.lists(
    st.tuples(
        st.floats(-1, 20) | st.sampled_from(BUCKETS), st.sampled_from(TRACED), st.sampled_from([None, {"a": "1"}])
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(offers, min_size=1, max_size=3))
def test_the_reservoir_of_a_histogram_keeps_what_the_sdks_reservoir_keeps(rounds: list[Any]) -> None:
    latest, aligned = LatestExemplarReservoir(boundaries=BUCKETS), AlignedHistogramBucketExemplarReservoir(BUCKETS)
    for offered in rounds:
        for number, (value, context, attributes) in enumerate(offered):
            for reservoir in (latest, aligned):
                reservoir.offer(value, number, attributes, context)
        assert _comparable(latest.collect({"b": "2"})) == _comparable(aligned.collect({"b": "2"}))


def _comparable(exemplars: list[Exemplar]) -> list[Any]:
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
