"""One provider's state: its breaker, availability and health agree, and no observer can hurt a request."""

import logging

import pytest

from app.config.schema import AppConfig, BreakerConfig, ModelConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from app.providers.registry import ProviderStates
from otel.events import AttemptFinished, BreakerChanged
from tests.harness.recording import RecordingRecorder

GOOD = AttemptFinished(status="success", duration_seconds=1.0)
FAILED = AttemptFinished(status="error", duration_seconds=0.01, error_kind="upstream_5xx")
LEFT = AttemptFinished(status="cancelled", duration_seconds=5.0, cancel_phase="before_first_byte")


class Broken:
    """An observer with a defect."""

    def attempt_finished(self, provider, model, event, now_seconds):
        raise ZeroDivisionError


class Kept:
    """An observer that keeps what it learns."""

    def __init__(self):
        self.attempts = []

    def attempt_finished(self, provider, model, event, now_seconds):
        self.attempts.append((provider, model, event.status, now_seconds))


class Harness:
    def __init__(self, *observers, **breaker):
        self.clock = ManualClock(monotonic=100.0)
        self.recorder = RecordingRecorder()
        config = AppConfig(
            breaker=BreakerConfig(**breaker),
            providers=(ProviderConfig(name="p", base_url="http://127.0.0.1:9/v1"),),
            models=(ModelConfig(name="m", routes=(RouteConfig(provider="p", upstream_model="x"),)),),
        )
        self.states = ProviderStates(config, self.clock, self.recorder, observers=observers)
        self.state = self.states["p"]

    def attempt(self, *events):
        for event in events:
            permit = self.states.admit("p", "x")
            assert permit is not None
            permit.attempt_finished("m", event)


def test_a_broken_observer_costs_nobody_anything_and_is_logged_once(caplog):
    kept = Kept()
    harness = Harness(Broken(), kept, consecutive_failures=3)
    harness.attempt(GOOD, FAILED, FAILED, FAILED)
    assert [status for _, _, status, _ in kept.attempts] == ["success", "error", "error", "error"]
    assert harness.state.breaker_state == "open"
    assert harness.state.error_rate == 0.75
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "an attempt could not be observed; later failures are not logged"
    ]


def test_an_end_is_taken_in_once():
    kept = Kept()
    harness = Harness(kept, consecutive_failures=2)
    permit = harness.states.admit("p", "x")
    permit.attempt_finished("m", FAILED)
    permit.attempt_finished("m", FAILED)
    permit.content_arrived()
    assert harness.state.breaker_state == "closed"
    assert kept.attempts == [("p", "m", "error", 100.0)]


def test_transitions_are_events_log_lines_and_unavailable_time(caplog):
    caplog.set_level(logging.INFO, "gatewayz.breaker")
    harness = Harness(consecutive_failures=2, open_seconds=20.0)
    harness.state.probed(available=True)
    harness.clock.advance(20.0)
    harness.attempt(FAILED, FAILED)
    harness.clock.advance(20.0)
    assert harness.state.availability == pytest.approx(0.5)
    assert harness.state.health == pytest.approx(0.4 * 0.5)
    harness.attempt(GOOD)
    harness.clock.advance(40.0)
    assert harness.state.availability == pytest.approx(60 / 80)
    assert harness.recorder.of(BreakerChanged) == [
        BreakerChanged(provider="p", state="open"),
        BreakerChanged(provider="p", state="half_open"),
        BreakerChanged(provider="p", state="closed"),
    ]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "circuit breaker of p is open: 2 failures in a row"),
        ("INFO", "circuit breaker of p is half_open: its time is over"),
        ("INFO", "circuit breaker of p is closed: a trial call succeeded"),
    ]
    assert [(record.provider, record.state, record.open_seconds) for record in caplog.records] == [
        ("p", "open", 20.0),
        ("p", "half_open", None),
        ("p", "closed", None),
    ]


async def test_the_half_open_state_is_counted_without_traffic():
    harness = Harness(consecutive_failures=1, open_seconds=20.0)
    harness.attempt(FAILED)
    harness.clock.advance(19.0)
    await harness.states.advance()
    assert [event.state for event in harness.recorder.of(BreakerChanged)] == ["open"]
    harness.clock.advance(1.0)
    assert harness.state.breaker_state == "half_open"
    await harness.states.advance()
    await harness.states.advance()
    assert [event.state for event in harness.recorder.of(BreakerChanged)] == ["open", "half_open"]


def test_a_client_that_left_says_nothing():
    harness = Harness(consecutive_failures=1)
    harness.attempt(LEFT, LEFT)
    assert (harness.state.error_rate, harness.state.health, harness.state.breaker_state) == (None, None, "closed")


def test_retry_after_is_the_shortest_wait():
    harness = Harness(consecutive_failures=1, open_seconds=20.0)
    assert harness.states.blocked([("p", "x")]).retry_after_seconds == 0.0
    harness.attempt(FAILED)
    harness.clock.advance(5.0)
    assert harness.states.blocked([("p", "x"), ("p", "x")]).retry_after_seconds == pytest.approx(15.0)
    assert not harness.states.blocked([("p", "x")]).is_rate_limited
