"""Rates and increases of counters, against values computed by hand and against an independent oracle."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.query.series.counter import Counter
from console.query.series.samples import NumberSeries, value_at
from tests.console.query.series.oracle import oracle_rate

BRIEF = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


def series(pairs, *, starts=0, is_delta=False):
    pairs = list(pairs)
    return NumberSeries(
        times_ms=[time_ms for time_ms, _ in pairs],
        values=[value for _, value in pairs],
        starts_ms=[starts] * len(pairs) if isinstance(starts, int) else starts,
        is_delta=is_delta,
    )


def test_a_rate_is_extrapolated_to_the_ends_of_the_window_like_prometheus_does():
    # 60 s apart, 60 more each: 1/s. First sample 30 s after the start, last 30 s before the end: both near.
    counter = Counter(series([(30_000, 100), (90_000, 160), (150_000, 220), (210_000, 280), (270_000, 340)]))
    assert counter.rate(0, 300_000) == pytest.approx(240 * (240 + 30 + 30) / 240 / 300)


def test_a_rate_is_not_extrapolated_to_below_zero():
    # It would have been 0 only 6 s before the first sample, so the left side reaches 6 s and not 30 s.
    counter = Counter(series([(30_000, 6), (90_000, 66)]))
    assert counter.rate(0, 120_000) == pytest.approx(60 * (60 + 6 + 30) / 60 / 120)


def test_a_gap_at_the_end_is_extrapolated_by_half_a_distance():
    counter = Counter(series([(10_000, 1_000), (20_000, 1_010), (30_000, 1_020)]))
    assert counter.rate(0, 100_000) == pytest.approx(20 * (20 + 10 + 5) / 20 / 100)


def test_a_rate_needs_two_samples_in_the_window():
    counter = Counter(series([(10_000, 5), (80_000, 9)]))
    assert counter.rate(10_000, 80_000) is None
    assert counter.rate(9_999, 80_000) is not None
    assert counter.rate(200_000, 300_000) is None


def test_a_reset_counts_what_came_after_it():
    counter = Counter(series([(10_000, 100), (20_000, 110), (30_000, 4), (40_000, 10)]))
    assert counter.increase(10_000, 40_000) == 10 + 4 + 6


def test_a_restart_is_seen_by_its_start_where_the_value_did_not_fall():
    counter = Counter(series([(10_000, 5), (20_000, 7)], starts=[1_000, 15_000]))
    assert counter.increase(10_000, 20_000) == 7


def test_a_start_at_the_sample_before_is_no_restart():
    counter = Counter(series([(10_000, 5), (20_000, 7)], starts=[1_000, 10_000]))
    assert counter.increase(10_000, 20_000) == 2


def test_a_series_that_began_in_the_window_counts_from_zero():
    counter = Counter(series([(20_000, 7), (30_000, 9)], starts=15_000))
    assert counter.increase(10_000, 30_000) == 9
    assert counter.unknown_before_ms(10_000, 30_000) is None


def test_what_was_counted_before_the_first_sample_and_the_window_is_unknown():
    counter = Counter(series([(420_000, 7), (430_000, 9)], starts=5_000))
    assert counter.increase(410_000, 430_000) == 2
    assert counter.unknown_before_ms(410_000, 430_000) == 420_000
    assert counter.increase(410_000, 425_000) is None
    assert counter.increase(4_000, 430_000) == 9
    assert counter.unknown_before_ms(4_000, 430_000) is None


def test_a_series_that_began_shortly_before_its_first_sample_counts_from_zero_wherever_the_window_begins():
    counter = Counter(series([(20_000, 7), (30_000, 9)], starts=5_000))
    assert counter.increase(10_000, 30_000) == 9
    assert counter.increase(0, 10_000) is None


def test_an_unknown_start_counts_nothing_before_the_first_sample():
    counter = Counter(series([(20_000, 7), (30_000, 9)], starts=0))
    assert counter.increase(0, 30_000) == 2


def test_delta_points_are_added():
    counter = Counter(series([(10_000, 3), (20_000, 4), (30_000, 5)], is_delta=True))
    assert counter.increase(10_000, 30_000) == 9
    assert counter.rate(10_000, 30_000) == pytest.approx(9 / 20)
    assert counter.rate(40_000, 50_000) is None


def test_a_window_without_samples_is_unknown_not_zero():
    counter = Counter(series([(10_000, 3)]))
    assert counter.increase(20_000, 30_000) is None
    assert Counter(series([])).increase(0, 1) is None


def test_the_end_of_a_series_changes_no_count_but_ends_its_value():
    ended = series([(10_000, 3), (20_000, 5), (30_000, None)])
    assert Counter(ended).increase(10_000, 30_000) == 2
    assert value_at(ended, 25_000) == 5
    assert value_at(ended, 30_000) is None


def test_a_value_is_current_for_five_minutes_and_no_longer():
    gauge = series([(10_000, 3)])
    assert value_at(gauge, 9_999) is None
    assert value_at(gauge, 10_000) == 3
    assert value_at(gauge, 309_999) == 3
    assert value_at(gauge, 310_000) is None


@st.composite
def counters(draw):
    count = draw(st.integers(0, 12))
    times = sorted(draw(st.sets(st.integers(1, 600_000), min_size=count, max_size=count)))
    return [(time_ms, draw(st.integers(0, 50))) for time_ms in times]


@BRIEF
@given(counters(), st.integers(0, 600_000), st.integers(1, 600_000))
def test_rates_are_those_of_the_oracle(samples, start_ms, length_ms):
    expected = oracle_rate(samples, start_ms, start_ms + length_ms)
    found = Counter(series(samples)).rate(start_ms, start_ms + length_ms)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))


@BRIEF
@given(counters(), st.lists(st.integers(0, 600_000), min_size=3, max_size=3, unique=True).map(sorted))
def test_increases_of_adjacent_windows_add_up(samples, ends):
    begun_ms = max(1, samples[0][0] - 300_000) if samples else 1
    counter = Counter(series(samples, starts=begun_ms))
    first, second = counter.increase(ends[0], ends[1]), counter.increase(ends[1], ends[2])
    assert (first or 0) + (second or 0) == (counter.increase(ends[0], ends[2]) or 0)
