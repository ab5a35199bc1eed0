"""Text of single samples: escaping, numbers, names, and points that the SDK cannot be made to produce."""

import itertools
import math
import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
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
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel.catalogue.spec import Kind, Label, MetricSpec
from otel.exposition import Exposition
from otel.exposition.buckets import classic_buckets
from otel.exposition.syntax import label_key, label_pairs, metric_name, number, unit_word
from tests.harness.metered import OPENMETRICS

CUMULATIVE = AggregationTemporality.CUMULATIVE


def point(value, attributes=None, *, start=1, time=2):
    return NumberDataPoint(attributes or {}, start, time, value)


def counter(name, *points, description=""):
    return Metric(name, description, "", Sum(points, CUMULATIVE, is_monotonic=True))


def gauge(name, *points, description=""):
    return Metric(name, description, "", Gauge([point(one.value, one.attributes, start=None) for one in points]))


def histogram(name, counts, bounds, total, attributes=None):
    one = HistogramDataPoint(attributes or {}, 1, 2, sum(counts), total, counts, bounds, 0, 0)
    return Metric(name, "", "", Histogram([one], CUMULATIVE))


def exponential(scale, offset, counts, *, zero=0, negative=((0, ()))):
    total = sum(counts) + zero + sum(negative[1])
    return ExponentialHistogramDataPoint(
        {}, 1, 2, total, 1.5, scale, zero, Buckets(offset, list(counts)), Buckets(*negative), 0, 0, 0
    )


def expose(*scopes, catalogue=(), accept=None):
    """Render metrics of one or more scopes (lists of metrics)."""
    scope_metrics = [
        ScopeMetrics(InstrumentationScope(f"scope{number}"), metrics, "") for number, metrics in enumerate(scopes)
    ]
    data = MetricsData([ResourceMetrics(Resource({}), scope_metrics, "")])
    reader = SimpleNamespace(snapshot=lambda: SimpleNamespace(number=1, data=data, exemplars={}))
    exposition = Exposition(reader, catalogue)
    return exposition.respond(method="GET", accept=accept, accept_encoding=None).body.decode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (-3, "-3"),
        (2**62, str(2**62)),
        (2**63, "9.223372036854776e+18"),
        (10**400, "+Inf"),
        (-(10**400), "-Inf"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (1e-05, "1e-05"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (True, "1.0"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=False) | st.integers(-(2**62), 2**62))
def test_a_number_reads_back_the_same(value):
    assert float(number(value)) == float(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("gen_ai.client.token.usage", "gen_ai_client_token_usage"),
        ("a:b", "a:b"),
        ("a__b", "a_b"),
        ("h.t.t.p__dots..x", "h_t_t_p_dots_x"),
        ("9lives", "_9lives"),
        ("été", "_t_"),
        ("", "_"),
    ],
)
def test_metric_names(name, text):
    assert metric_name(name) == text


@given(st.text())
def test_any_name_and_key_becomes_a_valid_one(text):
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", metric_name(text))
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", label_key(text))
    assert not label_key(text).startswith("__")


def test_label_values_are_text_as_the_stock_exporter_writes_it():
    attributes = {"a": True, "b": None, "c": 1, "d": 1.5, "e": ["x", 2], "f": "plain"}
    assert label_pairs(attributes, ()) == r'a="true",b="null",c="1",d="1.5",e="[\"x\", 2]",f="plain"'


def test_documented_labels_come_first_and_are_empty_where_missing():
    assert label_pairs({"z": "1", "b": "2", "a": ""}, ("z", "y")) == 'z="1",y="",b="2"'


def test_nothing_but_documented_keys_of_no_attributes():
    assert label_pairs(None, ()) == ""
    assert label_pairs({}, ("k",)) == 'k=""'


def test_an_attribute_le_of_a_histogram_does_not_clash_with_the_bucket_label():
    text = expose([histogram("h", [1, 0], [1], 0.5, {"le": "mine"})])
    assert 'h_bucket{exported_le="mine",le="1.0"} 1\n' in text
    assert list(parse_text(text))
    assert 'c{le="mine"} 1\n' in expose([counter("c", point(1, {"le": "mine"}))])


HELP = 'A "quoted" back\\slash and\na second line'


def test_help_is_escaped_as_each_format_demands():
    metrics = [gauge("g", point(1), description=HELP)]
    assert '# HELP g A "quoted" back\\\\slash and\\na second line\n' in expose(metrics)
    assert '# HELP g A \\"quoted\\" back\\\\slash and\\na second line\n' in expose(metrics, accept=OPENMETRICS)
    for family in (*parse_text(expose(metrics)), *parse_openmetrics(expose(metrics, accept=OPENMETRICS))):
        assert family.documentation == HELP


@pytest.mark.parametrize("description", ["", " ", "\n "])
def test_a_family_without_a_description_gets_one(description):
    metrics = [gauge("g.h", point(1), description=description)]
    assert "# HELP g_h Instrument g.h, which is not catalogued.\n" in expose(metrics)
    assert list(parse_openmetrics(expose(metrics, accept=OPENMETRICS)))


@given(st.text(max_size=20))
def test_any_label_value_survives(value):
    for text in (
        expose([gauge("g", point(1, {"k": value}))]),
        expose([gauge("g", point(1, {"k": value}))], accept=OPENMETRICS),
    ):
        parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
        (family,) = parse(text)
        assert family.samples[0].labels.get("k", "") == value.encode("utf-8", "replace").decode()


def test_a_lone_surrogate_breaks_nothing():
    assert 'g{k="?"} 1\n' in expose([gauge("g", point(1, {"k": "\ud800"}))])


def test_nan_and_infinities():
    text = expose([gauge("g", point(math.nan, {"k": "a"}), point(math.inf, {"k": "b"}), point(-math.inf, {"k": "c"}))])
    assert text.endswith('g{k="a"} NaN\ng{k="b"} +Inf\ng{k="c"} -Inf\n')
    assert [str(sample.value) for family in parse_text(text) for sample in family.samples] == ["nan", "inf", "-inf"]


def test_integer_bounds_are_written_as_floats():
    assert 'h_bucket{le="1.0"} 2\nh_bucket{le="+Inf"} 3\n' in expose([histogram("h", [2, 1], [1], 9)])


def test_a_histogram_without_bounds_is_whole():
    text = expose([histogram("h", [3], [], 9)])
    assert text.endswith('h_bucket{le="+Inf"} 3\nh_sum 9\nh_count 3\n')


def test_colliding_series_are_added():
    colliding = [point(1, {"a": 1}), point(2, {"a": "1"})]
    assert expose([counter("c", *colliding)]).endswith('# TYPE c counter\nc{a="1"} 3\n')
    assert expose([counter("c", point(1))], [counter("c", point(2.5))]).endswith("c 3.5\n")
    assert expose([histogram("h", [1, 0], [1.0], 0.5)], [histogram("h", [0, 2], [1.0], 9)]).endswith(
        'h_bucket{le="1.0"} 1\nh_bucket{le="+Inf"} 3\nh_sum 9.5\nh_count 3\n'
    )


def test_of_colliding_gauges_the_latest_wins():
    older, newer = gauge("g", point(1)), gauge("g", point(2))
    late = Metric("g", "", "", Gauge([NumberDataPoint({}, None, 9, 5)]))
    assert expose([older, late], [newer]).endswith("g 5\n")


def test_histograms_that_cannot_be_added_do_not_come_twice():
    text = expose([histogram("h", [1, 0], [1.0], 0.5)], [histogram("h", [0, 2], [2.0], 9)])
    assert text.endswith('h_bucket{le="2.0"} 0\nh_bucket{le="+Inf"} 2\nh_sum 9\nh_count 2\n')


def test_different_series_of_two_scopes_keep_their_own_labels():
    text = expose([counter("c", point(1, {"x": "1"}))], [counter("c", point(2, {"y": "2"}))])
    assert text.endswith('c{x="1"} 1\nc{y="2"} 2\n')
    assert text.count("# TYPE") == 1


def test_a_name_has_one_type():
    text = expose([counter("n", point(1))], [gauge("n", point(2, {"k": "v"}))])
    assert text.endswith("# TYPE n counter\nn 1\n")
    assert text.count("# TYPE") == 1


def test_the_catalogue_gives_help_and_labels_to_a_family():
    spec = MetricSpec(
        name="odd__name_seconds", instrument="odd", kind=Kind.COUNTER, unit="s", help="From the catalogue.",
        labels=(Label("k"),),
    )  # fmt: skip
    text = expose([counter("odd__name_seconds", point(1), description="From the code.")], catalogue=[spec])
    assert text.splitlines() == [
        "# HELP odd__name_seconds From the catalogue.",
        "# TYPE odd__name_seconds counter",
        'odd__name_seconds{k=""} 1',
    ]


def test_units():
    assert unit_word("s") == "seconds"
    assert unit_word("By{annotated}") == "bytes"
    assert [unit_word(unit) for unit in ("1", "", "{token}", "USD", "{token}/s")] == [""] * 5


def test_exponential_buckets():
    """Scale 0 doubles: bucket i covers (2^i, 2^(i+1)]."""
    assert classic_buckets(exponential(0, 0, [1, 0, 2])) == ([1.0, 2.0, 4.0, 8.0], [0, 1, 1, 3, 3])
    assert classic_buckets(exponential(0, 1, [1], zero=4)) == ([0.0, 2.0, 4.0], [4, 4, 5, 5])
    assert classic_buckets(exponential(0, 0, [1], zero=1, negative=(1, [2, 3]))) == (
        [-4.0, -2.0, 0.0, 1.0, 2.0],
        [3, 5, 6, 6, 7, 7],
    )
    assert classic_buckets(exponential(-1, 0, [1])) == ([1.0, 4.0], [0, 1, 1])
    assert classic_buckets(exponential(0, 0, [])) == ([], [0])
    assert classic_buckets(exponential(0, 0, [0, 0], zero=2)) == ([0.0], [2, 2])


def test_exponential_buckets_at_the_limits_of_floats():
    bounds, counts = classic_buckets(exponential(0, 1022, [1, 2, 3]))
    assert bounds == [2.0**1022, 2.0**1023]
    assert counts == [0, 1, 6]
    bounds, counts = classic_buckets(exponential(0, -1080, [1, 2, 3]))
    assert bounds == [0.0]
    assert counts == [6, 6]


@given(
    st.integers(-10, 20),
    st.integers(-2000, 2000),
    st.lists(st.integers(0, 5), max_size=20),
    st.integers(0, 3),
    st.lists(st.integers(0, 5), max_size=20),
)
def test_exponential_buckets_always_rise_to_the_count(scale, offset, positive, zero, negative):
    point = exponential(scale, offset, positive, zero=zero, negative=(offset, negative))
    bounds, counts = classic_buckets(point)
    assert all(low < high for low, high in itertools.pairwise(bounds))
    assert all(math.isfinite(bound) for bound in bounds)
    assert list(counts) == sorted(counts)
    assert counts[-1] == point.count
    assert len(counts) == len(bounds) + 1
    metric = Metric("e", "", "", ExponentialHistogram([point], CUMULATIVE))
    assert list(parse_text(expose([metric])))
