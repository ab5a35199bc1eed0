"""The detector's promises: silence below its minimum, one count per cause, an end before the next start, the same outcome over a restart."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.anomaly.detector import AnomalyDetector, StateError
from app.anomaly.incidents import Began, Ended
from app.anomaly.reading import Scope
from app.config.schema import AnomaliesConfig

ROUTES = (("alpha", "chat-a"), ("beta", "chat-a"), ("beta", "chat-b"), ("gamma", "chat-c"))
CONFIG = AnomaliesConfig()
START_MINUTE = 28_333_440


class Day:
    """Minutes of steady traffic over a detector, with what a test changes in them."""

    def __init__(self, seed: int = 1, per_route: int = 25, latency_scale: float = 1.0, routes=ROUTES) -> None:
        self.rng = random.Random(seed)
        self.per_route = per_route
        self.latency_scale = latency_scale
        self.routes = routes
        self.detector = AnomalyDetector(routes, CONFIG)
        self.minute = START_MINUTE

    def run(self, minutes, *, only=None, latency=1.0, errors=0.01, traffic=1.0, tokens=1.0):
        """Go on for so many minutes; `only` names the providers or models that differ. Returns [(minute, finding)]."""
        found = []
        for _ in range(minutes):
            for provider, model in self.routes:
                hit = only is None or provider in only or model in only
                self.attempts(
                    provider,
                    model,
                    round(self.per_route * (traffic if hit else 1.0)),
                    latency=latency if hit else 1.0,
                    errors=errors if hit else 0.01,
                    tokens=tokens if hit else 1.0,
                )
            self.minute += 1
            found += [(self.minute - START_MINUTE, each) for each in self.detector.evaluate(self.minute * 60.0)]
        return found

    def attempts(self, provider, model, count, *, latency, errors, tokens):
        for _ in range(count):
            if self.rng.random() < errors:
                self.detector.observe(provider, model, "failure", now_seconds=self.minute * 60.0)
                continue
            put = round(self.rng.lognormvariate(6, 0.8) * tokens) + 1
            got = round(self.rng.lognormvariate(4.5, 0.7) * tokens) + 1
            seconds = (0.2 + put * 0.0002 + got * 0.02) * self.rng.lognormvariate(0, 0.3)
            self.detector.observe(
                provider,
                model,
                "success",
                now_seconds=self.minute * 60.0,
                duration_seconds=seconds * latency * self.latency_scale,
                input_tokens=put,
                output_tokens=got,
            )


def began(found):
    return [each for _, each in found if isinstance(each, Began)]


def ended(found):
    return [each for _, each in found if isinstance(each, Ended)]


@pytest.mark.parametrize(
    ("change", "kind", "signal"),
    [
        ({"latency": 3.0}, "latency_spike", "slowdown"),
        ({"errors": 0.3}, "error_surge", "errors"),
        ({"traffic": 6.0}, "unusual_pattern", "traffic"),
        ({"traffic": 0.0}, "unusual_pattern", "traffic"),
        ({"tokens": 5.0}, "unusual_pattern", "output_tokens"),
        ({"tokens": 0.2}, "unusual_pattern", "output_tokens"),
    ],
)
def test_one_cause_is_one_anomaly_and_it_ends(change, kind, signal) -> None:
    day = Day()
    assert day.run(60) == []
    found = day.run(10, only={"beta"}, **change)
    found += day.run(45)
    (start,), (end,) = began(found), ended(found)
    assert (start.type, end.type, end.scope) == (kind, kind, start.reading.scope)
    assert start.reading.signal in {signal, "input_tokens"} if "tokens" in signal else start.reading.signal == signal
    assert start.reading.scope in {Scope("provider", "beta"), Scope("model", "chat-b"), Scope("model", "chat-a")}
    assert start.reading.minutes in {3, 5, 10, 15}


def test_the_numbers_of_a_latency_spike_say_what_happened() -> None:
    day = Day()
    day.run(60)
    (start,) = began(day.run(10, only={"gamma"}, latency=4.0))
    reading = start.reading
    # Found after two of the window's three minutes: between the usual and the four times.
    assert 2.0 < reading.value < 4.5
    assert reading.baseline == pytest.approx(1.0, rel=0.15)
    assert reading.threshold == pytest.approx(1.75 * reading.baseline, rel=0.3)
    assert 1.0 < reading.spread < 1.3
    assert reading.samples == pytest.approx(3 * 25, rel=0.1)


def test_the_same_cause_may_be_counted_again_once_it_has_ended() -> None:
    day = Day()
    day.run(60)
    found = day.run(8, only={"gamma"}, errors=0.3) + day.run(40) + day.run(8, only={"gamma"}, errors=0.3)
    kinds = [type(each).__name__ for _, each in found]
    assert kinds == ["Began", "Ended", "Began"]


def test_independent_causes_are_two_anomalies() -> None:
    day = Day()
    day.run(60)
    found = day.run(12, only={"alpha"}, latency=4.0)
    found += day.run(8, only={"alpha", "gamma"}, latency=4.0)
    first, second = (each.reading.scope.name for each in began(found) if each.type == "latency_spike")
    assert first == "alpha"
    assert second in {"gamma", "chat-c"}


def test_what_hits_everything_at_once_is_one_anomaly() -> None:
    day = Day()
    day.run(60)
    found = day.run(12, latency=4.0) + day.run(30)
    (start,) = began(found)
    assert {scope.kind for scope in start.also} | {start.reading.scope.kind} >= {"provider", "model"}
    assert len(ended(found)) == 1


def test_fail_over_belongs_to_the_outage_that_causes_it() -> None:
    day = Day()
    day.run(60)
    found = day.run(4, only={"alpha"}, errors=0.9)
    # The breaker opens: nothing goes to alpha any more.
    found += day.run(15, only={"alpha"}, traffic=0.0)
    assert [each.type for each in began(found)] == ["error_surge"]


def test_what_lasts_becomes_the_normal_and_ends_the_anomaly() -> None:
    day = Day()
    day.run(60)
    found = day.run(150, only={"gamma"}, latency=3.0)
    (start,), (end,) = began(found), ended(found)
    assert start.type == end.type == "latency_spike"
    assert end.minutes == CONFIG.max_episode_minutes


def test_longer_responses_are_not_slower_ones() -> None:
    day = Day()
    day.run(80)
    found = day.run(20, only={"gamma"}, tokens=5.0)
    assert {each.type for each in began(found)} == {"unusual_pattern"}


def test_an_unconfigured_route_is_ignored() -> None:
    detector = AnomalyDetector(ROUTES, CONFIG)
    detector.observe("alpha", "chat-b", "failure", now_seconds=0.0)
    detector.observe("nobody", "chat-a", "failure", now_seconds=0.0)
    assert detector.evaluate(60.0) == []
    assert b"nobody" not in detector.dump()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    minutes=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0.001, 1_000.0), st.floats(0.0, 1.0), st.integers(0, 100_000)),
        max_size=45,
    ),
)
def test_it_is_silent_below_its_minimum_whatever_happens(seed, minutes) -> None:
    """Fewer than the least samples of every signal in its longest window: at most 3 attempts a minute for 15 minutes, 45 in all."""
    rng = random.Random(seed)
    detector = AnomalyDetector(ROUTES[:1], CONFIG)
    for number, (count, seconds, errors, tokens) in enumerate(minutes[:15]):
        for _ in range(count):
            outcome = "failure" if rng.random() < errors else "success"
            detector.observe(
                "alpha",
                "chat-a",
                outcome,
                now_seconds=number * 60.0,
                duration_seconds=seconds,
                input_tokens=tokens,
                output_tokens=tokens,
            )
        assert detector.evaluate((number + 1) * 60.0) == []


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_episodes_of_a_scope_never_overlap_and_each_end_has_its_beginning(seed, data) -> None:
    day = Day(seed=seed, per_route=12, routes=ROUTES[:1])
    running: set[str] = set()
    day.run(40)
    for _ in range(6):
        change = data.draw(
            st.sampled_from(
                [{}, {"latency": 5.0}, {"errors": 0.5}, {"traffic": 0.0}, {"traffic": 8.0}, {"tokens": 6.0}]
            )
        )
        for _, each in day.run(data.draw(st.integers(3, 15)), **change):
            if isinstance(each, Began):
                assert each.type not in running
                running.add(each.type)
            else:
                running.remove(each.type)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), exponent=st.integers(-7, 7))
def test_latency_is_judged_relative_to_itself(seed, exponent) -> None:
    """A provider that is a hundred times slower, and always was, gives the same findings."""

    def findings(scale):
        day = Day(seed=seed, per_route=15, latency_scale=scale, routes=ROUTES[-1:])
        day.run(50)
        found = day.run(6, latency=3.0) + day.run(12)
        return [(minute, type(each), each.type) for minute, each in found]

    assert findings(2.0**exponent) == findings(1.0)


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), cut=st.integers(1, 75))
def test_a_restart_in_the_middle_changes_nothing(seed, cut) -> None:
    def findings(cut_at):
        day = Day(seed=seed, per_route=20, routes=ROUTES[-2:])
        found = []
        for minute in range(76):
            found += day.run(1, latency=4.0 if 55 <= minute < 62 else 1.0, only={"gamma"})
            if minute + 1 == cut_at:
                state = day.detector.dump()
                day.detector = AnomalyDetector(day.routes, CONFIG)
                day.detector.restore(state, now_seconds=day.minute * 60.0)
        return found, day.detector.dump()

    assert findings(cut) == findings(None)


def test_time_in_which_the_process_was_down_is_no_silence() -> None:
    day = Day()
    day.run(60)
    state = day.detector.dump()
    for minutes_down in (1, 3, 10, 600):
        later = Day()
        later.minute = day.minute + minutes_down
        later.detector.restore(state, now_seconds=later.minute * 60.0)
        assert later.run(30) == []


def test_a_suspended_process_does_not_take_the_gap_for_silence() -> None:
    day = Day()
    day.run(60)
    day.minute += 45
    assert day.run(20) == []


@pytest.mark.parametrize("state", [b"", b"[]", b"{", b'{"version": 2}', b'{"closed_minute": "x"}'])
def test_a_state_that_is_none_is_refused_and_nothing_changes(state) -> None:
    day = Day(per_route=2)
    day.run(3)
    before = day.detector.dump()
    with pytest.raises(StateError):
        day.detector.restore(state, now_seconds=day.minute * 60.0)
    assert day.detector.dump() == before


def test_removed_routes_are_dropped_from_a_state_and_new_ones_begin_again() -> None:
    day = Day(per_route=5)
    day.run(30)
    routes = (("beta", "chat-b"), ("delta", "chat-d"))
    detector = AnomalyDetector(routes, CONFIG)
    detector.restore(day.detector.dump(), now_seconds=day.minute * 60.0)
    assert b"alpha" not in detector.dump()
    detector.observe("delta", "chat-d", "unjudged", now_seconds=day.minute * 60.0)
    assert detector.evaluate(day.minute * 60.0 + 60) == []
    assert b"delta" in detector.dump()
