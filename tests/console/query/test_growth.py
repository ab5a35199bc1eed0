"""What counters counted in windows, over restarts, several instances and both temporalities."""

from console.query.growth import read_growth, total, total_by
from console.query.histogram_growth import distribution_quantile, read_histogram_growth
from tests.harness.console import metrics, resource
from tests.harness.console_metrics import at, counter, exponential, histogram

A = {"provider": "a"}
B = {"provider": "b"}


async def test_the_growth_of_a_window_is_the_difference_of_its_ends(console, look):
    await console.send(metrics(counter("c", (-400, 5, A), (-200, 8, A), (-100, 9, A), (-200, 1, B), (-50, 4, B))))
    with look() as view:
        growth = read_growth(view, "c", (at(-300), at(0)))
        assert total_by(growth, "provider") == {"a": 4, "b": 3}
        assert read_growth(view, "c", (at(-30), at(0))) == []
        assert total(read_growth(view, "other", (at(-300), at(0)))) is None


async def test_intervals_add_up_and_one_without_samples_is_unknown(console, look):
    await console.send(metrics(counter("c", (-400, 5, A), (-250, 8, A), (-110, 9, A), (-50, 14, A))))
    with look() as view:
        (growth,) = read_growth(view, "c", [at(each) for each in (-300, -200, -150, -100, 0)])
        assert growth.steps == [3, None, 1, 5]


async def test_a_restarted_instance_counts_from_zero_and_the_old_one_keeps_its_last_value(console, look):
    old, new = (resource(service__name="g", service__instance__id=each) for each in ("1", "2"))
    await console.send(metrics(counter("c", (-400, 5, A), (-200, 8, A)), origin=old))
    await console.send(metrics(counter("c", (-100, 2, A), (-50, 3, A), started=-150), origin=new))
    with look() as view:
        assert total(read_growth(view, "c", (at(-300), at(0)))) == 3 + 3


async def test_resets_inside_a_window_lose_nothing(console, look):
    points = ((-400, 50, A), (-350, 60, A), (-250, 70, A), (-200, 4, A), (-150, 9, A), (-100, 2, A))
    await console.send(metrics(counter("c", *points)))
    with look() as view:
        assert total(read_growth(view, "c", (at(-300), at(0)))) == 10 + 4 + 5 + 2


async def test_a_restart_is_seen_by_its_start_where_the_new_value_is_higher(console, look):
    await console.send(metrics(counter("c", (-400, 5, A), started=-3_000)))
    await console.send(metrics(counter("c", (-100, 7, A), started=-150)))
    with look() as view:
        assert total(read_growth(view, "c", (at(-300), at(0)))) == 7


async def test_a_counter_from_before_the_console_is_counted_from_its_first_sample(console, look):
    await console.send(metrics(counter("c", (-200, 100, A), (-100, 103, A), started=-100_000)))
    with look() as view:
        (growth,) = read_growth(view, "c", (at(-300), at(0)))
        assert growth.steps == [3]
        assert growth.unknown_before_ns == at(-200)


async def test_a_counter_that_began_in_the_window_counts_from_zero(console, look):
    await console.send(metrics(counter("c", (-200, 100, A), (-100, 103, A), started=-290)))
    with look() as view:
        (growth,) = read_growth(view, "c", (at(-300), at(0)))
        assert (growth.steps, growth.unknown_before_ns, growth.begun_ns) == ([103], None, at(-290))


async def test_delta_points_are_added(console, look):
    await console.send(metrics(counter("c", (-400, 5, A), (-200, 8, A), (-100, 9, A), delta=True)))
    with look() as view:
        assert total(read_growth(view, "c", (at(-300), at(0)))) == 17


async def test_delta_points_add_up_beyond_64_bits(console, look):
    points = ((at_s, 2**62, A) for at_s in (-200, -150, -100))
    await console.send(metrics(counter("c", *points, delta=True)))
    with look() as view:
        assert total(read_growth(view, "c", (at(-300), at(0)))) == 3 * 2.0**62
        assert read_growth(view, "c", (at(-90), at(0))) == []


async def test_samples_within_a_millisecond_of_the_window_are_counted_once(console, look):
    await console.send(metrics(counter("c", (-300.0, 5, A), (-299.9996, 6, A), (-200, 8, A), (-0.0004, 9, A))))
    with look() as view:
        first = total(read_growth(view, "c", (at(-300), at(-200))))
        second = total(read_growth(view, "c", (at(-200), at(0))))
        assert (first, second) == (3, 1)


async def test_buckets_grow_like_counters_and_make_a_quantile(console, look):
    await console.send(metrics(histogram("h", (-400, [1, 1, 0], A), (-200, [11, 1, 0], A), (-100, [11, 11, 0], A))))
    with look() as view:
        (growth,) = read_histogram_growth(view, "h", at(-300), at(0))
        assert growth.distribution == {1.0: 10, 2.0: 20, float("inf"): 20}
        assert distribution_quantile(0.75, [growth.distribution]) == 1.5


async def test_a_restarted_histogram_counts_from_zero(console, look):
    await console.send(metrics(histogram("h", (-400, [9, 9, 0], A), (-250, [10, 9, 0], A))))
    await console.send(metrics(histogram("h", (-100, [2, 0, 1], A), started=-150)))
    with look() as view:
        (growth,) = read_histogram_growth(view, "h", at(-300), at(0))
        assert growth.distribution == {1.0: 3, 2.0: 3, float("inf"): 4}


async def test_exponential_histograms_grow_too(console, look):
    await console.send(metrics(exponential("e", (-400, [1, 0], A), (-100, [5, 6], A))))
    with look() as view:
        (growth,) = read_histogram_growth(view, "e", at(-300), at(0))
        assert growth.distribution.count == 10
        assert distribution_quantile(1.0, [growth.distribution]) == 4.0
