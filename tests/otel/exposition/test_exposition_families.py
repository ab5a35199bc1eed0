"""What a response holds: categories, names, shared bytes, typing of both formats, exemplars, overflow."""

import gzip
import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from otel.catalogue import CATALOGUE, families_of
from otel.catalogue.spec import Category, Kind, Label, MetricSpec
from otel.exposition.series import SeriesWriter
from otel.labels import LabelBounds, known_label_sets
from tests.harness.metered import OPENMETRICS, Metered

BARE = ("gatewayz_detected_anomalies", "gatewayz_cost_by_provider", "rate_limited_requests")


@pytest.fixture
def everything() -> Metered:
    """Every catalogued family with a series for every known label set, and two that are not catalogued."""
    metered = Metered()
    bounds = LabelBounds.from_routes("gw", (("openai", "gpt"), ("local", "smol")))
    for spec in CATALOGUE:
        sets = [{key: labels.get(key, "x") for key in spec.label_keys} for labels in known_label_sets(spec, bounds)]
        if spec.kind.is_observable:
            metered.instruments.observe(spec.name, lambda sets=sets: [(0.5, labels) for labels in sets])
        else:
            for labels in sets:
                metered.instruments.record(spec.name, 1, labels)
    metered.meter.create_counter("zz.beyond", description="Beyond the catalogue.").add(1)
    metered.meter.create_up_down_counter("aa.beyond").add(-1)
    return metered


def family_names(text: str) -> list[str]:
    return re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)


def blocks(text: str) -> dict[str, str]:
    """Return each family's part of an exposition, by name."""
    parts = re.split(r"(?m)^(?=# HELP )", text.removesuffix("# EOF\n"))
    return {part.split(" ", 3)[2]: part for part in parts if part}


def test_families_come_in_catalogue_order_and_the_others_after_them(everything):
    assert family_names(everything.text()) == [*(spec.name for spec in CATALOGUE), "aa_beyond", "zz_beyond"]


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("accept", [None, OPENMETRICS])
def test_a_category_holds_exactly_its_families_whole(everything, category, accept):
    whole = blocks(everything.scrape(accept).body.decode())
    part = blocks(everything.scrape(accept, category=category).body.decode())
    suffix = "_total" if accept else ""
    assert list(part) == [
        spec.name.removesuffix(suffix) if spec.kind.prometheus_type == "counter" else spec.name
        for spec in families_of(category)
    ]
    assert all(whole[name] == block for name, block in part.items())


def test_the_categories_and_the_uncategorised_families_make_up_everything(everything):
    union = {}
    for category in Category:
        union |= blocks(everything.text(category))
    uncategorised = [spec.name for spec in CATALOGUE if not spec.categories]
    union |= blocks(everything.text(names=[*uncategorised, "aa_beyond", "zz_beyond"]))
    assert union == blocks(everything.text())


def test_histograms_are_whole_in_every_category(everything):
    for category in Category:
        samples = {sample.name for family in parse_text(everything.text(category)) for sample in family.samples}
        for spec in families_of(category):
            if spec.kind is Kind.HISTOGRAM:
                assert {f"{spec.name}_bucket", f"{spec.name}_sum", f"{spec.name}_count"} <= samples


@pytest.mark.parametrize(
    ("names", "families"),
    [
        (["cache_hits_total"], ["cache_hits_total"]),
        (["provider_response_time_seconds"], ["provider_response_time_seconds"]),
        (["provider_response_time_seconds_bucket"], ["provider_response_time_seconds"]),
        (["provider_response_time_seconds_sum", "trial_active"], ["provider_response_time_seconds", "trial_active"]),
        (["trial_active", "active_api_keys"], ["active_api_keys", "trial_active"]),
        (["cache_hits"], ["cache_hits_total"]),
        (["zz_beyond"], ["zz_beyond"]),
        (["nothing_of_this_name"], []),
        (["cache_hits_total_bucket"], []),
        ([""], []),
    ],
)
def test_names_select_whole_families(everything, names, families):
    assert family_names(everything.text(names=names)) == families


def test_names_within_a_category(everything):
    assert family_names(everything.text(Category.PROVIDERS, ["cache_hits_total", "provider_error_rate"])) == [
        "provider_error_rate"
    ]


def test_an_empty_response_is_a_valid_exposition(everything):
    assert everything.text(names=["unknown"]) == ""
    assert everything.openmetrics(names=["unknown"]) == "# EOF\n"
    assert list(parse_openmetrics("# EOF\n")) == []


def test_both_formats_have_the_same_samples(everything):
    def lines(text):
        return [line.split(" # ")[0] for line in text.splitlines() if not line.startswith("#")]

    assert lines(everything.text()) == lines(everything.openmetrics())


def test_openmetrics_types(everything):
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", everything.openmetrics(), re.MULTILINE))
    for spec in CATALOGUE:
        if spec.kind.prometheus_type != "counter":
            assert types[spec.name] == spec.kind.prometheus_type
        elif spec.name in BARE:
            assert types[spec.name] == "unknown"
        else:
            assert types[spec.name.removesuffix("_total")] == "counter"
    assert types["aa_beyond"] == "gauge"
    assert types["zz_beyond"] == "unknown"
    assert list(parse_openmetrics(everything.openmetrics()))


def test_text_types(everything):
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", everything.text(), re.MULTILINE))
    assert {name: type_ for name, type_ in types.items() if name in BARE} == dict.fromkeys(BARE, "counter")
    assert list(parse_text(everything.text()))


def test_units_are_declared_where_the_name_ends_with_them(everything):
    units = dict(re.findall(r"^# UNIT (\S+) (\S+)$", everything.openmetrics(), re.MULTILINE))
    assert units["provider_response_time_seconds"] == "seconds"
    assert units["process_cpu_seconds"] == "seconds"
    assert units["process_resident_memory_bytes"] == "bytes"
    assert all(name.endswith(f"_{unit}") for name, unit in units.items())
    assert "gatewayz_cost_by_provider" not in units


def test_a_counter_whose_openmetrics_name_is_taken_stays_unknown():
    metered = Metered(())
    with metered.span():
        metered.meter.create_counter("jobs_total").add(2)
    metered.meter.create_gauge("jobs").set(1)
    text = metered.openmetrics()
    assert "# TYPE jobs gauge" in text
    assert "# TYPE jobs_total unknown" in text
    assert [family.name for family in parse_openmetrics(text)] == ["jobs", "jobs_total"]


def test_exemplars_are_on_buckets_and_totals_only(everything):
    with everything.span() as trace_id:
        for spec in CATALOGUE:
            if not spec.kind.is_observable:
                everything.instruments.record(spec.name, 1, dict.fromkeys(spec.label_keys, "other"))
    everything.reader.snapshot()
    parsed = list(parse_openmetrics(everything.openmetrics()))
    carrying = {sample.name for family in parsed for sample in family.samples if sample.exemplar}
    expected = set()
    for spec in CATALOGUE:
        if spec.kind is Kind.HISTOGRAM:
            expected.add(f"{spec.name}_bucket")
        elif spec.kind is Kind.COUNTER and spec.name.endswith("_total"):
            expected.add(spec.name)
    assert carrying == expected
    for family in parsed:
        for sample in family.samples:
            if sample.exemplar:
                assert sample.exemplar.labels["trace_id"] == trace_id
                assert len(sample.exemplar.labels["span_id"]) == 16
                assert sample.exemplar.value == 1
                assert sample.exemplar.timestamp.sec > 1_600_000_000
    assert trace_id not in everything.text()


def test_a_newer_exemplar_replaces_the_older_one():
    metered = Metered()
    scraped = []
    for _ in range(3):
        with metered.span() as trace_id:
            metered.instruments.record("provider_response_time_seconds", 0.3, {"provider": "p"})
        scraped.append((trace_id, metered.openmetrics()))
    for trace_id, text in scraped:
        assert re.findall(r'trace_id="(\w+)"', text) == [trace_id]


def test_gzip_and_head(everything):
    uncompressed = everything.scrape()
    packed = everything.scrape(accept_encoding="gzip")
    assert gzip.decompress(packed.body) == uncompressed.body
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in uncompressed.headers
    for accept_encoding, whole in ((None, uncompressed), ("gzip", packed)):
        head = everything.scrape(method="HEAD", accept_encoding=accept_encoding)
        assert head.body == b""
        assert head.headers == whole.headers
        assert head.headers["Content-Length"] == str(len(whole.body))
        assert head.headers["Vary"] == "Accept, Accept-Encoding"


def test_a_scrape_within_the_shared_time_renders_nothing_again(monkeypatch):
    metered = Metered(share_seconds=1.0)
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    metered.instruments.record("cache_misses_total", 1, {"cache": "response"})
    first = metered.scrape()
    monkeypatch.setattr(SeriesWriter, "lines", lambda *_: pytest.fail("rendered again"))
    assert metered.scrape().body is first.body
    assert metered.text(Category.PERFORMANCE) == first.body.decode()
    assert metered.text(names=["cache_hits_total"]) in first.body.decode()
    assert metered.openmetrics().count("cache_hits_total{") == 1


def test_a_category_renders_its_own_families_only(monkeypatch, everything):
    rendered = []
    original = SeriesWriter.lines
    monkeypatch.setattr(
        SeriesWriter, "lines", lambda self, family: rendered.append(family.name) or original(self, family)
    )
    everything.text(Category.BUSINESS)
    assert rendered == [spec.name for spec in families_of(Category.BUSINESS)]


def test_collecting_is_timed_once_per_collection():
    metered = Metered(share_seconds=1.0)
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    for _ in range(3):
        metered.text()
        metered.openmetrics()
    assert len(metered.collected_seconds) == 1
    metered.clock.seconds = 2.0
    metered.text()
    assert len(metered.collected_seconds) == 2
    assert all(0 <= seconds < 10 for seconds in metered.collected_seconds)


def test_the_overflow_series_is_marked_and_its_other_labels_are_empty():
    spec = MetricSpec(
        name="calls_total", instrument="calls", kind=Kind.COUNTER, unit="1", help="Calls.", series_limit=2,
        labels=(Label("provider"), Label("model")),
    )  # fmt: skip
    metered = Metered([spec])
    for number in range(5):
        metered.instruments.record("calls_total", 1, {"provider": str(number), "model": "m"})
    assert metered.text().splitlines()[2:] == [
        'calls_total{provider="",model="",otel_metric_overflow="true"} 3',
        'calls_total{provider="0",model="m"} 1',
        'calls_total{provider="1",model="m"} 1',
    ]


def test_series_are_sorted_whatever_the_order_of_events():
    metered = Metered()
    for provider in ("c", "a", "b"):
        metered.instruments.record("gatewayz_cost_by_provider", 1, {"provider": provider})
    order = re.findall(r'provider="(\w)"', metered.text())
    metered.instruments.record("gatewayz_cost_by_provider", 1, {"provider": "aa"})
    assert order == ["a", "b", "c"]
    assert re.findall(r'provider="(\w+)"', metered.text()) == ["a", "aa", "b", "c"]


def test_a_family_is_absent_while_it_has_no_points():
    metered = Metered()
    alive: list[tuple[float, dict[str, str]]] = []
    metered.instruments.observe("provider_availability", lambda: alive)
    assert metered.text() == ""
    alive.append((1, {"provider": "p"}))
    assert 'provider_availability{provider="p"} 1\n' in metered.text()
    alive.clear()
    assert metered.text() == ""
