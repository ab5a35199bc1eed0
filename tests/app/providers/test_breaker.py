"""The breaker as a state machine: random calls, ends, departures and time, against what must always hold."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.config.schema import BreakerConfig
from app.providers.breaker import CircuitBreaker

CONFIG = BreakerConfig(
    consecutive_failures=3,
    failure_ratio=0.5,
    minimum_attempts=6,
    window_seconds=10.0,
    open_seconds=5.0,
    max_open_seconds=40.0,
    half_open_calls=2,
)


class BreakerMachine(RuleBasedStateMachine):
    """Keeps its own record of everything since the last transition."""

    def __init__(self):
        super().__init__()
        self.now = 1_000.0
        self.transitions = []
        self.breaker = CircuitBreaker(CONFIG, self.now, self.transitions.append)
        self.seen = "closed"
        self.admitted = []
        self.closed_calls = []
        self.last_open_seconds = 0.0
        self.closed_since = self.now

    def learn(self):
        """Follow the transitions, and check that each one follows from the one before."""
        follow = {"closed": {"open"}, "open": {"half_open"}, "half_open": {"open", "closed"}}
        for transition in self.transitions:
            assert transition.state in follow[self.seen]
            if transition.state == "open":
                self.check_opening(transition)
            elif transition.state == "half_open":
                assert transition.at_seconds == self.open_until
            else:
                self.closed_since = transition.at_seconds
            self.closed_calls = []
            self.seen = transition.state
            # Calls of an earlier phase still have to end, but say nothing any more.
            self.admitted = [(phase, False) for phase, _ in self.admitted]
        self.transitions.clear()

    def check_opening(self, transition):
        rested = self.seen == "closed" and transition.at_seconds - self.closed_since >= CONFIG.max_open_seconds
        first = rested or not self.last_open_seconds
        expected = CONFIG.open_seconds if first else min(2 * self.last_open_seconds, CONFIG.max_open_seconds)
        assert transition.open_seconds == expected
        assert CONFIG.open_seconds <= transition.open_seconds <= CONFIG.max_open_seconds
        if self.seen == "closed":
            assert self.has_reason_to_open()
        self.last_open_seconds = transition.open_seconds
        self.open_until = transition.at_seconds + transition.open_seconds

    def has_reason_to_open(self):
        row = [failed for _, failed in self.closed_calls][-CONFIG.consecutive_failures :]
        recent = [
            failed for at, failed in self.closed_calls if math.floor(at) > math.floor(self.now) - CONFIG.window_seconds
        ]
        return (len(row) == CONFIG.consecutive_failures and all(row)) or (
            len(recent) >= CONFIG.minimum_attempts and sum(recent) >= CONFIG.failure_ratio * len(recent)
        )

    @rule(seconds=st.one_of(st.floats(0.0, 2.0), st.floats(0.0, 60.0)))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def ask(self):
        before = self.breaker.state(self.now)
        phase = self.breaker.admit(self.now)
        self.learn()
        assert self.seen == before, "admitting changes only what was due by time"
        if before == "closed":
            assert phase is not None
        elif before == "open":
            assert phase is None
            assert self.breaker.retry_after_seconds(self.now) == pytest.approx(self.open_until - self.now)
        else:
            in_flight = sum(counts for _, counts in self.admitted)
            assert (phase is not None) == (in_flight < CONFIG.half_open_calls)
        if phase is not None:
            self.admitted.append((phase, True))

    @precondition(lambda self: self.admitted)
    @rule(data=st.data(), result=st.sampled_from(["success", "failure", "failure", "neutral"]))
    def end(self, data, result):
        index = data.draw(st.integers(0, len(self.admitted) - 1))
        self.breaker.advance(self.now)
        self.learn()
        phase, counts = self.admitted.pop(index)
        before = self.seen
        if counts and before == "closed" and result != "neutral":
            self.closed_calls.append((self.now, result == "failure"))
        expected = before
        if counts and before == "half_open" and result != "neutral":
            expected = "closed" if result == "success" else "open"
        elif counts and before == "closed" and result == "failure" and self.has_reason_to_open():
            expected = "open"
        self.breaker.call_ended(phase, self.now, result)
        self.learn()
        assert self.seen == expected

    @precondition(lambda self: self.admitted)
    @rule(data=st.data())
    def response(self, data):
        """A call that gets content: a trial's closes the breaker, and its end counts there; any other changes nothing."""
        index = data.draw(st.integers(0, len(self.admitted) - 1))
        self.breaker.advance(self.now)
        self.learn()
        phase, counts = self.admitted[index]
        before = self.seen
        phase = self.breaker.call_responded(phase, self.now)
        self.learn()
        assert self.seen == ("closed" if counts and before == "half_open" else before)
        self.admitted[index] = (phase, counts)

    @rule(offset=st.floats(0.0, 100.0))
    def look(self, offset):
        """Reading, also ahead of time, changes nothing."""
        self.breaker.state(self.now + offset)
        self.breaker.retry_after_seconds(self.now + offset)
        assert not self.transitions

    @rule()
    def advance(self):
        self.breaker.advance(self.now)
        self.learn()

    @invariant()
    def the_state_is_that_of_the_transitions_and_the_time(self):
        state = self.breaker.state(self.now)
        if self.seen == "open":
            assert state == ("half_open" if self.now >= self.open_until else "open")
        else:
            assert state == self.seen
        assert 0.0 <= self.breaker.retry_after_seconds(self.now) <= CONFIG.max_open_seconds
        assert (self.breaker.retry_after_seconds(self.now) > 0) == (state == "open")


BreakerMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase


class Drill:
    """A breaker, its clock, and what it said."""

    def __init__(self, **options):
        self.said = []
        self.now = 100.0
        self.breaker = CircuitBreaker(BreakerConfig(**options), self.now, self.said.append)

    def calls(self, *results, seconds=0.0):
        for result in results:
            phase = self.breaker.admit(self.now)
            assert phase is not None
            self.breaker.call_ended(phase, self.now, result)
            self.now += seconds

    @property
    def states(self):
        return [transition.state for transition in self.said]


def test_failures_in_a_row_open_it_and_a_success_between_does_not():
    drill = Drill(consecutive_failures=3)
    drill.calls("failure", "failure", "success", "failure", "failure")
    assert drill.states == []
    drill.calls("neutral", "failure")
    assert drill.states == ["open"]
    assert drill.said[0].reason == "3 failures in a row"


def test_the_share_of_failures_opens_it_only_with_enough_calls_of_late():
    drill = Drill(consecutive_failures=100, minimum_attempts=10, window_seconds=20.0)
    drill.calls(*["failure", "success"] * 4, "failure")
    assert drill.states == []
    drill.now += 20.0
    drill.calls(*["failure", "success"] * 4, "failure")
    assert drill.states == [], "what is over does not count"
    drill.calls("success", "failure")
    assert drill.states == ["open"]
    assert drill.said[0].reason == "6 of 11 calls failed"


def test_it_half_opens_by_time_without_traffic_and_says_so_once():
    drill = Drill(consecutive_failures=1, open_seconds=15.0)
    drill.calls("failure")
    drill.now += 14.9
    assert drill.breaker.admit(drill.now) is None
    drill.now += 500.0
    assert drill.breaker.state(drill.now) == "half_open"
    drill.breaker.advance(drill.now)
    drill.breaker.advance(drill.now)
    assert drill.states == ["open", "half_open"]
    assert drill.said[1].at_seconds == 115.0, "the time at which it was due, not at which somebody looked"


def test_a_trial_that_is_cancelled_gives_its_slot_back():
    drill = Drill(consecutive_failures=1, open_seconds=15.0, half_open_calls=1)
    drill.calls("failure")
    drill.now += 15.0
    for _ in range(3):
        trial = drill.breaker.admit(drill.now)
        assert trial is not None
        assert drill.breaker.admit(drill.now) is None
        drill.breaker.call_ended(trial, drill.now, "neutral")
    drill.calls("success")
    assert drill.states == ["open", "half_open", "closed"]


def test_a_trial_stream_that_begins_closes_it_and_still_counts_when_it_breaks():
    drill = Drill(consecutive_failures=2, open_seconds=15.0, half_open_calls=1)
    drill.calls("failure", "failure")
    drill.now += 15.0
    stream = drill.breaker.admit(drill.now)
    stream = drill.breaker.call_responded(stream, drill.now)
    stream = drill.breaker.call_responded(stream, drill.now)
    assert drill.states == ["open", "half_open", "closed"]
    drill.calls("failure")
    drill.breaker.call_ended(stream, drill.now, "failure")
    drill.breaker.call_responded(stream, drill.now)
    assert drill.states[3:] == ["open"]


def test_the_time_grows_on_repeated_opening_and_begins_again_after_a_good_while():
    drill = Drill(consecutive_failures=1, open_seconds=10.0, max_open_seconds=60.0)
    for _ in range(5):
        drill.calls("failure")
        drill.now = drill.breaker._phase.until_seconds
    assert [each.open_seconds for each in drill.said if each.state == "open"] == [10.0, 20.0, 40.0, 60.0, 60.0]
    drill.calls("success")
    drill.now += 59.0
    drill.calls("failure")
    assert drill.said[-1].open_seconds == 60.0, "not well for long enough"
    drill.now += 60.0
    drill.calls("success")
    drill.now += 60.0
    drill.calls("failure")
    assert drill.said[-1].open_seconds == 10.0


def test_a_result_from_before_the_opening_says_nothing_of_the_trial():
    drill = Drill(consecutive_failures=1, open_seconds=10.0)
    late = [drill.breaker.admit(drill.now) for _ in range(3)]
    drill.calls("failure")
    drill.breaker.call_ended(late[0], drill.now, "failure")
    drill.now += 10.0
    drill.breaker.call_ended(late[1], drill.now, "success")
    drill.breaker.call_ended(late[2], drill.now, "failure")
    assert drill.states == ["open", "half_open"]


def test_a_breaker_that_is_switched_off_stays_closed():
    drill = Drill(enabled=False, consecutive_failures=1, minimum_attempts=1)
    drill.calls(*["failure"] * 100)
    assert drill.states == []
    assert drill.breaker.state(drill.now) == "closed"
