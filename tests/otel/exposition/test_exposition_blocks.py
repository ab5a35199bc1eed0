"""What is written in blocks, from columns, equals what is written line by line from the points of the same collection."""

import gc
import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import HistogramDataPoint, NumberDataPoint
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.delivery.encoding.metrics import PushEncoder
from otel.exposition import series_block
from otel.exposition.series import _by_labels
from otel.exposition.syntax import label_pairs, number
from otel.metrics.columns import Columns
from otel.metrics.label_set import LabelSet
from otel.metrics.reader import metrics_of
from tests.harness.metered import OPENMETRICS, Metered

BOUNDS = (0.1, 1.0, 10.0)
KINDS = {
    "calls_total": Kind.COUNTER,
    "in_progress": Kind.UP_DOWN_COUNTER,
    "seconds": Kind.HISTOGRAM,
    "share": Kind.OBSERVABLE_GAUGE,
}
SPECS = [
    MetricSpec(
        name=name,
        instrument=name,
        kind=kind,
        unit="1",
        help="Help.",
        labels=(Label("model"), Label("status")),
        categories=(Category.SYSTEM,),
        buckets=BOUNDS if kind is Kind.HISTOGRAM else (),
        series_limit=6,
    )
    for name, kind in KINDS.items()
]
MODELS = ["", "a", "b%s", "100 %", 'c"\\\n', "é🜚", "\ud800", "d{}", "e"]
MODEL = st.sampled_from(MODELS)
AMOUNT = st.integers(0, 2**70) | st.floats(0, 1e300) | st.sampled_from([0, 0.0, 0.1, 1.0, 2**63, 2**63 - 1])
GAUGE = AMOUNT | st.sampled_from([math.nan, math.inf, -math.inf, True, -0.0, -(2**63), -(2**63) + 1, -(2**80)])
# The SDK raises "Incorrect merge scale" where the first collection of an exponential series has zeros alone and a later value is below 2**-160.
SPREAD = st.just(0.0) | st.floats(1e-30, 100)
STEP = st.one_of(
    st.tuples(st.sampled_from(["calls_total", "in_progress", "seconds"]), AMOUNT, MODEL, st.booleans(), st.booleans()),
    st.tuples(st.just("share"), GAUGE, MODEL, st.booleans(), st.just(False)),
    st.tuples(st.just("exponential"), SPREAD, MODEL, st.just(False), st.booleans()),
)


class Pipeline:
    """Records into instruments; `expected` is the exposition of the latest collection, written line by line."""

    def __init__(self) -> None:
        view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
        self.metered = Metered(SPECS, share_seconds=0.5, further_views=[view])
        self.root = LabelSet()
        self.shares: dict[str, float] = {}
        self.exponential = self.metered.meter.create_histogram("exponential")
        self.metered.instruments.observe(
            "share", lambda: [(value, {"model": model}) for model, value in self.shares.items()]
        )

    def take(self, step: tuple[Any, ...]) -> None:
        name, value, model, is_bound, is_traced = step
        if name == "share":
            # A gauge that has ended is absent until it is observed again.
            self.shares.pop(model, None) if is_bound else self.shares.update({model: value})
        elif is_traced:
            with self.metered.span():
                self._record(name, value, model, is_bound)
        else:
            self._record(name, value, model, is_bound)

    def _record(self, name: str, value: float, model: str, is_bound: bool) -> None:
        if name == "exponential":
            self.exponential.record(value, {"model": model})
        elif is_bound:
            self.metered.instruments.record(name, value, self.root.plus("model", model))
        else:
            self.metered.instruments.record(name, value, {"model": model})

    def expected(self, *, with_exemplars: bool) -> list[str]:
        snapshot = self.metered.reader.snapshot()
        lines: list[str] = []
        for metric in metrics_of(snapshot.data):
            name = metric.name
            documented = () if name == "exponential" else ("model", "status")
            for point in metric.data.data_points:
                has_exemplars = with_exemplars and (name == "calls_total" or hasattr(point, "bucket_counts"))
                kept = snapshot.exemplars.get(id(point.attributes)) if has_exemplars else None
                by_slot = kept.by_slot if kept else {}
                labels = label_pairs(point.attributes, documented)
                lines += _lines(name, labels, point, by_slot)
        return lines


def _lines(name: str, labels: str, point: Any, by_slot: Any) -> Iterator[str]:
    if isinstance(point, NumberDataPoint):
        yield f"{name}{{{labels}}} {number(point.value)}{_exemplar(by_slot.get(0))}"
    elif isinstance(point, HistogramDataPoint):
        edges = [*(repr(bound) for bound in point.explicit_bounds), "+Inf"]
        for slot, (edge, count) in enumerate(zip(edges, accumulate(point.bucket_counts), strict=True)):
            yield f'{name}_bucket{{{labels},le="{edge}"}} {count}{_exemplar(by_slot.get(slot))}'
        yield f"{name}_sum{{{labels}}} {number(point.sum)}"
        yield f"{name}_count{{{labels}}} {point.count}"


def _exemplar(exemplar: Any) -> str:
    if exemplar is None:
        return ""
    seconds = f"{exemplar.time_unix_nano // 10**9}.{exemplar.time_unix_nano % 10**9 // 10**6:03d}"
    labels = f'trace_id="{exemplar.trace_id:032x}",span_id="{exemplar.span_id:016x}"'
    return f" # {{{labels}}} {number(exemplar.value)} {seconds}"


def sample_lines(body: bytes) -> list[str]:
    lines = body.decode().split("\n")
    return [line for line in lines if line and not line.startswith("#") and not line.startswith("exponential")]


@pytest.mark.parametrize("lines_per_block", [1, 3, 64])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(STEP, max_size=8), min_size=1, max_size=5))
def test_blocks_have_the_lines_of_each_series(lines_per_block: int, rounds: list[list[Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series_block, "LINES_PER_BLOCK", lines_per_block)
        pipeline = Pipeline()
        for steps in rounds:
            pipeline.metered.clock.seconds += 1.0
            for step in steps:
                pipeline.take(step)
            for accept in (None, OPENMETRICS, None):
                body = pipeline.metered.scrape(accept).body
                expected = "\n".join(pipeline.expected(with_exemplars=accept is not None)).encode("utf-8", "replace")
                assert sorted(sample_lines(body)) == sorted(sample_lines(expected))


def test_bound_series_are_collected_as_columns_and_written_without_making_points() -> None:
    metered, root = Metered(SPECS), LabelSet()
    for name in ("calls_total", "in_progress", "seconds"):
        for model in "ab":
            metered.instruments.record(name, 1, root.plus("model", model))
    metered.text()
    metered.openmetrics()
    streams = [metric.data.data_points for metric in metrics_of(metered.reader.snapshot(3600).data)]
    assert [type(points) for points in streams] == [Columns] * 3
    assert [points._points for points in streams] == [None] * 3
    assert [len(points) for points in streams] == [2] * 3


def test_many_series_are_sorted_in_short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel.exposition.series.SORTED_AT_ONCE", 7)
    labels = [str(position * 37 % 101) for position in range(101)]
    assert [labels[position] for position in _by_labels(labels)] == sorted(labels)


def test_families_with_points_of_both_ways_are_whole() -> None:
    """A stream of the application with a catalogued family's name is added to that family."""
    metered, root = Metered(SPECS), LabelSet()
    metered.instruments.record("calls_total", 1, root.plus("model", "a"))
    other = metered.provider.get_meter("other")

    def observed(_: CallbackOptions) -> list[Observation]:
        return [Observation(5, {"model": "a"}), Observation(2, {"model": "b"})]

    other.create_observable_counter("calls_total", [observed])
    assert sorted(sample_lines(metered.scrape().body)) == [
        'calls_total{model="a",status=""} 6',
        'calls_total{model="b",status=""} 2',
    ]


def test_neither_scrape_nor_push_leaves_the_garbage_collector_an_object_for_each_series() -> None:
    """It stops the process while it looks at objects, and series may be a hundred thousand."""
    series = 1_000
    specs = [msgspec.structs.replace(spec, series_limit=series) for spec in SPECS if spec.name != "share"]
    metered = Metered(specs)
    root, encoder = LabelSet(), PushEncoder(lambda: 1)
    sets = [root.plus("model", str(number)) for number in range(series)]

    def new_objects(work: Callable[[], object]) -> int:
        gc.collect()
        before = len(gc.get_objects())
        work()
        gc.collect()  # it leaves tuples of numbers alone from now on
        return len(gc.get_objects()) - before

    def record() -> None:
        for labels in sets:
            metered.instruments.record("calls_total", 1, labels)
            metered.instruments.record("seconds", 0.5, labels)

    def push() -> None:
        encoder.encode(metered.reader.collect_for_push(), is_last=False)

    record()
    metered.text()
    push()
    record()
    assert max(new_objects(metered.text), new_objects(record), new_objects(push)) < series / 10
