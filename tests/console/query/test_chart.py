"""Charts of every kind of metric, against values computed by hand and the mathematics on all points."""

import random
from itertools import pairwise

import pytest

from console.query.chart import read_chart
from console.query.chart_query import ChartQuery
from console.query.labels import Match
from tests.console.query.series.oracle import oracle_rate
from tests.harness.console import metrics, resource
from tests.harness.console_metrics import at, counter, exponential, gauge, histogram, summary

A, B = {"provider": "a"}, {"provider": "b"}
ONLY_A = (Match("provider", "a", is_equal=True),)


def chart(view, name, **choices):
    query = ChartQuery(**{"name": name, "begin_ns": at(-300), "end_ns": at(0), "step_seconds": 60.0, **choices})
    return read_chart(view, query)


def lines(found):
    return {tuple(each.labels.values()): each.values for each in found.series}


async def test_a_gauge_is_its_current_value_and_a_sum_over_its_series(console, look):
    await console.send(metrics(gauge("g", (-250, 1.0, A), (-130, 2.0, A), (-200, 5.0, B), (-100, None, B))))
    with look() as view:
        found = chart(view, "g")
        assert [round(time - found.times[-1]) for time in found.times] == [-240, -180, -120, -60, 0]
        assert lines(found) == {(): [1.0, 6.0, 7.0, 2.0, 2.0]}
        assert lines(chart(view, "g", by=("provider",))) == {("a",): [1, 1, 2, 2, 2], ("b",): [None, 5, 5, None, None]}
        assert (found.unit, found.function, found.range_seconds) == ("1", "value", 300)


async def test_a_counter_has_prometheus_rate(console, look):
    samples = [(-305 + 15 * index, index * index) for index in range(20)]
    await console.send(metrics(counter("c", *((seconds, value, A) for seconds, value in samples))))
    with look() as view:
        found = chart(view, "c", window_seconds=90.0)
    stored = [(at(seconds) // 1_000_000, value) for seconds, value in samples]
    expected = [oracle_rate(stored, round(time * 1_000) - 90_000, round(time * 1_000)) for time in found.times]
    assert lines(found)[()] == pytest.approx(expected)
    assert (found.unit, found.function) == ("{request}/s", "rate")
    assert "rate(c[90s])" in found.basis["series"].formula


async def test_increases_are_whole_counts(console, look):
    await console.send(metrics(counter("c", (-280, 5, A), (-170, 9, A), (-20, 12, A), started=-290)))
    with look() as view:
        assert lines(chart(view, "c", function="increase", window_seconds=60.0))[()] == [5, None, 4, None, 3]


async def test_labels_filter_and_group_and_resources_are_labels_too(console, look):
    for instance, value in (("1", 10.0), (2, 30.0)):
        origin = resource(service__name="g", service__instance__id=instance)
        await console.send(metrics(gauge("g", (-10, value, A), (-10, value + 1, B)), origin=origin))
    with look() as view:
        not_a = (Match("provider", "a", is_equal=False),)
        by = ("resource.service.instance.id",)
        assert {key: values[-1] for key, values in lines(chart(view, "g", by=by, matches=ONLY_A)).items()} == {
            ("1",): 10,
            ("2",): 30,
        }
        assert lines(chart(view, "g", matches=not_a))[()][-1] == 11 + 31
        assert len(chart(view, "g", by=("*",)).series) == 4
        first = chart(view, "g", by=("*",), limit=1)
        assert (len(first.series), first.truncated, first.series[0].values[-1]) == (1, True, 31)
        assert chart(view, "none") is None


async def test_quantiles_of_classic_histograms(console, look):
    points = [(-120 + 60 * index, [10 * index, 10 * index, 0], A) for index in range(3)]
    await console.send(metrics(histogram("h", *points)))
    with look() as view:
        found = chart(view, "h", quantiles=(0.5, 0.75), window_seconds=120.0)
        assert {key: values[-1] for key, values in lines(found).items()} == {("0.5",): 1.0, ("0.75",): 1.5}
        assert found.unit == "s"
        average = chart(view, "h", function="average", window_seconds=120.0)
        assert lines(average)[()][-1] == pytest.approx(1.0)
        assert chart(view, "h", function="rate").unit == "{observation}/s"


async def test_buckets_are_whole_counts_up_to_each_bound(console, look):
    points = [
        (-170, [3, 1, 0], A), (-110, [4, 1, 1], A), (-20, [4, 3, 1], A), (-20, [1, 0, 0], B), (-15, [2, 0, 0], B),
    ]  # fmt: skip
    await console.send(metrics(histogram("h", *points, bounds=(0.5, 10.0), started=-175)))
    with look() as view:
        found = chart(view, "h", function="buckets", window_seconds=60.0, by=("provider",), matches=ONLY_A)
        by_bound = {each.labels["le"]: each.values for each in found.series}
        assert by_bound == {
            "0.5": [None, None, 3, 1, 0],
            "10": [None, None, 4, 1, 2],
            "+Inf": [None, None, 4, 2, 2],
        }
        assert {each.labels["provider"] for each in found.series} == {"a"}
        together = chart(view, "h", function="buckets", window_seconds=180.0)
        assert {each.labels["le"]: each.values[-1] for each in together.series} == {"0.5": 6, "10": 9, "+Inf": 10}
        assert (found.unit, together.series[0].labels) == ("{observation}", {"le": "+Inf"})
        assert "increase(h_bucket[60s] anchored)" in found.basis["series"].formula


async def test_a_sender_cannot_make_a_chart_of_any_number_of_buckets(console, look):
    bounds = tuple(float(bound) for bound in range(600))
    await console.send(metrics(histogram("h", (-10, [1] * 601, A), bounds=bounds, started=-20)))
    with look() as view, pytest.raises(ValueError, match="can draw 500 buckets, and this family has 601"):
        chart(view, "h", function="buckets")


async def test_quantiles_of_exponential_histograms(console, look):
    await console.send(metrics(exponential("e", (-110, [0, 0], A), (-10, [50, 50], A))))
    with look() as view:
        found = chart(view, "e", quantiles=(1.0,), window_seconds=120.0)
    assert lines(found)[("1",)][-1] == pytest.approx(4.0)


async def test_a_summary_shows_its_own_quantiles(console, look):
    await console.send(metrics(summary("s", (-10, {0.5: 1.5, 0.99: 7.0}))))
    with look() as view:
        found = chart(view, "s")
    assert {each.labels["quantile"]: each.values[-1] for each in found.series} == {"0.5": 1.5, "0.99": 7.0}


async def test_a_summary_shows_the_quantiles_of_all_series_and_not_any_number_of_them(console, look):
    await console.send(metrics(summary("s", (-10, {0.5: 1.5})), origin=resource(service__name="a")))
    await console.send(metrics(summary("s", (-10, {0.9: 7.0})), origin=resource(service__name="b")))
    await console.send(metrics(summary("many", (-10, {number / 100: 1.0 for number in range(21)}))))
    with look() as view:
        assert {each.labels["quantile"]: each.values[-1] for each in chart(view, "s").series} == {"0.5": 1.5, "0.9": 7}
        with pytest.raises(ValueError, match="many has 21 quantiles: name up to 20 with q"):
            chart(view, "many")
        assert len(chart(view, "many", quantiles=(0.1, 0.2)).series) == 2


@pytest.mark.parametrize("is_selected", [False, True])
async def test_a_chart_of_too_many_numbers_is_refused_with_what_to_do(console, look, monkeypatch, is_selected):
    wide = [(-280 + 20 * index, [index] * 50, A) for index in range(15)]
    await console.send(metrics(exponential("e", *wide), histogram("h", *wide, bounds=tuple(range(49)))))
    monkeypatch.setattr("console.query.chart_points.MAX_NUMBERS", 200)
    if is_selected:
        monkeypatch.setattr("console.query.chart.MAX_ROWS", 5)
    with look() as view:
        for name in ("e", "h"):
            with pytest.raises(ValueError, match=f"{name} has more than 200 numbers here: narrow the range"):
                chart(view, name)


async def test_a_function_that_a_family_does_not_have_is_named(console, look):
    await console.send(metrics(gauge("g", (-10, 1.0, A))))
    with look() as view, pytest.raises(ValueError, match="fn=rate cannot be drawn of a gauge; these can: value"):
        chart(view, "g", function="rate")


async def test_exemplars_open_their_traces(console, look):
    metric = histogram("h", (-10, [1, 0, 0], A))
    for number in (1, 0):
        exemplar = metric.histogram.data_points[0].exemplars.add(time_unix_nano=at(-11 - number), as_double=0.5)
        exemplar.trace_id, exemplar.span_id = number.to_bytes(16, "big") if number else b"", b"12345678"
    await console.send(metrics(metric))
    with look() as view:
        (shown,) = chart(view, "h").exemplars
        assert (shown.trace_id, shown.value, shown.at) == (f"{1:032x}", 0.5, at(-12) / 1e9)
        assert shown.labels["provider"] == "a"
        assert chart(view, "h", with_exemplars=False).exemplars == []


async def test_too_many_values_are_refused_with_what_to_do(console, look):
    await console.send(metrics(gauge("g", *((-10, 1.0, {"n": str(number)}) for number in range(1_100)))))
    with look() as view:
        with pytest.raises(ValueError, match="1100 series here: name fewer"):
            chart(view, "g", step_seconds=None)
        with pytest.raises(ValueError, match="step is too small"):
            chart(view, "g", step_seconds=0.001, matches=(Match("n", "5", is_equal=True),))


@pytest.mark.parametrize("counted", [("increase", -2_960.0), ("increase", None), ("rate", -2_960.0)])
@pytest.mark.parametrize("window_seconds", [10.0, 45.0, 60.0, 100.0, 400.0])
async def test_a_long_range_has_the_numbers_of_all_points_whatever_the_window(
    console, look, monkeypatch, counted, window_seconds
):
    function, started = counted
    values = [(-2_950 + 5 * index, 7 * (index % 90) + index, A) for index in range(591)]
    await console.send(metrics(counter("c", *values, started=started)))
    choices = {"begin_ns": at(-2_400), "function": function, "window_seconds": window_seconds}
    with look() as view:
        whole = chart(view, "c", **choices)
        monkeypatch.setattr("console.query.chart.MAX_ROWS", 10)
        selected = chart(view, "c", **choices)
    assert None not in whole.series[0].values
    assert selected.series[0].values == pytest.approx(whole.series[0].values)


async def test_a_mean_is_that_of_the_series_that_have_a_sum(console, look):
    metric = histogram("h", (-120, [0, 5, 0], A), (-10, [0, 10, 0], A), (-120, [0, 50, 0], B), (-10, [0, 90, 0], B))
    for point in metric.histogram.data_points[2:]:
        point.ClearField("sum")
    without = exponential("e", (-120, [5], A), (-10, [10], A))
    for point in without.exponential_histogram.data_points:
        point.ClearField("sum")
    await console.send(metrics(metric, without))
    with look() as view:
        assert lines(chart(view, "h", function="average", window_seconds=300.0))[()][-1] == pytest.approx(1.0)
        assert chart(view, "e", function="average", window_seconds=300.0).series == []


async def test_of_two_totals_in_a_millisecond_the_later_one_counts_and_deltas_are_added(console, look):
    first, second = -10.0, -9.9999999
    delta = counter("d", (first, 5, A), (second, 10, A), delta=True)
    total = counter("c", (-70, 1, A), (first, 5, A), (second, 10, A))
    classic = histogram("h", (first, [5, 0, 0], A), (second, [10, 0, 0], A))
    finer = exponential("e", (first, [5], A), (second, [10], A))
    await console.send(metrics(delta, total, classic, finer))
    with look() as view:
        for name, increase in (("d", 15), ("c", 9)):
            assert lines(chart(view, name, function="increase", window_seconds=60.0))[()][-1] == increase
        for name in ("h", "e"):
            for function in ("quantile", "rate", "average"):
                assert chart(view, name, function=function, window_seconds=60.0).series == []


@pytest.mark.parametrize("scale", [-11, -1_100, -(2**31)])
async def test_the_coarsest_scales_have_a_quantile(console, look, scale):
    metric = exponential("e", (-110, [0], A), (-10, [50], A), scale=scale)
    for point in metric.exponential_histogram.data_points:
        point.negative.offset = -1
        point.negative.bucket_counts.extend(point.positive.bucket_counts)
        point.count *= 2
    await console.send(metrics(metric))
    with look() as view:
        # The lower half lies in (-1, 0), the upper one in (1, infinity).
        assert lines(chart(view, "e", quantiles=(0.25,), window_seconds=120.0))[("0.25",)][-1] == pytest.approx(-0.5)


async def test_a_long_range_is_read_by_step_and_loses_no_reset(console, look, monkeypatch):
    rng, value, points = random.Random(5), 0, []
    for index in range(600):
        value = 0 if rng.random() < 0.02 else value + rng.randrange(5)
        points.append((-3_000 + 5 * index, value, A))
    started = [-3_001.0]
    for (_, old, _), (seconds, new, _) in pairwise(points):
        started.append(seconds - 1 if new < old else started[-1])
    metric = counter("c", *points)
    for point, start in zip(metric.sum.data_points, started, strict=True):
        point.start_time_unix_nano = at(start)
    await console.send(metrics(metric))
    choices = {"begin_ns": at(-3_100), "function": "increase", "window_seconds": 60.0}
    with look() as view:
        whole = chart(view, "c", **choices)
        monkeypatch.setattr("console.query.chart.MAX_ROWS", 10)
        selected = chart(view, "c", **choices)
    assert selected.series == whole.series
    assert "the ends of each window" in selected.basis["series"].formula
    total = sum(value for value in whole.series[0].values if value is not None)
    assert total == points[0][1] + sum(new if new < old else new - old for (_, old, _), (_, new, _) in pairwise(points))
