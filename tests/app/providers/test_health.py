"""The health score is in [0, 1], falls with errors, and knows that failing fast is not being healthy."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.providers.attempt_window import WindowCounts
from app.providers.health_score import health_score, latency_score

NOTHING = WindowCounts(attempts=0, failures=0, latency_p95_seconds=None)
SHARES = st.floats(0.0, 1.0)


def counts(successes, failures, p95=1.0):
    return WindowCounts(
        attempts=successes + failures, failures=failures, latency_p95_seconds=p95 if successes else None
    )


def score(availability, window, target=2.0, limit=20.0):
    return health_score(availability, window, target_seconds=target, limit_seconds=limit)


AVAILABILITIES = st.none() | SHARES
COUNTS = st.builds(counts, st.integers(0, 1000), st.integers(0, 1000), st.floats(0.001, 100.0))


@given(AVAILABILITIES, COUNTS, st.floats(0.01, 10.0), st.floats(0.01, 100.0))
def test_it_is_a_share_or_unknown(availability, window, target, above):
    value = score(availability, window, target, target + above)
    assert (value is None) == (availability is None and window.attempts == 0)
    assert value is None or 0.0 <= value <= 1.0


@given(AVAILABILITIES, st.integers(0, 100), st.integers(0, 100), st.floats(0.001, 100.0), st.integers(1, 100))
def test_a_failure_more_never_makes_it_healthier(availability, successes, failures, p95, more):
    assume(availability is not None or successes + failures)
    before = score(availability, counts(successes, failures, p95))
    assert score(availability, counts(successes, failures + more, p95)) <= before + 1e-12


@given(AVAILABILITIES, st.integers(1, 100), st.integers(0, 100), st.floats(0.001, 100.0), st.floats(0.0, 100.0))
def test_slower_is_never_healthier(availability, successes, failures, p95, more):
    fast = score(availability, counts(successes, failures, p95))
    assert score(availability, counts(successes, failures, p95 + more)) <= fast + 1e-12


@given(SHARES, SHARES, COUNTS)
def test_less_available_is_never_healthier(one, other, window):
    low, high = sorted((one, other))
    assert score(low, window) <= score(high, window) + 1e-12


@given(SHARES, st.integers(1, 1000))
def test_a_provider_that_fails_every_time_is_unhealthy_however_fast(availability, failures):
    assert score(availability, counts(0, failures)) <= 0.4


@pytest.mark.parametrize(
    ("availability", "window", "expected"),
    [
        (1.0, counts(10, 0), 1.0),
        (1.0, counts(0, 10), 0.4),
        (1.0, counts(5, 5), 0.4 + 0.15 + 0.3),
        (0.5, counts(10, 0), 0.2 + 0.3 + 0.3),
        (1.0, counts(10, 0, p95=11.0), 0.4 + 0.3 + 0.15),
        (1.0, counts(10, 0, p95=20.0), 0.7),
        (0.25, NOTHING, 0.25),
        (None, counts(3, 1), (0.3 * 0.75 + 0.3) / 0.6),
        (None, NOTHING, None),
    ],
)
def test_the_formula(availability, window, expected):
    assert score(availability, window) == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize(("p95", "expected"), [(0.1, 1.0), (2.0, 1.0), (6.5, 0.75), (20.0, 0.0), (500.0, 0.0)])
def test_the_latency_score_falls_in_a_straight_line(p95, expected):
    assert latency_score(counts(1, 0, p95), target_seconds=2.0, limit_seconds=20.0) == pytest.approx(expected)
