"""The catalogue, the views and the recording code name the same families, those that are documented."""

import ast
import re
from pathlib import Path
from typing import get_args

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from app.jobs import gauges as job_gauges
from app.providers import gauges as provider_gauges
from app.server import connection_metrics
from app.store import gauges as store_gauges
from otel import catalogue
from otel.catalogue import CATALOGUE, DOCUMENTED_FAMILIES, families_of, semconv
from otel.catalogue.spec import Category, Kind, MetricSpec
from otel.events import ErrorKind, FaultDomain
from otel.labels import LabelBounds, known_label_sets
from otel.metrics import measurements, process, usage_measurements
from otel.metrics.instruments import Instruments
from otel.metrics.views import build_views
from otel.pipeline import self_telemetry

# The documented metrics with their type, labels and categories. They are repeated here on purpose, so that the catalogue is
# compared with something that is not derived from it.
DOCUMENTED = {
    "fastapi_requests_total": ("counter", "app_name method path status_code", "system"),
    "fastapi_responses_total": ("counter", "app_name method path status_code", "system"),
    "fastapi_requests_duration_seconds": ("histogram", "app_name method path", "system performance"),
    "fastapi_requests_in_progress": ("gauge", "app_name method path", "system"),
    "fastapi_exceptions_total": ("counter", "app_name method path exception_type", "system"),
    "fastapi_app_info": ("gauge", "app_name version", "system"),
    "gatewayz_detected_anomalies": ("counter", "type", "system"),
    "provider_availability": ("gauge", "provider", "providers"),
    "provider_error_rate": ("gauge", "provider", "providers"),
    "provider_response_time_seconds": ("histogram", "provider", "providers performance"),
    "gatewayz_provider_health_score": ("gauge", "provider", "providers"),
    "gatewayz_circuit_breaker_state": ("gauge", "provider state", "providers"),
    "model_inference_requests_total": ("counter", "provider model status", "models"),
    "model_inference_duration_seconds": ("histogram", "provider model", "models performance"),
    "tokens_used_total": ("counter", "provider model token_type", "models business"),
    "credits_used_total": ("counter", "provider model", "models business"),
    "gatewayz_model_uptime_24h": ("gauge", "model", "models"),
    "gatewayz_token_efficiency": ("gauge", "model", "models"),
    "active_api_keys": ("gauge", "", "business"),
    "subscription_count": ("gauge", "plan", "business"),
    "trial_active": ("gauge", "", "business"),
    "gatewayz_cost_by_provider": ("counter", "provider", "business providers"),
    "database_query_duration_seconds": ("histogram", "operation", "performance"),
    "cache_hits_total": ("counter", "cache", "performance"),
    "cache_misses_total": ("counter", "cache", "performance"),
    "rate_limited_requests": ("counter", "limit_type", "performance"),
}


def test_the_catalogue_holds_exactly_the_documented_metrics() -> None:
    assert {
        spec.name: (spec.kind.prometheus_type, " ".join(spec.label_keys), " ".join(spec.categories))
        for spec in DOCUMENTED_FAMILIES
    } == DOCUMENTED


def test_names_and_instruments_are_unique_and_well_formed() -> None:
    names = [spec.name for spec in CATALOGUE]
    instruments = [spec.instrument.lower() for spec in CATALOGUE]
    assert len(set(names)) == len(names)
    assert len(set(instruments)) == len(instruments)
    for spec in CATALOGUE:
        assert re.fullmatch(r"[a-z_][a-z0-9_]*", spec.name), spec.name
        assert spec.help.endswith("."), spec.name
        assert spec.updated_by, spec.name
        assert spec.queries, spec.name
        assert all(label.values or label.bound_by for label in spec.labels), spec.name
        assert bool(spec.buckets) == (spec.kind is Kind.HISTOGRAM), spec.name
        assert list(spec.buckets) == sorted(set(spec.buckets)), spec.name


def test_label_values_of_failures_are_those_of_the_events() -> None:
    assert get_args(ErrorKind) == semconv.ERROR_KINDS
    assert get_args(FaultDomain) == semconv.FAULT_DOMAINS


def test_duration_buckets_reach_two_minutes() -> None:
    for spec in DOCUMENTED_FAMILIES:
        if spec.kind is Kind.HISTOGRAM and spec.name != "database_query_duration_seconds":
            assert spec.buckets[-1] == 120.0, spec.name


def test_every_example_query_names_a_catalogued_family() -> None:
    for spec in CATALOGUE:
        for query in spec.queries:
            assert spec.name in query, (spec.name, query)
            named = set(re.findall(r"\b((?:fastapi|gatewayz|provider|model|process|database|cache)_[a-z0-9_]+)", query))
            known = {
                name + suffix for name in (s.name for s in CATALOGUE) for suffix in ("", "_bucket", "_sum", "_count")
            }
            assert named <= known, query


def test_each_view_renames_its_instrument_and_drops_unlisted_attributes() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=build_views(CATALOGUE), shutdown_on_exit=False)
    instruments = Instruments(provider.get_meter("test"), CATALOGUE)
    for spec in CATALOGUE:
        labels = dict.fromkeys(spec.label_keys, "v") | {"user_id": "unbounded"}
        if spec.kind.is_observable:
            instruments.observe(spec.name, lambda labels=labels: [(1.0, labels)])
        else:
            instruments.record(spec.name, 1, labels)
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    specs = {spec.name: spec for spec in CATALOGUE}
    assert {metric.name for metric in metrics} == set(specs)
    for metric in metrics:
        spec = specs[metric.name]
        assert (metric.description, metric.unit) == (spec.help, spec.unit)
        (point,) = metric.data.data_points
        assert set(point.attributes) == set(spec.label_keys)
        if spec.kind is Kind.HISTOGRAM:
            assert tuple(point.explicit_bounds) == spec.buckets
    provider.shutdown()


def test_a_stream_over_its_series_limit_overflows_instead_of_growing() -> None:
    spec = MetricSpec(
        name="bounded_total",
        instrument="bounded",
        kind=Kind.COUNTER,
        unit="1",
        help="Bounded.",
        labels=CATALOGUE[0].labels,
        series_limit=10,
    )
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=build_views([spec]), shutdown_on_exit=False)
    instruments = Instruments(provider.get_meter("test"), [spec])
    for number in range(100):
        instruments.record("bounded_total", 1, {"path": str(number)})
    data = reader.get_metrics_data()
    assert data is not None
    points = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert len(points) <= 11
    assert sum(point.value for point in points) == 100
    provider.shutdown()


def test_every_family_has_a_writer() -> None:
    subjects = {"business", "causes", "gateway", "http", "inference", "money", "process", "providers", "self_telemetry"}
    written = {
        getattr(getattr(catalogue, node.value.id), node.attr)
        for module in (
            measurements,
            usage_measurements,
            self_telemetry,
            process,
            job_gauges,
            store_gauges,
            provider_gauges,
            connection_metrics,
        )
        for node in ast.walk(ast.parse(Path(module.__file__).read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in subjects
    }
    assert not {spec.name for spec in CATALOGUE if spec.name not in written}


def test_every_category_has_families_and_only_telemetry_itself_has_no_category() -> None:
    assert {category: len(families_of(category)) > 0 for category in Category} == dict.fromkeys(Category, True)
    assert all(spec.name.startswith("gatewayz_telemetry_") for spec in CATALOGUE if not spec.categories)


def test_known_label_sets_pair_each_model_with_its_own_providers() -> None:
    bounds = LabelBounds.from_routes("gw", (("p1", "m1"), ("p2", "m1"), ("p2", "m2")))
    spec = next(spec for spec in CATALOGUE if spec.name == "model_inference_requests_total")
    sets = {(s["provider"], s["model"], s["status"]) for s in known_label_sets(spec, bounds)}
    assert sets == {
        (provider, model, status)
        for provider, model in (("p1", "m1"), ("p2", "m1"), ("p2", "m2"))
        for status in ("success", "error")
    }
    cost = next(spec for spec in CATALOGUE if spec.name == "gatewayz_cost_by_provider")
    assert known_label_sets(cost, bounds) == [{"provider": "p1"}, {"provider": "p2"}]
