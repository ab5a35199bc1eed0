"""The encoding here of counters and histograms against the SDK's, byte by byte."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.catalogue.spec import Kind, Label, MetricSpec
from otel.delivery.encoding import metrics, points
from otel.delivery.encoding.metrics import PushEncoder
from otel.delivery.encoding.points import PointEncoder
from otel.metrics.columns import Columns
from otel.metrics.label_set import LabelSet
from otel.metrics.reader import metrics_of
from tests.harness.metered import Metered

UINT64 = st.integers(0, (1 << 64) - 1)
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats()
TEXT = st.text(max_size=9) | st.sampled_from(["", "a", "ü" * 70])
ATTRIBUTES = st.none() | st.dictionaries(st.text(min_size=1, max_size=9), TEXT | st.integers(-5, 300), max_size=3)
IDS = st.sampled_from([(None, None), (1, 1), ((1 << 64) - 1, (1 << 128) - 1), (None, 7)])
EXEMPLARS = st.lists(st.builds(lambda ids, *rest: Exemplar(*rest, *ids), IDS, ATTRIBUTES, NUMBERS, UINT64), max_size=2)
COUNTERS = st.builds(NumberDataPoint, ATTRIBUTES, st.none() | UINT64, UINT64, NUMBERS, EXEMPLARS)
HISTOGRAMS = st.builds(
    HistogramDataPoint,
    ATTRIBUTES,
    UINT64,
    UINT64,
    UINT64,
    NUMBERS,
    st.lists(UINT64, max_size=4).map(tuple),
    st.lists(st.floats(), max_size=3).map(tuple),
    st.floats() | st.sampled_from([math.inf, -math.inf]),
    st.floats(),
    EXEMPLARS,
)
TEMPORALITIES = st.sampled_from(AggregationTemporality)
DATA = st.one_of(
    st.builds(Sum, st.lists(COUNTERS, min_size=1, max_size=3), TEMPORALITIES, st.just(True)),
    st.builds(Histogram, st.lists(HISTOGRAMS, min_size=1, max_size=3), TEMPORALITIES),
)
METRICS = st.builds(Metric, TEXT, st.none() | TEXT, st.none() | TEXT, DATA)


def collection(*metrics: Metric) -> MetricsData:
    scopes = [
        ScopeMetrics(InstrumentationScope(name), list(each), None)
        for name, each in (("a", metrics[:2]), ("b", metrics[2:]))
    ]
    return MetricsData([ResourceMetrics(Resource({"service.name": "gw"}, "https://schema"), scopes, "https://schema")])


@pytest.fixture(scope="module", autouse=True)
def pieces_of_two_points() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "POINTS_PER_PIECE", 2)
        yield


def sdks_bytes(metric: Metric) -> bytes:
    [group] = encode_metrics(collection(metric)).resource_metrics
    body: bytes = group.scope_metrics[0].metrics[0].SerializeToString()
    return body


@given(METRICS)
def test_a_metric_is_encoded_as_the_sdk_encodes_it(metric: Metric) -> None:
    assert b"".join(PointEncoder().encode(metric) or []) == sdks_bytes(metric)


RECORDED = st.lists(
    st.tuples(st.sampled_from(["calls_total", "seconds"]), st.integers(0, 9) | st.floats(0, 9), st.sampled_from("abcde"), st.booleans()),
    min_size=1,
    max_size=20,
)  # fmt: skip


def metered_series() -> tuple[Metered, LabelSet]:
    specs = [
        MetricSpec(name="calls_total", instrument="calls_total", kind=Kind.COUNTER, unit="1", help="Calls.", labels=(Label("model"),)),
        MetricSpec(name="seconds", instrument="seconds", kind=Kind.HISTOGRAM, unit="s", help="Seconds.", labels=(Label("model"),),
                   buckets=(0.1, 1.0, 5.0)),
    ]  # fmt: skip
    return Metered(specs), LabelSet()


@settings(deadline=None, max_examples=50)
@given(RECORDED)
def test_collected_columns_are_encoded_as_the_sdk_encodes_their_points(recorded: list[Any]) -> None:
    metered, root = metered_series()
    for name, value, model, is_traced in recorded:
        with metered.span() if is_traced else nullcontext():
            metered.instruments.record(name, value, root.plus("model", model))
    for metric in metrics_of(metered.reader.collect_for_push()):
        assert isinstance(metric.data.data_points, Columns)
        encoded = b"".join(PointEncoder().encode(metric) or [])
        assert metric.data.data_points._points is None, "no points were made"
        assert encoded == sdks_bytes(metric)


def test_no_step_of_a_push_grows_with_the_number_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """One long step holds the interpreter: pieces are bounded, and joined once, without being copied before."""
    monkeypatch.setattr(points, "POINTS_PER_PIECE", 256)
    metered, root = metered_series()
    for number in range(1_500):
        labels = root.plus("model", str(number))
        metered.instruments.record("calls_total", 1, labels)
        metered.instruments.record("seconds", 0.5, labels)
    longest = []

    def pieces(*args: Any) -> list[bytes]:
        found = original(*args)
        longest.append(max(map(len, found)))
        return found

    original = metrics._pieces
    monkeypatch.setattr(metrics, "_pieces", pieces)
    body = PushEncoder(lambda: 1).encode(metered.reader.collect_for_push(), is_last=False)
    assert len(body) > 200_000
    assert longest[0] < 50_000


def number(value: Any, attributes: Any = None) -> NumberDataPoint:
    return NumberDataPoint(attributes or {}, 1, 2, value)


@pytest.mark.parametrize(
    "data",
    [
        Gauge([number(1)]),
        Sum([number(1)], AggregationTemporality.CUMULATIVE, is_monotonic=False),
        Sum([], AggregationTemporality.CUMULATIVE, is_monotonic=True),
        Sum([number(1, {"k": b"bytes"})], AggregationTemporality.CUMULATIVE, is_monotonic=True),
        Sum([number(1, {"": "v"})], AggregationTemporality.CUMULATIVE, is_monotonic=True),
        Sum([number(1 << 70)], AggregationTemporality.CUMULATIVE, is_monotonic=True),
    ],
)
def test_everything_else_is_left_to_the_sdk(data: Any) -> None:
    assert PointEncoder().encode(Metric("m", "", "", data)) is None


@given(st.lists(METRICS, max_size=4), st.booleans())
def test_a_push_holds_what_the_sdk_makes_of_the_collection(pushed: list[Metric], has_gauge: bool) -> None:
    named = [Metric(f"m{place}", each.description, each.unit, each.data) for place, each in enumerate(pushed)]
    named += [Metric("gauge", "", "", Gauge([number(3)]))] if has_gauge else []
    data = collection(*named)
    request = ExportMetricsServiceRequest.FromString(PushEncoder(lambda: 1).encode(data, is_last=False))
    expected = encode_metrics(data)
    for each in (request, expected):
        for scoped in each.resource_metrics[0].scope_metrics:
            scoped.metrics.sort(key=lambda metric: metric.name)
    assert request.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
