"""Events whose values are added up later update the same points as the instruments that record each value at once."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.metrics.event_recording import EventRecording
from otel.metrics.instruments import Instruments
from otel.metrics.label_set import LabelSet
from otel.metrics.pending import MAX_WAITING
from otel.metrics.views import build_views
from otel.traces.context import traced_context

SPECS = tuple(
    MetricSpec(
        name=name,
        instrument=name,
        kind=kind,
        unit="1",
        help="Help.",
        labels=(Label("model"),),
        categories=(Category.SYSTEM,),
        buckets=(0.1, 1.0, 10.0) if kind is Kind.HISTOGRAM else (),
    )
    for name, kind in (
        ("calls_total", Kind.COUNTER),
        ("cost_total", Kind.COUNTER),
        ("going", Kind.UP_DOWN_COUNTER),
        ("seconds", Kind.HISTOGRAM),
    )
)
SPANS = [
    TracerProvider(sampler, shutdown_on_exit=False).get_tracer("t").start_span("s") for sampler in (None, ALWAYS_OFF)
]
CONTEXTS = (None, Context(), *(traced_context(span, Context()) for span in SPANS))
AMOUNTS = st.none() | st.integers(-1, 9) | st.floats(-1, 20) | st.sampled_from([math.nan, math.inf, 0, 0.1, 1.0])
STEPS = st.lists(st.none() | st.tuples(st.sampled_from("ab"), AMOUNTS, AMOUNTS, st.sampled_from(CONTEXTS)), max_size=60)


class Recording(EventRecording):
    """Records one kind of event by model, as an event or value by value."""

    def __init__(self, **provider: Any) -> None:
        temporality = provider.pop("temporality", AggregationTemporality.CUMULATIVE)
        self.reader = InMemoryMetricReader(preferred_temporality={Counter: temporality})
        self.provider = MeterProvider([self.reader], views=build_views(SPECS), shutdown_on_exit=False, **provider)
        super().__init__(Instruments(self.provider.get_meter("t"), SPECS))
        self.root = LabelSet()

    def record(self, model: str, cost: Any, seconds: Any, context: Context | None) -> None:
        labels = self.root.plus("model", model)
        series = labels.of_events.get("call") or self._series(
            labels,
            "call",
            counted=[("calls_total", labels, 1), ("going", labels, -1)],
            valued=[("cost_total", labels), ("seconds", labels)],
        )
        self._add(series, (cost, seconds), context)

    def record_each(self, model: str, cost: Any, seconds: Any, context: Context | None) -> None:
        values = (("calls_total", 1), ("going", -1), ("cost_total", cost), ("seconds", seconds))
        for name, value in values:
            if value is not None:
                self._instruments.record(name, value, {"model": model}, None if name == "going" else context)

    def points(self) -> dict[Any, Any]:
        data = self.reader.get_metrics_data()
        return {
            (metric.name, point.attributes["model"]): (
                getattr(point, "value", None),
                *(getattr(point, name, None) for name in ("bucket_counts", "sum", "min", "max")),
                [(each.value, each.span_id) for each in point.exemplars],
            )
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@pytest.mark.parametrize(
    "provider", [{}, {"exemplar_filter": AlwaysOnExemplarFilter()}, {"temporality": AggregationTemporality.DELTA}]
)
@settings(max_examples=100, deadline=None)
@given(steps=STEPS)
def test_events_update_the_points_that_single_values_update(provider: dict[str, Any], steps: list[Any]) -> None:
    later, at_once = Recording(**provider), Recording(**provider)
    for step in [*steps, None]:
        if step is None:
            assert later.points() == at_once.points()
        else:
            later.record(*step)
            at_once.record_each(*step)


def test_values_wait_for_others_or_for_a_collection_and_never_are_many() -> None:
    recording = Recording()
    for number in range(1, MAX_WAITING):
        recording.record("a", 1, 0.5, CONTEXTS[2])
        assert recording._pending.waiting == number
    recording.record("a", 1, 0.5, CONTEXTS[2])
    assert recording._pending.waiting == 0
    recording.record("a", 1, 0.5, CONTEXTS[2])
    assert recording.points()["calls_total", "a"][0] == MAX_WAITING + 1
    assert recording._pending.waiting == 0


def test_a_value_that_cannot_be_recorded_costs_no_other_one() -> None:
    recording = Recording()
    recording.record("a", "no number", 0.5, CONTEXTS[2])
    recording.record("b", 2, "no number either", CONTEXTS[2])
    recording.record("a", 3, 4.0, CONTEXTS[2])
    with pytest.raises(TypeError):
        recording._pending.flush()
    found = {key: value[0] if value[1] is None else value[2] for key, value in recording.points().items()}
    assert found == {
        ("calls_total", "a"): 2,
        ("calls_total", "b"): 1,
        ("going", "a"): -2,
        ("going", "b"): -1,
        ("cost_total", "a"): 3,
        ("cost_total", "b"): 2,
        ("seconds", "a"): 4.5,
    }
