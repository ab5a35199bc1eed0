"""The summary has real numbers, None for the unknown, and one quantile: that of Prometheus."""

import math
from bisect import bisect_left
from datetime import datetime
from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.catalogue.spec import DURATION_BUCKETS_SECONDS, Category, Kind, Label, MetricSpec
from otel.exposition.quantile import histogram_quantile
from otel.exposition.readings import Readings
from otel.exposition.summary import SCOPE, summarise
from tests.harness.metered import Metered

BOUNDS = st.lists(st.floats(0.001, 1000), min_size=1, max_size=12, unique=True).map(sorted)
OBSERVATIONS = st.lists(st.floats(0, 2000), min_size=1, max_size=60)


def cumulative(observations, bounds):
    counts = [0] * (len(bounds) + 1)
    for value in observations:
        counts[bisect_left(bounds, value)] += 1
    return list(accumulate(counts))


@pytest.mark.parametrize(
    ("quantile", "bounds", "counts", "expected"),
    [
        # Computed manually: interpolation, first bucket from 0, never above the last bound, a negative first bound unchanged.
        (0.5, [1, 2, 4], [0, 10, 10, 10], 1.5),
        (0.9, [0.1, 0.2, 1], [100, 140, 164, 200], 1),
        (0.25, [10], [4, 4], 2.5),
        (0.99, [1, 2], [0, 0, 5], 2),
        (1.0, [1, 2], [1, 2, 2], 2),
        (0.5, [-1, 1], [2, 2, 2], -1),
        (0.5, [1, 2], [0, 0, 0], None),
        (0.5, [], [3], None),
        (0.75, [0.1, 0.2, 1], [100, 140, 164, 200], 0.2 + 0.8 * (150 - 140) / 24),
    ],
)
def test_quantiles(quantile, bounds, counts, expected):
    found = histogram_quantile(quantile, bounds, counts)
    assert found == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("quantile", "counts"), [(0, [1, 1]), (1.01, [1, 1]), (-1, [1, 1]), (math.nan, [1, 1]), (0.5, [1])]
)
def test_invalid_quantiles_and_counts_are_refused(quantile, counts):
    with pytest.raises(ValueError, match=r"quantile|counts"):
        histogram_quantile(quantile, [1.0], counts)


@given(BOUNDS, OBSERVATIONS)
def test_p50_p95_and_p99_are_in_order_and_within_the_bounds(bounds, observations):
    counts = cumulative(observations, bounds)
    p50, p95, p99 = (histogram_quantile(quantile, bounds, counts) for quantile in (0.5, 0.95, 0.99))
    assert 0 <= p50 <= p95 <= p99 <= bounds[-1]


@given(BOUNDS, OBSERVATIONS, st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(bounds, observations, quantile):
    true = sorted(observations)[max(0, math.ceil(quantile * len(observations)) - 1)]
    found = histogram_quantile(quantile, bounds, cumulative(observations, bounds))
    bucket = bisect_left(bounds, true)
    if bucket == len(bounds):
        assert found == bounds[-1]
    else:
        assert (bounds[bucket - 1] if bucket else 0) <= found <= bounds[bucket]


@given(BOUNDS, OBSERVATIONS, st.integers(2, 1000))
def test_a_quantile_does_not_depend_on_the_number_of_observations(bounds, observations, factor):
    once = cumulative(observations, bounds)
    often = [count * factor for count in once]
    assert histogram_quantile(0.95, bounds, once) == pytest.approx(histogram_quantile(0.95, bounds, often))


@pytest.fixture
def busy() -> Metered:
    metered = Metered()
    record = metered.instruments.record

    def request(path, status, seconds):
        labels = {"app_name": "gw", "method": "POST", "path": path}
        record("fastapi_requests_total", 1, {**labels, "status_code": status})
        record("fastapi_requests_duration_seconds", seconds, labels)
        record("fastapi_requests_in_progress", 1, labels)
        record("fastapi_requests_in_progress", -1, labels)

    for _ in range(8):
        request("/v1/chat/completions", "200", 0.3)
    request("/v1/chat/completions", "429", 0.01)
    request("/v1/embeddings", "502", 7.0)
    record("fastapi_exceptions_total", 1, {"app_name": "gw", "method": "POST", "path": "/", "exception_type": "other"})
    for provider, model, status, count in (
        ("openai", "gpt", "success", 6),
        ("openai", "gpt", "error", 2),
        ("local", "smol", "success", 1),
        ("local", "smol", "error", 0),
    ):
        record("model_inference_requests_total", count, {"provider": provider, "model": model, "status": status})
    record("provider_response_time_seconds", 0.3, {"provider": "openai"})
    record("model_inference_duration_seconds", 1.5, {"provider": "openai", "model": "gpt"})
    for token_type, tokens in (("input", 1000), ("output", 250)):
        labels = {"provider": "openai", "model": "gpt", "token_type": token_type}
        record("tokens_used_total", tokens, labels)
    record("gatewayz_cost_by_provider", 1.25, {"provider": "openai"})
    record("credits_used_total", 1.5, {"provider": "openai", "model": "gpt"})
    record("cache_hits_total", 3, {"cache": "response"})
    record("cache_misses_total", 1, {"cache": "api_key"})
    record("rate_limited_requests", 1, {"limit_type": "key_requests"})
    record("database_query_duration_seconds", 0.002, {"operation": "select"})
    metered.instruments.observe("process_start_time_seconds", lambda: [(1_700_000_000, {})])
    metered.instruments.observe("provider_availability", lambda: [(0.5, {"provider": "openai"})])
    metered.instruments.observe(
        "gatewayz_circuit_breaker_state",
        lambda: [
            (int(state == "open"), {"provider": "openai", "state": state}) for state in ("closed", "open", "half_open")
        ],
    )
    metered.instruments.observe("subscription_count", lambda: [(2, {"plan": "free"}), (1, {"plan": "pro"})])
    metered.instruments.observe("active_api_keys", lambda: [(3, {})])
    return metered


def test_system(busy):
    system = summarise(busy.reader.snapshot())["system"]
    assert system["requests_total"] == 10
    assert system["requests_by_status_class"] == {"2xx": 8, "4xx": 1, "5xx": 1}
    assert system["error_rate"] == 0.1
    assert system["requests_in_progress"] == 0
    assert system["exceptions_total"] == 1
    assert system["anomalies_by_type"] is None
    # 1 in (.005, .01], 8 in (.25, .5], 1 in (5, 10]
    assert system["duration_seconds"] == {"p50": 0.375, "p95": 7.5, "p99": pytest.approx(9.5)}


def test_providers(busy):
    providers = summarise(busy.reader.snapshot())["providers"]
    assert providers == {
        "local": {
            "attempts": 1,
            "errors": 0,
            "error_rate": 0,
            "response_p95_seconds": None,
            "cost_usd": 0,
            "availability": None,
            "error_rate_5m": None,
            "health_score": None,
            "circuit_breaker": None,
        },
        "openai": {
            "attempts": 8,
            "errors": 2,
            "error_rate": 0.25,
            "response_p95_seconds": pytest.approx(0.4875),
            "cost_usd": 1.25,
            "availability": 0.5,
            "error_rate_5m": None,
            "health_score": None,
            "circuit_breaker": "open",
        },
    }


def test_models(busy):
    models = summarise(busy.reader.snapshot())["models"]
    assert list(models) == ["gpt", "smol"]
    assert models["gpt"] == {
        "requests": 8,
        "success": 6,
        "errors": 2,
        "error_rate": 0.25,
        "cancelled": None,
        "input_tokens": 1000,
        "output_tokens": 250,
        "credits": 1.5,
        "duration_p95_seconds": pytest.approx(2.425),
        "time_to_first_token_p95_seconds": None,
        "uptime_24h": None,
        "token_efficiency": None,
    }


def test_business(busy):
    assert summarise(busy.reader.snapshot())["business"] == {
        "active_api_keys": 3,
        "subscriptions_by_plan": {"free": 2, "pro": 1},
        "active_trials": None,
        "tokens_by_type": {"input": 1000, "output": 250},
        "credits": 1.5,
        "cost_usd": 1.25,
        "cost_usd_by_provider": {"openai": 1.25},
    }


def test_performance(busy):
    performance = summarise(busy.reader.snapshot())["performance"]
    assert performance["request_duration_seconds"]["p50"] == 0.375
    assert performance["query_p95_seconds_by_operation"] == {"select": pytest.approx(0.002425)}
    assert (performance["cache_hits"], performance["cache_misses"], performance["cache_hit_rate"]) == (3, 1, 0.75)
    assert performance["rate_limited_by_limit_type"] == {"key_requests": 1}
    assert performance["event_loop_lag_seconds"] == {"p50": None, "p95": None, "p99": None}


def test_the_summary_states_its_scope_and_time(busy):
    snapshot = busy.reader.snapshot()
    summary = summarise(snapshot)
    assert list(summary) == ["scope", "since", "timestamp", *Category]
    assert summary["scope"] == SCOPE
    assert summary["since"] == "2023-11-14T22:13:20.000+00:00"
    taken = datetime.fromisoformat(summary["timestamp"])
    assert taken.timestamp() == pytest.approx(snapshot.unix_nanoseconds / 1e9, abs=0.001)


@pytest.mark.parametrize("category", Category)
def test_one_category(busy, category):
    snapshot = busy.reader.snapshot()
    assert summarise(snapshot, category)[category] == summarise(snapshot)[category]
    assert list(summarise(snapshot, category)) == ["scope", "since", "timestamp", category]


def test_without_a_start_time_metric_since_is_that_of_the_oldest_series():
    metered = Metered()
    assert summarise(metered.reader.snapshot())["since"] is None
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    summary = summarise(metered.reader.snapshot())
    assert datetime.fromisoformat(summary["since"]) <= datetime.fromisoformat(summary["timestamp"])


def test_without_series_everything_is_unknown():
    """Unknown is not zero: a family without series has no number."""

    def leaves(value):
        if isinstance(value, dict):
            for one in value.values():
                yield from leaves(one)
        else:
            yield value

    summary = summarise(Metered().reader.snapshot())
    for category in Category:
        assert set(leaves(summary[category])) <= {None}
    assert summary["providers"] == summary["models"] == {}


def test_counters_at_zero_are_known_to_be_zero():
    metered = Metered()
    metered.instruments.record("rate_limited_requests", 0, {"limit_type": "upstream"})
    metered.instruments.record("cache_hits_total", 0, {"cache": "response"})
    metered.instruments.record("cache_misses_total", 0, {"cache": "response"})
    performance = summarise(metered.reader.snapshot())["performance"]
    assert performance["rate_limited_by_limit_type"] == {"upstream": 0}
    assert (performance["cache_hits"], performance["cache_hit_rate"]) == (0, None)


def test_it_is_json_without_exceptions():
    metered = Metered()
    for _ in range(2):
        metered.instruments.record("gatewayz_cost_by_provider", 1.7e308, {"provider": "p"})
    summary = summarise(metered.reader.snapshot())
    assert summary["business"]["cost_usd"] is None
    assert msgspec.json.decode(msgspec.json.encode(summary)) == summary


def test_the_overflow_series_has_a_name_in_the_summary():
    spec = MetricSpec(
        name="gatewayz_cost_by_provider", instrument="cost", kind=Kind.COUNTER, unit="USD", help="Cost.",
        labels=(Label("provider"),), series_limit=1,
    )  # fmt: skip
    metered = Metered([spec])
    for provider in ("a", "b", "c"):
        metered.instruments.record(spec.name, 1.0, {"provider": provider})
    assert summarise(metered.reader.snapshot())["business"]["cost_usd_by_provider"] == {"a": 1, "overflow": 2}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 200)), min_size=1, max_size=40))
def test_quantiles_over_all_series_are_those_of_all_observations(observed):
    metered = Metered()
    for provider, seconds in observed:
        metered.instruments.record("provider_response_time_seconds", seconds, {"provider": provider})
    readings = Readings(metered.reader.snapshot())
    bounds = DURATION_BUCKETS_SECONDS
    expected = histogram_quantile(0.95, bounds, cumulative([seconds for _, seconds in observed], bounds))
    assert readings.quantile(0.95, "provider_response_time_seconds") == expected
