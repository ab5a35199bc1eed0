"""Each kind of point is stored whole, with its exemplars; what contradicts itself is refused."""

import math

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from console.store.limits import Limits
from console.store.read_metrics import (
    read_exemplars,
    read_exponentials,
    read_families,
    read_histograms,
    read_numbers,
    read_series,
    read_summaries,
)
from tests.harness.console import NOW_NS, SECOND_NS, key_values, metrics, open_console, resource

FOREVER = (0, 2**63 - 1)


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


def point(kind=NumberDataPoint, attributes=None, **fields):
    times = {"time_unix_nano": NOW_NS, "start_time_unix_nano": NOW_NS - 60 * SECOND_NS}
    return kind(attributes=key_values(attributes or {}), **{**times, **fields})


def gauge(*points, name="temperature"):
    metric = Metric(name=name, unit="Cel", description="How warm")
    metric.gauge.data_points.extend(points)
    return metric


def counter(*points, name="requests", temporality=2, is_monotonic=True):
    metric = Metric(name=name, unit="1")
    metric.sum.data_points.extend(points)
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = is_monotonic
    return metric


def histogram(*points, temporality=2):
    metric = Metric(name="latency", unit="s")
    metric.histogram.data_points.extend(points)
    metric.histogram.aggregation_temporality = temporality
    return metric


def exponential(*points):
    metric = Metric(name="latency", unit="s")
    metric.exponential_histogram.data_points.extend(points)
    metric.exponential_histogram.aggregation_temporality = 1
    return metric


def summary(*points):
    metric = Metric(name="quantiles", unit="s")
    metric.summary.data_points.extend(points)
    return metric


def read(console, reader):
    with console.store.readers.connection() as connection:
        families = read_families(connection)
        series = [each.id for family in families for each in read_series(connection, family.id)]
        return list(reader(connection, series, *FOREVER))


def families(console):
    with console.store.readers.connection() as connection:
        return read_families(connection)


async def test_numbers_keep_their_type_and_times(console):
    await console.send(metrics(gauge(point(as_double=20.0), point(attributes={"room": "a"}, as_int=7))))
    found = read(console, read_numbers)
    assert [(each.value, type(each.value)) for each in found] == [(20.0, float), (7, int)]
    assert [(each.time_ns, each.start_ns) for each in found] == [(NOW_NS, NOW_NS - 60 * SECOND_NS)] * 2
    [family] = families(console)
    assert (family.name, family.unit, family.description, family.kind) == ("temperature", "Cel", "How warm", "gauge")
    assert (family.temporality, family.is_monotonic, family.series) == (0, False, 2)


async def test_values_that_are_no_finite_numbers_come_back(console):
    values = (math.nan, math.inf, -math.inf)
    await console.send(metrics(gauge(*(point(attributes={"n": n}, as_double=value) for n, value in enumerate(values)))))
    found = [each.value for each in read(console, read_numbers)]
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


async def test_temporalities_and_monotonicity_are_told_apart(console):
    await console.send(
        metrics(
            counter(point(as_int=5), temporality=1),
            counter(point(as_int=5), temporality=2),
            counter(point(as_int=5), temporality=2, is_monotonic=False),
        )
    )
    assert [(each.temporality, each.is_monotonic) for each in families(console)] == [(1, True), (2, True), (2, False)]


async def test_a_reset_and_the_end_of_a_series_are_stored(console):
    await console.send(metrics(counter(point(as_int=5))))
    later = NOW_NS + SECOND_NS
    await console.send(metrics(counter(point(as_int=1, time_unix_nano=later, start_time_unix_nano=NOW_NS))))
    ended = NumberDataPoint(time_unix_nano=later + 1, flags=1, as_int=9)
    await console.send(metrics(counter(ended)))
    found = read(console, read_numbers)
    assert [(each.value, each.start_ns) for each in found] == [(5, NOW_NS - 60 * SECOND_NS), (1, NOW_NS), (None, 0)]


async def test_a_histogram_comes_back_whole(console):
    fields = {"count": 6, "sum": 1.5, "min": 0.1, "max": 3.0, "explicit_bounds": [0.5, 1], "bucket_counts": [3, 2, 1]}
    await console.send(metrics(histogram(point(HistogramDataPoint, **fields))))
    [found] = read(console, read_histograms)
    assert (found.count, found.sum, found.min, found.max, found.counts) == (6, 1.5, 0.1, 3.0, (3, 2, 1))
    with console.store.readers.connection() as connection:
        [series] = read_series(connection, families(console)[0].id)
    assert series.bounds == (0.5, 1.0)


async def test_a_histogram_without_buckets_sum_or_extremes_is_stored(console):
    await console.send(metrics(histogram(point(HistogramDataPoint, count=6))))
    [found] = read(console, read_histograms)
    assert (found.count, found.sum, found.min, found.max, found.counts) == (6, None, None, None, ())


async def test_an_infinite_last_bound_is_joined_with_the_bucket_beyond_it(console):
    fields = {"count": 6, "explicit_bounds": [1, math.inf], "bucket_counts": [3, 3, 0]}
    await console.send(metrics(histogram(point(HistogramDataPoint, **fields))))
    assert [each.counts for each in read(console, read_histograms)] == [(3, 3)]


async def test_other_bounds_begin_another_series(console):
    for bounds in ([1], [1, 2]):
        counts = [1] * (len(bounds) + 1)
        fields = {"count": sum(counts), "explicit_bounds": bounds, "bucket_counts": counts}
        await console.send(metrics(histogram(point(HistogramDataPoint, **fields))))
    assert [each.counts for each in read(console, read_histograms)] == [(1, 1), (1, 1, 1)]


async def test_an_exponential_histogram_comes_back_whole(console):
    sent = point(
        ExponentialHistogramDataPoint, count=9, sum=4.5, scale=3, zero_count=2, zero_threshold=1e-6, min=0, max=2
    )
    sent.positive.offset, sent.negative.offset = -4, 7
    sent.positive.bucket_counts.extend((1, 2**40))
    sent.negative.bucket_counts.extend((3,))
    await console.send(metrics(exponential(sent)))
    [found] = read(console, read_exponentials)
    assert (found.count, found.sum, found.min, found.max) == (9, 4.5, 0.0, 2.0)
    assert (found.scale, found.zero_count, found.zero_threshold) == (3, 2, 1e-6)
    assert (found.positive_offset, found.positive_counts) == (-4, (1, 2**40))
    assert (found.negative_offset, found.negative_counts) == (7, (3,))


async def test_a_summary_comes_back_whole(console):
    sent = point(SummaryDataPoint, count=3, sum=6.0)
    sent.quantile_values.add(quantile=0.5, value=2.0)
    sent.quantile_values.add(quantile=0.99, value=math.nan)
    await console.send(metrics(summary(sent)))
    [found] = read(console, read_summaries)
    assert (found.count, found.sum, found.quantiles) == (3, 6.0, ((0.5, 2.0), (0.99, None)))


@pytest.mark.parametrize(
    ("make", "kind", "reader"),
    [
        (histogram, HistogramDataPoint, read_histograms),
        (exponential, ExponentialHistogramDataPoint, read_exponentials),
        (summary, SummaryDataPoint, read_summaries),
    ],
)
async def test_a_distribution_that_has_ended_has_no_count(console, make, kind, reader):
    await console.send(metrics(make(point(kind, flags=1))))
    assert [each.count for each in read(console, reader)] == [None]


async def test_exemplars_are_stored_once(console):
    sent = point(as_int=5)
    sent.exemplars.add(time_unix_nano=NOW_NS - 5, as_double=0.5, trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    sent.exemplars[0].filtered_attributes.extend(key_values({"user": "a"}))
    sent.exemplars.add(time_unix_nano=NOW_NS + SECOND_NS, as_int=7)
    await console.send(metrics(counter(sent)))
    sent.time_unix_nano += SECOND_NS
    await console.send(metrics(counter(sent)))
    first, *others = read(console, read_exemplars)
    assert (first.time_ns, first.value, first.trace_id, first.span_id) == (NOW_NS - 5, 0.5, "01" * 16, "02" * 8)
    assert first.attributes == {"user": "a"}
    # One from the future has the time of its point.
    assert [(each.value, each.trace_id, each.time_ns - NOW_NS) for each in others] == [
        (7, None, 0),
        (7, None, SECOND_NS),
    ]


REFUSED = {
    "no data": (Metric(name="empty"), "no data of a known type"),
    "counts": (histogram(point(HistogramDataPoint, explicit_bounds=[1], bucket_counts=[1])), "one bucket count more"),
    "bounds": (histogram(point(HistogramDataPoint, explicit_bounds=[2, 1], bucket_counts=[1, 1, 1])), "do not rise"),
    "NaN": (histogram(point(HistogramDataPoint, explicit_bounds=[math.nan], bucket_counts=[1, 1])), "do not rise"),
    "count": (histogram(point(HistogramDataPoint, count=2**64 - 1)), "63 bits"),
    "summary": (summary(point(SummaryDataPoint, count=2**64 - 1)), "63 bits"),
    "zero": (exponential(point(ExponentialHistogramDataPoint, zero_count=2**64 - 1)), "63 bits"),
    "bounds beyond": (
        histogram(point(HistogramDataPoint, explicit_bounds=range(4_001), bucket_counts=[0] * 4_002)),
        "more than 4000 buckets",
    ),
    "buckets": (
        exponential(
            point(
                ExponentialHistogramDataPoint,
                negative=ExponentialHistogramDataPoint.Buckets(bucket_counts=[0] * 4_001),
            )
        ),
        "more than 4000 buckets",
    ),
    "labels": (gauge(point(as_int=1, attributes={"a": "x" * 16_384})), "more than 16384 characters of attributes"),
    "future": (gauge(point(as_int=1, time_unix_nano=NOW_NS + 90_000 * SECOND_NS)), "in the future"),
    "old": (gauge(point(as_int=1, time_unix_nano=NOW_NS - 90_000 * SECOND_NS)), "older than what is kept"),
    "start": (gauge(point(as_int=1, start_time_unix_nano=2**64 - 1)), "2262"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_invalid_point_is_refused_and_the_others_are_stored(console, name):
    metric, reason = REFUSED[name]
    response = await console.send(metrics(metric, gauge(point(as_int=1), name="fine")))
    assert response.partial_success.rejected_data_points == 1
    assert reason in response.partial_success.error_message
    assert [each.name for each in families(console) if each.series] == ["fine"]


async def test_a_point_that_comes_again_is_one_point_and_its_later_value_counts(console):
    for value in (1, 2):
        for name in ("a", "b"):
            await console.send(metrics(gauge(point(as_int=value), name="g"), gauge(point(as_int=value), name=name)))
    assert [each.value for each in read(console, read_numbers)] == [2, 2, 2]
    assert console.store.state().points == 3


async def test_series_beyond_the_cap_are_refused(tmp_path):
    with open_console(tmp_path, Limits(max_series=2)) as console:
        sent = metrics(gauge(*(point(attributes={"n": n}, as_int=n) for n in range(5))))
        response = await console.send(sent)
        assert response.partial_success.rejected_data_points == 3
        assert "as many series as it may" in response.partial_success.error_message
        assert console.store.state().series == 2
        assert console.store.state().refused["metrics"] == 3
        known = metrics(gauge(point(attributes={"n": 1}, as_int=9, time_unix_nano=NOW_NS + 1)))
        assert not (await console.send(known)).partial_success.rejected_data_points


async def test_equal_series_of_two_programs_are_told_apart(console):
    for name in ("a", "b"):
        await console.send(metrics(counter(point(as_int=1)), origin=resource(service__name=name)))
    assert len(read(console, read_numbers)) == 2


async def test_the_order_of_attributes_makes_no_series(console):
    later = {"time_unix_nano": NOW_NS + 1}
    await console.send(metrics(gauge(point(attributes={"a": 1, "b": 2}, as_int=1))))
    await console.send(metrics(gauge(point(attributes={"b": 2, "a": 1}, as_int=1, **later))))
    assert console.store.state().series == 1
