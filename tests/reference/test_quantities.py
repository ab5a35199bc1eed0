"""The arithmetic of expected results and the comparison with what came, against examples worked out by hand."""

import math

import pytest

from tests.reference.extrapolation import increase, quantile
from tests.reference.quantities import Expected, Number, problems


def of(**values: float) -> Expected:
    return Expected({(("model", name),): Number.exact(value) for name, value in values.items()})


def found(**values: float) -> dict[tuple[tuple[str, str], ...], float]:
    return {(("model", name),): value for name, value in values.items()}


def test_a_counter_that_began_at_0_is_extrapolated_to_the_end_of_the_window_alone() -> None:
    # Samples at 1 to 11 s of a window of 60 s: half an interval is added at the end, nothing before the first sample.
    assert increase(0.0, 20.0, [1_000 * second for second in range(1, 12)], 0, 60_000) == 20.0 * 10.5 / 10.0


def test_a_counter_that_began_before_the_window_is_extrapolated_to_its_start() -> None:
    stamps = [500 + 1_000 * second for second in range(11)]
    assert increase(1_000.0, 1_020.0, stamps, 0, 60_000) == pytest.approx(20.0 * 11.0 / 10.0)


def test_one_sample_is_no_increase() -> None:
    assert increase(0.0, 5.0, [1_000], 0, 60_000) is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 1.0), (0.75, 1.5), (0.25, 0.5), (1.0, 2.0), (0.0, 0.0)])
def test_a_quantile_is_interpolated_in_its_bucket(share: float, value: float) -> None:
    assert quantile(share, {1.0: 2.0, 2.0: 4.0, math.inf: 4.0}) == value


def test_a_quantile_above_the_last_bound_is_that_bound_and_of_nothing_is_nan() -> None:
    assert quantile(0.99, {1.0: 1.0, 2.0: 1.0, math.inf: 4.0}) == 2.0
    assert math.isnan(quantile(0.5, {1.0: 0.0, math.inf: 0.0}))


def test_equal_results_are_equal() -> None:
    assert problems(of(a=1.0, b=math.nan), found(a=1.0 + 1e-12, b=math.nan)) == []


@pytest.mark.parametrize(
    ("got", "line"),
    [
        (found(a=1.001, b=2.0), "{model=a} is 1.001 instead of 1"),
        (found(a=1.0), "{model=b} is missing"),
        (found(a=1.0, b=2.0, c=3.0), "{model=c} was not expected"),
        (found(a=1.0, b=math.nan), "{model=b} is nan instead of 2"),
    ],
)
def test_each_difference_is_said(got: dict[tuple[tuple[str, str], ...], float], line: str) -> None:
    assert problems(of(a=1.0, b=2.0), got) == [line]


def test_the_largest_may_be_any_of_equal_ones_but_no_smaller_one() -> None:
    expected = of(a=1.0, b=1.0, c=0.5).top(1)
    assert problems(expected, found(a=1.0)) == problems(expected, found(b=1.0)) == []
    assert problems(expected, found(c=0.5)) == ["place 1 is 0.5 instead of 1"]
    assert problems(expected, {}) == ["0 series instead of 1"]


def test_bounds_allow_what_is_between_them() -> None:
    expected = Expected({(): Number(1.0, 2.0)})
    assert problems(expected, {(): 1.5}) == []
    assert problems(expected, {(): 2.1}) == [" is 2.1 instead of 1 to 2".replace(" is", "{} is", 1)]


def test_a_comparison_that_the_bounds_leave_open_is_refused() -> None:
    expected = Expected({(): Number(0.6, 0.8)})
    with pytest.raises(ValueError, match="open"):
        expected.only(lambda value: value < 0.7)
    assert expected.only(lambda value: value < 0.9).values == expected.values


def test_division_matches_labels_and_grouping_adds() -> None:
    assert of(a=1.0, b=3.0).over(of(b=6.0, c=1.0)).values == of(b=0.5).values
    assert of(a=1.0, b=3.0).grouped((), sum).values == {(): Number.exact(4.0)}
    assert of(a=1.0).if_absent(of(a=5.0, b=0.0)).values == of(a=1.0, b=0.0).values
