"""Attempts that are measured together update the same points as one after the other, and one without numbers costs no other."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from otel.catalogue import CATALOGUE
from otel.events import AttemptFinished, AttemptStarted
from otel.events.usage import Usage
from otel.labels import LabelBounds
from otel.metrics.instruments import Instruments
from otel.metrics.measurements import Measurements
from otel.metrics.views import build_views
from otel.traces.context import traced_context

CONTEXT = traced_context(TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s"), Context())
SECONDS = st.none() | st.integers(0, 9) | st.sampled_from([0.25, 0.5, 3.0])
USAGES = st.builds(
    Usage,
    input_tokens=st.integers(0, 3),
    output_tokens=st.integers(0, 3),
    cost_nanousd=st.sampled_from([0, 500_000_000]),
    credits_nanousd=st.sampled_from([0, 250_000_000]),
    cost_source=st.sampled_from([None, "priced"]),
    cached_tokens=st.sampled_from([0, 0, 1]),
)
FINISHED = st.builds(
    AttemptFinished,
    status=st.sampled_from(["success", "error", "cancelled"]),
    duration_seconds=st.sampled_from([1, 2.5]),
    response_seconds=SECONDS,
    first_token_seconds=SECONDS,
    longest_gap_seconds=SECONDS,
    pool_wait_seconds=SECONDS,
    usage=USAGES,
)


def started(provider: str, model: str) -> AttemptStarted:
    return AttemptStarted(
        provider=provider,
        model=model,
        upstream_model=model,
        operation="chat",
        stream=True,
        number=1,
        server_address="",
        server_port=0,
    )


STARTED = st.builds(started, st.sampled_from(["p", "q", "unknown"]), st.sampled_from(["m", "unknown"]))


class Measured:
    """Measurements with the points that they made."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        provider = MeterProvider([self.reader], views=build_views(CATALOGUE), shutdown_on_exit=False)
        bounds = LabelBounds.from_routes("gw", (("p", "m"), ("q", "m")))
        self.measurements = Measurements(Instruments(provider.get_meter("t"), CATALOGUE), bounds)

    def points(self) -> set[tuple[object, ...]]:
        data = self.reader.get_metrics_data()
        return {
            (metric.name, *sorted(point.attributes.items()), getattr(point, "value", None), getattr(point, "sum", None))
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FINISHED, STARTED), max_size=9))
def test_attempts_measured_together_update_the_points_of_each(attempts) -> None:
    together, each = Measured(), Measured()
    for finished, of in attempts:
        together.measurements.attempt_finished(finished, of, CONTEXT)
        each.measurements.attempt_finished(finished, of, Context())  # without a span it is recorded at once
    assert together.points() == each.points()


@pytest.mark.parametrize("broken", [Usage(cost_nanousd="much"), Usage(output_tokens="many")])  # type: ignore[arg-type]
def test_an_attempt_without_numbers_costs_no_other_one(broken: Usage) -> None:
    measured = Measured()
    for usage in (Usage(input_tokens=2), broken, Usage(input_tokens=3)):
        finished = AttemptFinished(status="success", duration_seconds=2.0, first_token_seconds=1.0, usage=usage)
        measured.measurements.attempt_finished(finished, started("p", "m"), CONTEXT)
    with pytest.raises(TypeError):
        measured.measurements._pending.flush()
    found = {(name, labels): value for name, *labels_of, value, _ in measured.points() for labels in [tuple(labels_of)]}
    route = (("model", "m"), ("provider", "p"))
    assert found["tokens_used_total", (*route, ("token_type", "input"))] == 5
    assert found["model_inference_requests_total", (*route, ("status", "success"))] == 3
