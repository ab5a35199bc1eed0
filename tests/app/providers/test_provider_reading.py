"""What readiness reports of a provider, and the log lines of a provider that goes away and comes back."""

import logging

import pytest

from app.config.schema import AppConfig, BreakerConfig, ModelConfig, ProbesConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from app.providers.provider_reading import provider_reading
from app.providers.registry import ProviderStates
from otel.events import AttemptFinished
from otel.recording.noop import DisabledRecorder

GOOD = AttemptFinished(status="success", duration_seconds=1.0)
FAILED = AttemptFinished(status="error", duration_seconds=0.01, error_kind="upstream_5xx")
INTERVAL_SECONDS = 30.0


@pytest.fixture
def clock():
    return ManualClock(monotonic=100.0)


@pytest.fixture
def states(clock):
    config = AppConfig(
        breaker=BreakerConfig(consecutive_failures=2, open_seconds=10.0),
        probes=ProbesConfig(provider_interval_seconds=INTERVAL_SECONDS),
        providers=(ProviderConfig(name="p", base_url="http://127.0.0.1:9/v1"),),
        models=(ModelConfig(name="m", routes=(RouteConfig(provider="p", upstream_model="x"),)),),
    )
    return ProviderStates(config, clock, DisabledRecorder())


def attempt(states, *events):
    for event in events:
        permit = states.admit("p", "x")
        assert permit is not None
        permit.attempt_finished("m", event)


def status(states):
    return provider_reading(states["p"])["status"]


def test_a_provider_that_was_neither_probed_nor_called_is_unknown(states):
    assert provider_reading(states["p"]) == {"status": "unknown", "circuit_breaker": "closed", "probe": None}


def test_a_provider_that_never_responded_to_a_probe_is_down(states, clock):
    states["p"].probed(available=False)
    clock.advance(4.2)
    assert provider_reading(states["p"]) == {
        "status": "down",
        "circuit_breaker": "closed",
        "probe": {"found": "down", "seconds_ago": 4.2},
    }
    states["p"].probed(available=True)
    assert status(states) == "up"


def test_a_finding_stands_for_three_intervals(states, clock):
    states["p"].probed(available=True)
    clock.advance(3 * INTERVAL_SECONDS - 1)
    assert status(states) == "up"
    clock.advance(1)
    assert provider_reading(states["p"]) == {"status": "unknown", "circuit_breaker": "closed", "probe": None}


def test_without_probes_a_call_that_succeeded_says_that_it_is_up(states):
    attempt(states, FAILED)
    assert status(states) == "unknown"
    attempt(states, GOOD)
    assert status(states) == "up"


def test_an_open_breaker_is_down_whatever_probes_find(states, clock):
    states["p"].probed(available=True)
    attempt(states, FAILED, FAILED)
    assert status(states) == "down"
    clock.advance(10.0)
    assert status(states) == "recovering"


def test_each_change_is_logged_once(states, caplog):
    caplog.set_level(logging.INFO, logger="gatewayz.providers")
    for available in (True, True, False, False, False, True, True, False):
        states["p"].probed(available=available, reason=None if available else "HTTP 503")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "provider p is unavailable: HTTP 503 (probe)"),
        ("INFO", "provider p is available again (probe)"),
        ("WARNING", "provider p is unavailable: HTTP 503 (probe)"),
    ]
    assert [record.provider for record in caplog.records] == ["p"] * 3


def test_a_provider_that_never_responded_is_logged(states, caplog):
    states["p"].probed(available=False, reason="ClientConnectorError")
    states["p"].probed(available=False, reason="ClientConnectorError")
    assert [record.getMessage() for record in caplog.records] == [
        "provider p is unavailable: ClientConnectorError (probe)"
    ]
