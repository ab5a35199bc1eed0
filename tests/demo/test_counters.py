"""The traffic program's counters, against examples worked out by hand."""

from typing import Any

import msgspec
import pytest

from demo.gateway_config import DemoModel, RoutePrice
from demo.traffic.counters import KEY_LOOKUPS, TrafficCounters, series
from demo.traffic.mismatch import mismatch_in
from demo.traffic.outcomes import stall
from demo.traffic.plan import CHAT_PATH, Observed, Planned, PlannedAttempt

MODELS = (
    DemoModel(
        name="m",
        routes=(RoutePrice("a", "0.15", "0.6"), RoutePrice("b", "2.5", "10")),
        credit_multiplier="1.25",
    ),
)
ROUTE = {"app_name": "gatewayz", "method": "POST", "path": CHAT_PATH}
GOOD = PlannedAttempt(
    provider="a", status="success", has_content=True, tokens="reported", input_tokens=7, output_tokens=3
)
BAD = PlannedAttempt(provider="a", status="error")


def _planned(**fields: Any) -> Planned:
    plan = {"number": 1, "at_seconds": 0.0, "kind": "k", "target": CHAT_PATH, "route": CHAT_PATH, "status_code": 200}
    return Planned(**(plan | {"model": "m"} | fields))


def _observed(**fields: Any) -> Observed:
    return Observed(**({"status_code": 200, "provider": "a", "is_whole": True, "usage": (7, 3)} | fields))


def _booked(planned: Planned, observed: Observed) -> TrafficCounters:
    counters = TrafficCounters(MODELS)
    counters.add(planned, observed)
    return counters


def _counts(counters: TrafficCounters, *names: str) -> dict[Any, int]:
    return {key: count for key, count in counters.counts.items() if key[0] in names and count}


def test_a_response_moves_exactly_its_series() -> None:
    counters = _booked(_planned(attempts=(GOOD,)), _observed())
    assert counters.mismatches == []
    assert {key: count for key, count in counters.counts.items() if count} == {
        series("fastapi_requests_total", **ROUTE, status_code="200"): 1,
        series("fastapi_responses_total", **ROUTE, status_code="200"): 1,
        series("fastapi_requests_duration_seconds_count", **ROUTE): 1,
        series(KEY_LOOKUPS, cache="api_key"): 1,
        series("provider_response_time_seconds_count", provider="a"): 1,
        series("model_inference_requests_total", provider="a", model="m", status="success"): 1,
        series("model_inference_duration_seconds_count", provider="a", model="m"): 1,
        series("gatewayz_attempts_per_request_count", model="m"): 1,
        series("gatewayz_attempts_per_request_sum", model="m"): 1,
        series("tokens_used_total", provider="a", model="m", token_type="input"): 7,
        series("tokens_used_total", provider="a", model="m", token_type="output"): 3,
        # 7 x 150 + 3 x 600 nano-dollars, and a quarter more: 3 562.5, rounded half up.
        series("gatewayz_cost_by_provider", provider="a"): 2_850,
        series("gatewayz_cost_usd_total", provider="a", model="m", cost_source="priced"): 2_850,
        series("credits_used_total", provider="a", model="m"): 3_563,
    }
    assert dict(counters.ledger) == {
        "rows success": 1,
        "rows cached": 0,
        "attempts": 1,
        "input tokens": 7,
        "output tokens": 3,
        "cost (nano-USD)": 2_850,
        "credits (nano-USD)": 3_563,
        "cost of m (nano-USD)": 2_850,
        "cost at a (nano-USD)": 2_850,
        "cost priced (nano-USD)": 2_850,
    }
    assert dict(counters.attempts) == {"a": 1}


def test_a_stream_also_counts_its_first_token_and_its_rate() -> None:
    names = ("gatewayz_time_to_first_token_seconds_count", "gatewayz_output_tokens_per_second_count")
    route = {"provider": "a", "model": "m"}
    counters = _booked(_planned(attempts=(GOOD,), stream=True), _observed(usage=None))
    assert _counts(counters, *names) == {series(name, **route): 1 for name in names}
    counters = _booked(
        _planned(
            attempts=(PlannedAttempt(provider="a", status="success", has_content=True, output_tokens=1),), stream=True
        ),
        _observed(usage=None),
    )
    assert _counts(counters, *names) == {series(names[0], **route): 1}


def test_fail_over_counts_both_attempts_and_prices_the_one_that_responded() -> None:
    second = PlannedAttempt(
        provider="b", status="success", has_content=True, tokens="reported", input_tokens=1, output_tokens=1
    )
    counters = _booked(_planned(attempts=(BAD, second)), _observed(provider="b", usage=(1, 1)))
    assert counters.mismatches == []
    assert _counts(counters, "model_inference_requests_total") == {
        series("model_inference_requests_total", provider="a", model="m", status="error"): 1,
        series("model_inference_requests_total", provider="b", model="m", status="success"): 1,
    }
    assert _counts(counters, "gatewayz_cost_by_provider") == {series("gatewayz_cost_by_provider", provider="b"): 12_500}
    assert counters.counts[series("gatewayz_attempts_per_request_sum", model="m")] == 2


def test_a_client_that_leaves_in_the_middle_is_neither_success_nor_error_and_its_tokens_are_estimated() -> None:
    attempt = PlannedAttempt(provider="a", status="cancelled", has_content=True, tokens="delivered")
    planned = _planned(attempts=(attempt,), stream=True, leaving="after_first_byte", prompt_characters=9)
    counters = _booked(planned, _observed(is_whole=False, usage=None, characters=8))
    assert counters.mismatches == []
    assert not _counts(counters, "model_inference_requests_total", "model_inference_duration_seconds_count")
    assert _counts(
        counters, "tokens_used_total", "gatewayz_estimated_usage_total", "gatewayz_cancelled_calls_total"
    ) == {
        series("tokens_used_total", provider="a", model="m", token_type="input"): 3,
        series("tokens_used_total", provider="a", model="m", token_type="output"): 2,
        series("gatewayz_estimated_usage_total", provider="a", model="m"): 1,
        series("gatewayz_cancelled_calls_total", provider="a", model="m", phase="after_first_byte"): 1,
    }
    assert counters.ledger["rows cancelled"] == 1


def test_a_hit_is_a_call_without_attempts() -> None:
    counters = _booked(_planned(cache="hit"), _observed(provider=None, cache="hit"))
    assert counters.mismatches == []
    assert counters.counts[series("cache_hits_total", cache="response")] == 1
    assert counters.counts[series("gatewayz_attempts_per_request_count", model="m")] == 1
    assert counters.counts[series("gatewayz_attempts_per_request_sum", model="m")] == 0
    assert (counters.ledger["rows success"], counters.ledger["rows cached"], counters.ledger["cost (nano-USD)"]) == (
        1,
        1,
        0,
    )


def test_what_a_small_plan_refuses_is_no_call() -> None:
    planned = _planned(attempts=(GOOD,), limited="key_requests")
    counters = _booked(planned, _observed(status_code=429, provider=None, is_whole=False, usage=None))
    assert counters.mismatches == []
    assert _counts(counters, "rate_limited_requests") == {series("rate_limited_requests", limit_type="key_requests"): 1}
    assert counters.counts[series("fastapi_requests_total", **ROUTE, status_code="429")] == 1
    assert not counters.ledger


@pytest.mark.parametrize(
    ("fields", "looked_up"),
    [
        ({"status_code": 401, "key": "none"}, 0),
        ({"status_code": 401, "key": "malformed"}, 0),
        ({"status_code": 401, "key": "unknown"}, 1),
        ({"status_code": 400}, 1),
        ({"status_code": 413}, 0),
        ({"status_code": 405}, 0),
        ({"status_code": 404, "route": "unmatched"}, 0),
        ({"status_code": 413, "model": "m", "attempts": (BAD,)}, 1),
    ],
)
def test_keys_are_looked_up_only_where_one_is_needed(fields: dict[str, Any], looked_up: int) -> None:
    counters = _booked(_planned(**({"model": None} | fields)), Observed(status_code=fields["status_code"]))
    assert counters.mismatches == []
    assert counters.counts[series(KEY_LOOKUPS, cache="api_key")] == looked_up


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        (_observed(status_code=502), "status 502 instead of 200"),
        (_observed(status_code=429), "status 429 instead of 200"),
        (_observed(provider="b"), "answered by b instead of a"),
        (_observed(cache="hit"), "cache says hit"),
        (_observed(usage=(7, 4)), r"reports \(7, 4\) tokens"),
        (_observed(is_whole=False), "not whole"),
        (_observed(ended_in_error=True), "ended in an error"),
        (_observed(failure="ClientOSError: gone"), "ClientOSError"),
    ],
)
def test_what_was_not_planned_is_a_mismatch(observed: Observed, words: str) -> None:
    counters = _booked(_planned(attempts=(GOOD,)), observed)
    assert len(counters.mismatches) == 1
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(counters.mismatches[0])


def test_a_client_that_leaves_before_the_head_must_have_seen_none() -> None:
    attempt = PlannedAttempt(provider="a", status="cancelled", responded=False, tokens="prompt")
    planned = _planned(status_code=499, attempts=(attempt,), leaving="before_first_byte", prompt_characters=9)
    assert mismatch_in(planned, Observed()) is None
    assert mismatch_in(planned, Observed(status_code=200)) == "status 200 instead of None"
    counters = _booked(planned, Observed())
    assert not _counts(counters, "provider_response_time_seconds_count")
    # The provider had the prompt, and may bill it.
    assert _counts(counters, "tokens_used_total", "gatewayz_estimated_usage_total") == {
        series("tokens_used_total", provider="a", model="m", token_type="input"): 3,
        series("gatewayz_estimated_usage_total", provider="a", model="m"): 1,
    }
    assert counters.counts[series("fastapi_requests_total", **ROUTE, status_code="499")] == 1


def test_usage_that_the_provider_never_reported_must_not_reach_the_client() -> None:
    attempt = PlannedAttempt(provider="a", status="success", has_content=True, tokens="delivered")
    assert mismatch_in(_planned(attempts=(attempt,)), _observed()) is not None
    assert mismatch_in(_planned(attempts=(attempt,)), _observed(usage=None)) is None


def test_a_key_that_the_database_did_not_find_in_time_is_booked_as_seen_where_that_is_allowed() -> None:
    observed = Observed(status_code=503, error_code="store_unavailable")
    planned = _planned(attempts=(GOOD,), limited="key_requests")
    counters = TrafficCounters(MODELS, allows_slow_database=True)
    counters.add(planned, observed)
    assert counters.mismatches == []
    assert counters.slow_lookups == 1
    assert {key: count for key, count in counters.counts.items() if count} == {
        series("fastapi_requests_total", **ROUTE, status_code="503"): 1,
        series("fastapi_responses_total", **ROUTE, status_code="503"): 1,
        series("fastapi_requests_duration_seconds_count", **ROUTE): 1,
        series("fastapi_exceptions_total", **ROUTE, exception_type="StoreUnavailableError"): 1,
        series(KEY_LOOKUPS, cache="api_key"): 1,
    }
    assert not +counters.ledger
    assert _booked(planned, observed).mismatches
    other = TrafficCounters(MODELS, allows_slow_database=True)
    other.add(planned, Observed(status_code=503, error_code="overloaded"))
    assert other.mismatches


@pytest.mark.parametrize(("trusts_cost", "cost", "source"), [(False, 6_175, "priced"), (True, 123_456, "reported")])
def test_cached_input_has_its_own_price_and_a_trusted_cost_replaces_it(
    trusts_cost: bool, cost: int, source: str
) -> None:
    route = RoutePrice("a", "1", "0.6", cached_usd="0.125", trusts_cost=trusts_cost)
    counters = TrafficCounters((DemoModel(name="m", routes=(route,)),))
    counters.add(_planned(attempts=(msgspec.structs.replace(GOOD, is_detailed=True),)), _observed())
    # The price: 4 x 1 000 of the input, 3 x 125 from the cache, 3 x 600.
    for what in ("cost (nano-USD)", f"cost {source} (nano-USD)", "cost at a (nano-USD)", "cost of m (nano-USD)"):
        assert counters.ledger[what] == cost
    assert counters.ledger["reported (nano-USD)"] == 123_456
    assert counters.ledger["cached tokens"] == 3
    assert _counts(counters, "gatewayz_reported_cost_difference_usd_total") == {
        series("gatewayz_reported_cost_difference_usd_total", provider="a", model="m", direction="over"): 117_281
    }


@pytest.mark.parametrize(("stream", "error_kind"), [(False, "whole_answer_timeout"), (True, "first_byte_timeout")])
def test_a_failed_attempt_counts_under_its_kind_and_a_row_has_its_least_certain_source(
    stream: bool, error_kind: str
) -> None:
    _, stalled = stall("a")
    second = msgspec.structs.replace(GOOD, provider="b")
    planned = _planned(attempts=(stalled, second), stream=stream, prompt_characters=9, max_tokens=1)
    counters = _booked(planned, _observed(provider="b"))
    assert _counts(counters, "gatewayz_attempt_failures_total") == {
        series("gatewayz_attempt_failures_total", provider="a", model="m", error_kind=error_kind): 1
    }
    # 3 x 150 are estimated; 7 x 2 500 and 3 x 10 000 are priced, in one row of the last provider.
    assert counters.ledger["cost at b (nano-USD)"] == counters.ledger["cost estimated (nano-USD)"] == 47_950
    assert counters.counts[series("gatewayz_cost_usd_total", provider="b", model="m", cost_source="priced")] == 47_500
