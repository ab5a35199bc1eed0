"""Against the stock OpenTelemetry exporter: two readers on one provider, generated instruments, equal samples.

The known differences are listed below; any other difference is a defect.
"""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_attribute, sanitize_full_name
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel.exposition.syntax import label_pairs, metric_name
from tests.harness.metered import Metered

DIFFERENCES = {
    "suffixes": "stock appends the unit and `_total` to names; this one keeps the stream's name, here and over OTLP",
    "le": "stock writes bounds as Python prints them (`1` for an integer bound); here they are always floats (`1.0`)",
    "leading digit": "stock replaces the leading digit of a name or key (`9x`, `8x` -> `_x`); this one keeps it (`_9x`, `_8x`)",
    "collisions": "stock keeps the last of the attributes whose keys become equal; this one joins the values with `;` (the spec)",
    "colliding series": "stock writes a series twice where attribute sets become equal; this one adds them",
    "exponential": "one exponential histogram makes every stock scrape fail; this one writes it as a classic one",
    "negative bounds": "stock leaves out sum and count of a histogram with a negative bound (the SDK refuses negative values)",
    "parser": "prometheus_client's text parser adds `_total` to a bare counter; Prometheus itself does not",
    "empty labels": "stock fills in every label key of the family; Prometheus treats an empty label as absent, and so do we here",
}

SUFFIXES = ("_bucket", "_sum", "_count", "")
WORDS = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_./-]{0,12}", fullmatch=True)
ENDINGS = st.sampled_from(["", "_total", "_seconds", "_bytes", "_seconds_total", ".s", "_USD"])
UNITS = st.sampled_from(["", "1", "s", "ms", "By", "{token}", "USD", "%", "By/s", "{token}/s", "Cel", "weird unit"])
KINDS = st.sampled_from(
    ["counter", "observable_counter", "up_down_counter", "gauge", "observable_gauge", "histogram", "explicit"]
)
NUMBERS = st.one_of(
    st.integers(0, 10**12),
    st.floats(min_value=0, allow_nan=False),
    st.sampled_from([0, 0.0, 0.1, 1e-300, 1e300, float("nan"), float("inf"), float("-inf")]),
)
SIGNED = st.one_of(NUMBERS, st.floats(allow_nan=True), st.integers(-(10**12), 10**12))
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["", '"', "\\", "\n", '\\n"', "é", "中文", "🜚", "a,b={}#", " padded ", "\r", "\u2028", 'a"b\\\n}']),
)
VALUES = st.one_of(TEXTS, st.booleans(), st.integers(), st.floats(allow_nan=False), st.lists(TEXTS, max_size=2))
KEYS = st.sampled_from(
    ["k", "key.with.dots", "Upper", "kébab-é", "_lead", "trail_", "http.status", "a__b", "provider", "x:y"]
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=3)
BOUNDS = st.lists(st.floats(0, 1e6), min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def instruments(draw):
    name = f"{draw(WORDS)}x{draw(st.integers(0, 99))}{draw(ENDINGS)}"
    kind = draw(KINDS)
    signed = kind in {"up_down_counter", "gauge", "observable_gauge"}
    points = draw(st.lists(st.tuples(ATTRIBUTES, SIGNED if signed else NUMBERS), min_size=1, max_size=6))
    return {"name": name, "kind": kind, "unit": draw(UNITS), "points": points, "bounds": draw(BOUNDS)}


PIPELINES = st.lists(instruments(), min_size=1, max_size=5, unique_by=lambda one: comparable_stem(one["name"]))


def comparable_stem(name: str) -> str:
    """Names that collide in either exporter are the subject of other tests."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("total").removesuffix("seconds").removesuffix("bytes")


def without_collisions(points):
    """Skip attribute sets whose labels collide with those of an earlier, different set."""
    first = {}
    for attributes, value in points:
        labels = label_pairs(attributes, ())
        if repr(first.setdefault(labels, attributes)) == repr(attributes):
            yield attributes, value


def record(metered: Metered, instrument) -> None:
    name, unit, kind = instrument["name"], instrument["unit"], instrument["kind"]
    points = list(without_collisions(instrument["points"]))
    if kind.startswith("observable"):
        # One value per series and collection, as callbacks should return.
        latest = {repr(attributes): (attributes, value) for attributes, value in points}

        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, attributes) for attributes, value in latest.values()]

        getattr(metered.meter, f"create_{kind}")(name, [callback], unit)
        return
    if kind == "explicit":
        kind = "histogram"
    created = getattr(metered.meter, f"create_{kind}")(name, unit)
    write = {"counter": "add", "up_down_counter": "add", "gauge": "set", "histogram": "record"}[kind]
    for attributes, value in points:
        getattr(created, write)(value, attributes)


def stock_stem(instrument) -> str:
    """The name that the stock exporter and prometheus_client give the instrument, without the suffix of its samples."""
    name, unit = sanitize_full_name(instrument["name"].lower()), map_unit(instrument["unit"])
    if instrument["kind"] in {"counter", "observable_counter"}:
        name = name.removesuffix("_total")
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    return f"{name}_total" if instrument["kind"] in {"counter", "observable_counter"} else name


def samples(families, names=None):
    """Return {(sample name, labels): value}; fails on a duplicate series. `names` translates the names' stems."""
    found = {}
    for family in families:
        for sample in family.samples:
            name = sample.name
            if names is None:
                name = sample.name.removesuffix("_total") if family.type == "counter" else sample.name
            else:
                suffix = next(
                    suffix for suffix in SUFFIXES if name.removesuffix(suffix) in names and name.endswith(suffix)
                )
                name = names[name.removesuffix(suffix)] + suffix
                name = name.removesuffix("_total") if family.type == "counter" else name
            labels = {key: value for key, value in sample.labels.items() if value}
            if "le" in labels:
                labels["le"] = repr(float(labels["le"]))
            key = (name, frozenset(labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = float(sample.value)
    return found


@settings(max_examples=120, deadline=None)
@given(PIPELINES)
def test_samples_are_equal_except_for_the_documented_differences(pipeline):
    registry = CollectorRegistry()
    stock = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    views = [
        View(instrument_name=one["name"].lower(), aggregation=ExplicitBucketHistogramAggregation(one["bounds"]))
        for one in pipeline
        if one["kind"] == "explicit"
    ]
    metered = Metered((), further_readers=[stock], further_views=views)
    for instrument in pipeline:
        record(metered, instrument)
    names = {stock_stem(one): metric_name(one["name"].lower()) for one in pipeline}
    expected = samples(parse_text(generate_latest(registry).decode()), names)
    text, openmetrics = metered.text(), metered.openmetrics()
    # Compared without `_total`, which the text parser adds to bare counters by itself; the exact names are checked below.
    assert samples(parse_text(text)) == expected
    assert samples(parse_openmetrics(openmetrics)) == expected
    assert sample_lines(text) == sample_lines(openmetrics)
    assert {re.split(r"[{ ]", line, maxsplit=1)[0] for line in sample_lines(text)} <= {
        metric_name(one["name"].lower()) + suffix for one in pipeline for suffix in SUFFIXES
    }


def sample_lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def test_the_stock_exporter_still_adds_suffixes():
    """If this fails, the difference is gone and the stock exporter could be used."""
    registry = CollectorRegistry()
    metered = Metered(further_readers=[PrometheusMetricReader(registry=registry)])
    metered.instruments.record("gatewayz_cost_by_provider", 1.5, {"provider": "p"})
    assert b"gatewayz_cost_by_provider_USD_total{" in generate_latest(registry)
    assert 'gatewayz_cost_by_provider{provider="p"} 1.5\n' in metered.text()


def test_names_and_keys_keep_their_leading_digit():
    metered = Metered(())
    metered.meter.create_counter("n").add(1, {"9x": "a", "8x": "b"})
    assert 'n{_8x="b",_9x="a"} 1\n' in metered.text()
    assert sanitize_attribute("9x") == sanitize_attribute("8x") == "_x"


def test_attributes_whose_keys_become_equal_are_joined_in_the_order_of_their_keys():
    metered = Metered(())
    metered.meter.create_counter("n").add(1, {"a_b": "second", "a.b": "first", "a/b": 3})
    assert 'n{a_b="first;3;second"} 1\n' in metered.text()


def test_an_exponential_histogram_parses_with_its_count_and_sum():
    view = View(instrument_name="latency", aggregation=ExponentialBucketHistogramAggregation())
    registry = CollectorRegistry()
    metered = Metered((), further_views=[view], further_readers=[PrometheusMetricReader(registry=registry)])
    latency = metered.meter.create_histogram("latency", "s")
    observed = [0, 0.001, 0.5, 0.5, 1, 3.7, 1000]
    for value in observed:
        latency.record(value, {"k": "v"})
    with pytest.raises(AttributeError):
        generate_latest(registry)
    for parsed in (parse_text(metered.text()), parse_openmetrics(metered.openmetrics())):
        found = samples(parsed)
        labels = frozenset({("k", "v")})
        assert found["latency_count", labels] == len(observed)
        assert found["latency_sum", labels] == sum(observed)
        for (name, bucket), value in found.items():
            if name == "latency_bucket":
                bound = float(dict(bucket)["le"])
                below = sum(1 for one in observed if one <= bound)
                # The SDK maps a value that sits on a bound with a float logarithm: one bucket of width 2^(1/2^scale).
                assert value == below or any(abs(one - bound) < 0.02 * bound for one in observed)
