"""The window equals a naive model that keeps everything, whatever is added and however often it is asked."""

import math
import tracemalloc
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from app.gateway.fault import fault_of
from app.providers.attempt_window import DAY_MINUTES, WINDOW_SECONDS, AttemptWindow, MinuteCounts, Outcome
from app.providers.attempt_windows import AttemptWindows, WindowKey, outcome_of
from app.providers.latency_sketch import MAX_BINS, RELATIVE_ERROR, LatencySketch
from otel.events import AttemptFinished, ErrorKind
from otel.events.usage import Usage

LATENCIES = st.floats(0.001, 600.0)
OUTCOMES = st.builds(
    Outcome,
    failed=st.booleans(),
    latency_seconds=LATENCIES,
    duration_seconds=LATENCIES,
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
)
# Pauses between attempts: within a second, within the window, within the day, beyond both.
PAUSES = st.one_of(
    st.floats(0.0, 2.0), st.floats(0.0, 400.0), st.floats(0.0, 200_000.0), st.sampled_from([60.0, 300.0])
)


def nearest_rank(values, quantile):
    ordered = sorted(values)
    return ordered[max(1, math.ceil(quantile * len(ordered))) - 1] if ordered else None


def close(value):
    return None if value is None else pytest.approx(value, rel=RELATIVE_ERROR * 1.01)


class NaiveWindow:
    """Keeps every attempt indefinitely, and counts when asked."""

    def __init__(self, started):
        self.started = started
        self.attempts = []

    def recent(self, now):
        return [each for at, each in self.attempts if math.floor(at) > math.floor(now) - WINDOW_SECONDS]

    def minute(self, minute):
        return [each for at, each in self.attempts if math.floor(at) // 60 == minute]

    def whole_minutes(self, now):
        newest = math.floor(now) // 60
        return range(max(math.ceil(self.started / 60), newest - (DAY_MINUTES - 1)), newest)


def check(window, naive, now):
    counts, recent = window.counts(now), naive.recent(now)
    good = [each for each in recent if not each.failed]
    assert (counts.attempts, counts.failures) == (len(recent), len(recent) - len(good))
    assert counts.latency_p95_seconds == close(nearest_rank([each.latency_seconds for each in good], 0.95))
    assert counts.error_rate == (pytest.approx(1 - len(good) / len(recent)) if recent else None)


def check_minutes(window, naive, now):
    rows = window.minutes(now)
    assert [row.minute for row in rows] == list(naive.whole_minutes(now))
    empty = MinuteCounts(
        minute=0,
        attempts=0,
        failures=0,
        input_tokens=0,
        output_tokens=0,
        duration_p50_seconds=None,
        duration_p95_seconds=None,
    )
    filled = {math.floor(at) // 60 for at, _ in naive.attempts}
    for row in rows:
        if row.minute not in filled:
            assert structs.replace(row, minute=0) == empty
            continue
        each = naive.minute(row.minute)
        assert row.attempts == len(each)
        assert row.failures == sum(one.failed for one in each)
        assert row.input_tokens == sum(one.input_tokens for one in each)
        assert row.output_tokens == sum(one.output_tokens for one in each)
        good = [one.duration_seconds for one in each if not one.failed]
        assert row.duration_p50_seconds == close(nearest_rank(good, 0.5))
        assert row.duration_p95_seconds == close(nearest_rank(good, 0.95))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 1e6), st.lists(st.tuples(PAUSES, OUTCOMES), max_size=25))
def test_the_window_equals_the_naive_one(started, steps):
    window, naive, now = AttemptWindow(started), NaiveWindow(started), started
    for pause, outcome in steps:
        now += pause
        window.add(now, outcome)
        naive.attempts.append((now, outcome))
        check(window, naive, now)
    check_minutes(window, naive, now)
    for later in (0.5, 59.0, 299.0, 300.0, 301.0, 90_000.0):
        check(window, naive, now + later)
    assert window.counts(now + 90_000.0).error_rate is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(PAUSES, OUTCOMES), min_size=1, max_size=30), st.lists(st.floats(0.0, 1.0), max_size=30))
def test_asking_changes_nothing(steps, questions):
    quiet, asked, now = AttemptWindow(0.0), AttemptWindow(0.0), 0.0
    for index, (pause, outcome) in enumerate(steps):
        for share in questions[index : index + 3]:
            asked.counts(now + pause * share)
            asked.minutes(now + pause * share, 3)
        now += pause
        quiet.add(now, outcome)
        asked.add(now, outcome)
    assert asked.counts(now + 100.0) == quiet.counts(now + 100.0)
    assert asked.minutes(now + 100.0) == quiet.minutes(now + 100.0)


def test_memory_is_bounded_however_much_traffic_there_is():
    window = AttemptWindow(0.0)
    for second in range(2_000):
        for number in range(5):
            window.add(second + number / 5, Outcome(failed=False, latency_seconds=1e-5 * 3**number))
    assert len(window._seconds) == WINDOW_SECONDS
    assert all(len(list(slot.latencies.items())) <= MAX_BINS for slot in window._seconds)
    assert MAX_BINS < 500


def test_a_full_window_takes_little_memory():
    """Each provider has one, and each model at each of its providers."""
    window = AttemptWindow(0.0)
    tracemalloc.start()
    try:
        for second in range(WINDOW_SECONDS):
            for number in range(50):
                window.add(second, Outcome(failed=False, latency_seconds=1e-3 * 1.1**number))
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_bytes < WINDOW_SECONDS * 1_200


def test_a_clock_that_seems_to_go_back_counts_as_now():
    window = AttemptWindow(0.0)
    window.add(100.0, Outcome(failed=True))
    window.add(40.0, Outcome(failed=True))
    assert window.counts(399.9).attempts == 2
    assert window.counts(400.0).attempts == 0


def test_minutes_give_the_newest_first_to_go():
    window = AttemptWindow(0.0)
    for minute in range(5):
        window.add(minute * 60 + 1.0, Outcome(failed=False, duration_seconds=float(minute + 1)))
    assert [row.minute for row in window.minutes(300.0, 2)] == [3, 4]
    assert window.minutes(300.0, 0) == []


@given(st.lists(LATENCIES, min_size=1), st.floats(0.0, 1.0))
def test_a_sketch_knows_every_quantile_to_two_percent(latencies, quantile):
    sketch = LatencySketch()
    for seconds in latencies:
        sketch.add(seconds)
    assert sketch.quantile(quantile) == close(nearest_rank(latencies, quantile))


def test_a_sketch_gives_back_only_what_it_got():
    full, other = LatencySketch(), LatencySketch()
    other.add(1.0)
    with pytest.raises(ValueError, match="only give back"):
        full.remove(other)
    full.add(1.0)
    full.remove(other)
    assert (full.count, full.bins, full.quantile(0.5)) == (0, {}, None)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_a_sketch_puts_what_is_out_of_reach_at_its_ends(seconds):
    sketch = LatencySketch()
    sketch.add(seconds)
    assert sketch.quantile(1.0) == close(min(max(seconds, 1e-4), 10_800.0))


def finished(status, kind: ErrorKind | None = None, *, first_token=None):
    return AttemptFinished(
        status=status,
        error_kind=kind,
        duration_seconds=4.0,
        first_token_seconds=first_token,
        usage=Usage(input_tokens=3, output_tokens=2),
    )


def test_what_says_nothing_of_the_provider_is_no_outcome():
    assert outcome_of(finished("cancelled")) is None
    for kind in get_args(ErrorKind):
        is_theirs = fault_of(kind).domain in {"provider", "network"}
        assert (outcome_of(finished("error", kind)) is not None) == is_theirs, kind
    assert outcome_of(structs.replace(finished("error", "connect_error"), connection_was_stale=True)) is None
    for kind in ("model_unavailable", "upstream_5xx", "connect_timeout", "upstream_auth", "stream_broken"):
        outcome = outcome_of(finished("error", kind))
        assert outcome is not None
        assert outcome.failed


def test_a_stream_is_as_slow_as_its_first_token_and_a_response_as_its_end():
    assert outcome_of(finished("success")) == Outcome(
        failed=False, latency_seconds=4.0, duration_seconds=4.0, input_tokens=3, output_tokens=2
    )
    assert outcome_of(finished("success", first_token=0.5)) == Outcome(
        failed=False, latency_seconds=0.5, duration_seconds=4.0, input_tokens=3, output_tokens=2
    )


def test_an_attempt_is_in_its_providers_window_and_in_its_models():
    windows = AttemptWindows(["p", "q"], [("p", "m"), ("q", "m"), ("p", "n"), ("p", "m")], 0.0)
    windows.attempt_finished("p", "m", finished("success"), 1.0)
    windows.attempt_finished("p", "n", finished("error", "upstream_5xx"), 2.0)
    windows.attempt_finished("p", "m", finished("cancelled"), 2.0)
    windows.attempt_finished("unknown", "m", finished("success"), 2.0)
    counts = {key: window.counts(3.0) for key, window in windows.by_key.items()}
    assert {key: (each.attempts, each.failures) for key, each in counts.items()} == {
        WindowKey("p"): (2, 1),
        WindowKey("q"): (0, 0),
        WindowKey("p", "m"): (1, 0),
        WindowKey("q", "m"): (0, 0),
        WindowKey("p", "n"): (1, 1),
    }
    assert windows.of_provider("p").counts(3.0).error_rate == 0.5
