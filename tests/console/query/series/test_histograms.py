"""Quantiles and rates of histograms, against values computed by hand and against an independent oracle."""

import math
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from console.query.series.classic_histogram import ClassicHistogram, HistogramPoint, add_buckets, classic_quantile
from console.query.series.counter import Counter
from console.query.series.exponential_histogram import (
    ExponentialBuckets,
    ExponentialHistogram,
    ExponentialPoint,
    exponential_quantile,
)
from console.query.series.samples import NumberSeries
from otel.exposition.quantile import histogram_quantile
from tests.console.query.series.oracle import oracle_classic_quantile, oracle_native_quantile

BRIEF = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


def point(time_ms, counts, *, start_ms=1, bounds=(1.0, 2.0)):
    return HistogramPoint(
        time_ms=time_ms, start_ms=start_ms, count=sum(counts), sum=float(sum(counts)), bounds=bounds, counts=counts
    )


def test_buckets_are_counters_that_accumulate_over_the_bounds():
    histogram = ClassicHistogram([point(10_000, (1, 2, 3)), point(20_000, (2, 4, 6))], is_delta=False)
    assert histogram.increases(10_000, 20_000) == {1.0: 1, 2.0: 3, math.inf: 6}
    assert histogram.count.increase(10_000, 20_000) == 6


def test_a_quantile_is_interpolated_inside_its_bucket():
    assert classic_quantile(0.5, {1.0: 10, 2.0: 30, math.inf: 40}) == pytest.approx(1.5)
    assert classic_quantile(0.99, {1.0: 10, 2.0: 30, math.inf: 40}) == 2.0
    assert classic_quantile(0.1, {1.0: 10, 2.0: 30, math.inf: 40}) == pytest.approx(0.4)


def test_nothing_observed_has_no_quantile():
    assert classic_quantile(0.5, {}) is None
    assert classic_quantile(0.5, {1.0: 0, math.inf: 0}) is None
    assert classic_quantile(0.5, {1.0: 3}) is None


def test_series_with_other_bounds_are_added_by_bound():
    added = add_buckets([{1.0: 1, math.inf: 2}, {1.0: 1, 5.0: 3, math.inf: 3}])
    assert added == {1.0: 2, 5.0: 3, math.inf: 5}


def test_new_bounds_of_a_series_are_new_counters():
    histogram = ClassicHistogram(
        [point(10_000, (1, 2, 3)), point(20_000, (5, 9), bounds=(4.0,), start_ms=15_000)], is_delta=False
    )
    assert histogram.increases(10_000, 20_000) == {4.0: 5, math.inf: 14}


@BRIEF
@example([((0, 3), 0.0), ((2, 5), 0.0), ((1, 1), 0.0)], 12_000, 30_000)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 50), min_size=2, max_size=3), st.sampled_from((0.0, 0.5))), max_size=8),
    st.integers(0, 60_000),
    st.integers(1, 60_000),
)
def test_each_buckets_rate_is_that_of_a_counter_with_its_totals(counted, start_ms, length_ms):
    points = [
        point(10_000 * (index + 1), tuple(each + more for each in counts), bounds=(1.0, 2.0)[: len(counts) - 1])
        for index, (counts, more) in enumerate(counted)
    ]
    expected = {}
    for index, bound in enumerate((1.0, 2.0, math.inf)):
        having = [each for each in points if bound in (*each.bounds, math.inf)]
        counter = Counter(
            NumberSeries(
                times_ms=[each.time_ms for each in having],
                values=[sum(each.counts[: index + 1]) for each in having],
                starts_ms=[each.start_ms for each in having],
            )
        )
        rate = counter.rate(start_ms, start_ms + length_ms)
        if rate is not None:
            expected[bound] = rate
    assert ClassicHistogram(points, is_delta=False).rates(start_ms, start_ms + length_ms) == expected


@BRIEF
@given(
    st.dictionaries(st.integers(-3, 20).map(float), st.integers(0, 40), min_size=1, max_size=8),
    st.integers(0, 60),
    st.floats(0.01, 1.0),
)
def test_classic_quantiles_are_those_of_the_oracle(finite, more, quantile):
    buckets = {**finite, math.inf: float(more)}
    expected = oracle_classic_quantile(quantile, buckets)
    found = classic_quantile(quantile, buckets)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))


@BRIEF
@given(st.lists(st.integers(0, 40), min_size=2, max_size=8), st.floats(0.01, 1.0))
def test_classic_quantiles_are_those_of_the_gateways_summary(steps, quantile):
    bounds = [float(index) for index in range(len(steps) - 1)]
    cumulative = list(accumulate(steps))
    found = classic_quantile(quantile, dict(zip((*bounds, math.inf), cumulative, strict=True)))
    expected = histogram_quantile(quantile, bounds, cumulative)
    assert found == (None if expected is None else pytest.approx(expected))


def exponential(positive, *, scale=0, zero=0.0, negative=None, threshold=0.0):
    negative = negative or {}
    count = sum(positive.values()) + sum(negative.values()) + zero
    return ExponentialBuckets(
        scale=scale,
        count=count,
        sum=float(count),
        zero_count=zero,
        zero_threshold=threshold,
        positive=positive,
        negative=negative,
    )


def test_an_exponential_quantile_is_interpolated_on_a_logarithmic_scale():
    # Index 0 of scale 0 is (1, 2]: the middle of its observations is at the square root of 2.
    assert exponential_quantile(0.5, exponential({0: 10})) == pytest.approx(math.sqrt(2))
    assert exponential_quantile(1.0, exponential({0: 10, 3: 1})) == pytest.approx(16.0)


def test_a_coarser_scale_merges_buckets():
    fine = exponential({0: 1, 1: 2, 2: 3, -1: 4}, scale=1)
    assert fine.at_scale(0).positive == {0: 3, 1: 3, -1: 4}


def test_histograms_of_different_scales_are_added_at_the_coarser_one():
    added = exponential({0: 1, 1: 2}, scale=1).plus(exponential({0: 5}, scale=0))
    assert (added.scale, added.positive, added.count) == (0, {0: 8}, 8)


def test_a_wider_zero_bucket_takes_the_buckets_below_it():
    # (1, 2] is divided by 1.5, so the zero bucket reaches to 2.
    added = exponential({-2: 1, 0: 3, 1: 5}).plus(exponential({}, zero=2.0, threshold=1.5))
    assert (added.zero_threshold, added.zero_count, added.positive) == (2.0, 6, {1: 5})


def test_a_bucket_that_lost_observations_is_a_reset():
    before, after = exponential({0: 5, 1: 1}), exponential({0: 4, 1: 6})
    histogram = ExponentialHistogram(
        [ExponentialPoint(10_000, 1, before), ExponentialPoint(20_000, 1, after)], is_delta=False
    )
    grown = histogram.increase(10_000, 20_000)
    assert grown is not None
    assert {index: count for index, count in grown.positive.items() if count} == {0: 4, 1: 6}


def test_an_exponential_restart_is_seen_by_its_start_where_no_bucket_fell():
    points = [
        ExponentialPoint(20_000, 5_000, exponential({0: 4})),
        ExponentialPoint(30_000, 25_000, exponential({0: 9})),
        ExponentialPoint(40_000, 25_000, exponential({0: 10})),
        ExponentialPoint(50_000, 45_000, exponential({0: 11, 1: 1})),
    ]
    histogram = ExponentialHistogram(points, is_delta=False)
    assert histogram.increase(20_000, 30_000).positive == {0: 9}
    assert histogram.increase(20_000, 50_000).positive == {0: 9 + 1 + 11, 1: 1}
    assert histogram.increase(0, 50_000).count == 4 + 10 + 12


def test_delta_points_of_exponential_histograms_are_added():
    histogram = ExponentialHistogram(
        [ExponentialPoint(10_000, 1, exponential({0: 5})), ExponentialPoint(20_000, 1, exponential({0: 1, 2: 2}))],
        is_delta=True,
    )
    rate = histogram.rate(0, 20_000)
    assert rate is not None
    assert rate.positive == pytest.approx({0: 6 / 20, 2: 2 / 20})


def test_an_exponential_rate_is_extrapolated_like_that_of_a_counter():
    histogram = ExponentialHistogram(
        [ExponentialPoint(30_000, 1, exponential({0: 100})), ExponentialPoint(90_000, 1, exponential({0: 160}))],
        is_delta=False,
    )
    rate = histogram.rate(0, 120_000)
    assert rate is not None
    assert rate.count == pytest.approx(60 * (60 + 30 + 30) / 60 / 120)


@BRIEF
@example({0: 1, 1: 16}, {0: 1, 1: 1, 2: 1, 3: 1}, 13, 0, 0.5)
@given(
    st.dictionaries(st.integers(-20, 20), st.integers(1, 40), max_size=8),
    st.dictionaries(st.integers(-20, 20), st.integers(1, 40), max_size=4),
    st.integers(0, 20),
    st.integers(-2, 5),
    st.floats(0.01, 0.99),
)
def test_exponential_quantiles_are_those_of_the_oracle(positive, negative, zero, scale, quantile):
    # A rank between two buckets is the end of one or the begin of the other: Prometheus counts from both sides.
    low, high = (oracle_native_quantile(quantile + near, positive, negative, zero, scale) for near in (-1e-8, 1e-8))
    found = exponential_quantile(quantile, exponential(positive, scale=scale, zero=float(zero), negative=negative))
    if low is None:
        assert found is None
    else:
        tolerance = 1e-12 + 1e-6 * max(abs(low), abs(high))
        assert low - tolerance <= found <= high + tolerance
