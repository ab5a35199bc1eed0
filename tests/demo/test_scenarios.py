"""Scenarios by the clock and by the seed: which phase is on, what its calls are told, and how breakers are allowed for in the counters."""

from collections import Counter
from itertools import islice, takewhile

import msgspec
import pytest

from demo.gateway_config import MODELS
from demo.scenario_player import scenario_lines
from demo.scenarios import SCENARIOS, TARGET, cadence_of
from demo.traffic.arrivals import read_trace
from demo.traffic.counters import TrafficCounters, series
from demo.traffic.outcomes import Pace
from demo.traffic.plan import Observed, Planned
from demo.traffic.scenario_kinds import KIND, scenario_mix
from demo.traffic.schedule import ScheduleOptions, schedule
from tests.reconcile.compare import compare
from tests.reconcile.findings import Findings

CADENCE = 0.2


def _calls(name: str, seconds: float) -> list[Planned]:
    mix = scenario_mix(SCENARIOS[name], CADENCE)
    options = ScheduleOptions(seed=3, run="t", speed=8.0, mix=mix, pace=Pace(scale=CADENCE))
    plan = takewhile(lambda planned: planned.at_seconds < seconds, schedule(read_trace(), options))
    return [planned for planned in plan if planned.kind == KIND]


def _failed_shares(calls: list[Planned]) -> dict[str, float]:
    failed, all_of = Counter[str](), Counter[str]()
    for planned in calls:
        for attempt in planned.possible:
            all_of[attempt.provider] += 1
            failed[attempt.provider] += attempt.status == "error"
    return {provider: failed[provider] / count for provider, count in all_of.items()}


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_phases_follow_each_other_and_begin_again(name: str) -> None:
    scenario = SCENARIOS[name]
    cycle_seconds = sum(phase.seconds for phase in scenario.phases)
    start_seconds = 0.0
    for phase in scenario.phases:
        for at_seconds in (start_seconds, start_seconds + phase.seconds - 0.001):
            assert scenario.phase_at(at_seconds, 1.0) is phase
            assert scenario.phase_at((at_seconds + cycle_seconds) * 0.25, 0.25) is phase
        start_seconds += phase.seconds


def test_a_faster_replay_shortens_everything_within_reason() -> None:
    assert [cadence_of(speed) for speed in (0.5, 4.0, 10.0, 1_000.0)] == [1.0, 1.0, 0.4, 0.1]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_only_trouble_fails_calls_and_only_the_providers_it_is_about(name: str) -> None:
    scenario = SCENARIOS[name]
    calls = _calls(name, 90 * CADENCE)
    for phase in scenario.phases:
        in_phase = [planned for planned in calls if scenario.phase_at(planned.at_seconds, CADENCE) is phase]
        assert len(in_phase) > 20
        for provider, share in _failed_shares(in_phase).items():
            expected = phase.condition(provider).failed_share
            assert share == expected if expected in {0.0, 1.0} else abs(share - expected) < 0.2


def test_the_same_seed_plans_the_same() -> None:
    assert _calls("error-surge", 5.0) == _calls("error-surge", 5.0)


def test_every_provider_of_a_model_is_told_what_to_do_whoever_is_asked() -> None:
    for planned in islice(_calls("outage", 10.0), 50):
        scripts = msgspec.json.decode(planned.body)["x_script"]
        assert set(scripts) == {attempt.provider for attempt in planned.possible}


def _one(name: str, model: str, seconds: float) -> Planned:
    scenario = SCENARIOS[name]
    return next(
        planned
        for planned in _calls(name, seconds)
        if planned.model == model and scenario.phase_at(planned.at_seconds, CADENCE) is scenario.phases[1]
    )


def test_what_the_client_saw_decides_which_attempt_is_in_the_counters() -> None:
    planned = _one("outage", "aurora-large", 20.0)
    counters = TrafficCounters(MODELS)
    counters.add(planned, Observed(status_code=200, provider="slow", is_whole=True))
    assert counters.mismatches == []
    assert counters.attempts == {"slow": 1}
    assert counters.ledger["rows success"] == 1


@pytest.mark.parametrize(
    ("status_code", "exception_type"), [(502, "UpstreamFailedError"), (503, "ProvidersUnavailableError")]
)
def test_a_call_that_a_breaker_or_every_provider_refused_is_an_error_without_a_known_attempt(
    status_code: int, exception_type: str
) -> None:
    planned = _one("outage", "aurora-mini", 20.0)
    counters = TrafficCounters(MODELS)
    counters.add(planned, Observed(status_code=status_code))
    assert counters.mismatches == []
    assert counters.ledger["rows error"] == 1
    labels = {"app_name": "gatewayz", "method": "POST", "path": planned.route}
    assert counters.counts[series("fastapi_exceptions_total", **labels, exception_type=exception_type)] == 1
    assert not counters.attempts


@pytest.mark.parametrize(
    ("name", "model", "observed"),
    [
        ("outage", "aurora-large", Observed(status_code=200, provider=TARGET, is_whole=True)),
        ("latency-spike", "aurora-large", Observed(status_code=502)),
        ("outage", "aurora-mini", Observed(status_code=500)),
        ("outage", "aurora-large", Observed(status_code=200, provider="slow", is_whole=False)),
    ],
)
def test_what_no_breaker_explains_is_a_mismatch(name: str, model: str, observed: Observed) -> None:
    counters = TrafficCounters(MODELS)
    counters.add(_one(name, model, 20.0), observed)
    assert len(counters.mismatches) == 1


def _compared(*, failed: int, error_metric: int) -> Findings:
    labels = {"provider": TARGET, "model": "aurora-mini"}
    samples = {
        series("model_inference_requests_total", **labels, status="error"): float(error_metric),
        series("gatewayz_attempt_failures_total", **labels, error_kind="upstream_5xx"): float(error_metric),
        series("provider_response_time_seconds_count", provider=TARGET): float(failed),
        series("gatewayz_attempts_per_request_sum", model="aurora-mini"): float(failed),
    }
    page = {"requests": failed, "with_traceparent": failed, "outcomes": {"status_503": failed}}
    upstream = {"personas": {TARGET: page}, "in_flight": 0}
    return compare(TrafficCounters(MODELS), {"attempts": failed}, samples, upstream, with_breakers=True)


def test_failed_attempts_are_held_against_what_the_upstream_counted() -> None:
    good = _compared(failed=5, error_metric=5)
    assert good.is_good
    assert good.notes
    assert [line.what for line in _compared(failed=5, error_metric=4).differences] == [f"upstream: failed by {TARGET}"]


def test_the_screen_names_the_phase_and_shows_unknown_as_unknown() -> None:
    scenario = SCENARIOS["outage"]
    known = {
        "circuit_breaker": "open",
        "health_score": 0.25,
        "availability": 0.5,
        "error_rate_5m": 1.0,
        "cost_usd": 2.0,
    }
    unknown = dict.fromkeys(known)
    lines = scenario_lines("outage", scenario.phases[1], {TARGET: known, "slow": unknown})
    assert lines[0].split() == ["scenario", "outage:", TARGET, "is", "out"]
    assert lines[2].split() == [TARGET, "open", "0.25", "0.50", "1.00", "$2.000"]
    assert lines[3].split() == ["slow", "-", "-", "-", "-", "-"]


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_what_a_scenario_shows_fits_into_sixty_columns(name):
    state = {
        "circuit_breaker": "half_open",
        "health_score": 0.5,
        "availability": 0.5,
        "error_rate_5m": 0.5,
        "cost_usd": 99.0,
    }
    for phase in SCENARIOS[name].phases:
        lines = scenario_lines(name, phase, {"rate_limited": state})
        assert all(len(line) < 60 for line in lines)
