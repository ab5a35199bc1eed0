"""The reader shares collections, keeps exemplars for scrapes and pushes, counts overflow, and outlives its provider."""

import threading
from collections.abc import Iterable

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otel.catalogue.spec import Kind, Label, MetricSpec
from otel.metrics.reader import SharedReader, metrics_of
from tests.harness.clock import ManualClock
from tests.harness.metered import Metered

PROVIDER_TIME = "provider_response_time_seconds"


def counting(metered: Metered) -> list[int]:
    """Register an observable whose list of calls is the number of collections."""
    calls: list[int] = []

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        calls.append(1)
        return [Observation(len(calls))]

    metered.meter.create_observable_gauge("collections", [callback])
    return calls


def trace_ids(data: MetricsData, name: str) -> list[str]:
    return [
        f"{exemplar.trace_id:032x}"
        for metric in metrics_of(data)
        if metric.name == name
        for point in metric.data.data_points
        for exemplar in point.exemplars
    ]


def test_one_collection_is_shared_for_its_time_and_no_longer():
    metered = Metered(share_seconds=1.0)
    calls = counting(metered)
    first = metered.reader.snapshot()
    metered.clock.seconds = 0.999
    assert metered.reader.snapshot() is first
    assert metered.text() == metered.text()
    assert len(calls) == 1
    metered.clock.seconds = 1.0
    assert metered.reader.snapshot() is not first
    assert len(calls) == 2


def test_a_caller_may_request_a_fresher_collection():
    metered = Metered(share_seconds=60.0)
    calls = counting(metered)
    metered.reader.snapshot()
    metered.clock.seconds = 5.0
    metered.reader.snapshot(max_age_seconds=10.0)
    assert len(calls) == 1
    metered.reader.snapshot(max_age_seconds=5.0)
    assert len(calls) == 2


def test_a_push_always_collects_and_the_next_scrape_shares_it():
    metered = Metered(share_seconds=60.0)
    calls = counting(metered)
    metered.reader.collect_for_push()
    metered.reader.collect_for_push()
    assert len(calls) == 2
    metered.text()
    assert len(calls) == 2


class CountingLock:
    """A lock that counts the threads that tried to acquire it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.came = threading.Semaphore(0)

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_callers_that_wait_for_a_collection_share_the_next_one():
    """Sharing is off and one collection is blocked: one more collection serves all ten callers that wait behind it."""
    metered = Metered(share_seconds=0.0)
    lock = metered.reader._collecting = CountingLock()
    entered, release = threading.Event(), threading.Event()
    calls: list[int] = []

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        calls.append(1)
        entered.set()
        assert len(calls) > 1 or release.wait(10)
        return [Observation(len(calls))]

    metered.meter.create_observable_gauge("held_up", [callback])
    numbers: list[int] = []
    threads = [threading.Thread(target=lambda: numbers.append(metered.reader.snapshot().number)) for _ in range(11)]
    threads[0].start()
    assert entered.wait(10)
    assert lock.came.acquire(timeout=10)
    for thread in threads[1:]:
        thread.start()
    for _ in threads[1:]:
        assert lock.came.acquire(timeout=10)
    release.set()
    for thread in threads:
        thread.join(10)
    assert sorted(numbers) == [1] + [2] * 10
    assert len(calls) == 2


def test_scrapes_and_pushes_do_not_steal_exemplars_from_each_other():
    metered = Metered()
    with metered.span() as trace_id:
        metered.instruments.record(PROVIDER_TIME, 0.3, {"provider": "p"})
    assert trace_id in metered.openmetrics()
    assert trace_id in metered.openmetrics()
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == [trace_id]
    assert trace_id in metered.openmetrics()
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == []


def test_a_push_gets_the_latest_exemplar_of_each_bucket_since_the_last_push():
    metered = Metered()
    sent: list[str] = []
    for seconds in (0.3, 0.3, 7.0):
        with metered.span() as trace_id:
            metered.instruments.record(PROVIDER_TIME, seconds, {"provider": "p"})
        sent.append(trace_id)
        metered.text()
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == sent[1:]


def test_exemplars_stay_with_their_series_and_bucket():
    metered = Metered()
    ids = {}
    for provider, seconds in (("a", 0.3), ("b", 0.3), ("a", 100.0)):
        with metered.span() as ids[provider, seconds]:
            metered.instruments.record(PROVIDER_TIME, seconds, {"provider": provider})
    lines = metered.openmetrics().splitlines()
    for (provider, seconds), edge in {("a", 0.3): "0.5", ("b", 0.3): "0.5", ("a", 100.0): "120.0"}.items():
        line = next(line for line in lines if f'provider="{provider}",le="{edge}"' in line)
        assert f'trace_id="{ids[provider, seconds]}"' in line
        assert f"}} {seconds} " in line
    assert sum("trace_id=" in line for line in lines) == 3


def test_measurements_outside_a_span_leave_no_exemplar():
    metered = Metered()
    metered.instruments.record(PROVIDER_TIME, 0.3, {"provider": "p"})
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == []
    assert " # {" not in metered.openmetrics()


def test_stored_exemplars_are_bounded_by_the_series_that_exist():
    metered = Metered()
    alive = ["a"]

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(1, {"label": label}) for label in alive]

    with metered.span():
        metered.meter.create_observable_counter("churning", [callback])
        for generation in range(50):
            alive[:] = [f"{generation}-{number}" for number in range(10)]
            metered.openmetrics()
    assert len(metered.reader._store._latest) <= 10
    assert len(metered.reader._store._unpushed) <= 10
    (writer,) = (writer for (name, _), writer in metered.exposition._writers.items() if name == "churning")
    assert len(writer._series) == 10


def test_an_exponential_histogram_keeps_its_newest_exemplars():
    view = View(instrument_name="latency", aggregation=ExponentialBucketHistogramAggregation())
    metered = Metered(further_views=[view])
    latency = metered.meter.create_histogram("latency")
    ids = []
    for number in range(30):
        with metered.span() as trace_id:
            latency.record(1 + number)
        ids.append(trace_id)
        metered.openmetrics()
    assert trace_ids(metered.reader.collect_for_push(), "latency") == ids[-20:]


def test_force_flush_neither_duplicates_nor_loses_anything():
    metered = Metered()
    with metered.span() as trace_id:
        metered.instruments.record(PROVIDER_TIME, 0.3, {"provider": "p"})
    for _ in range(3):
        assert metered.provider.force_flush()
    text = metered.openmetrics()
    assert text.count("# TYPE provider_response_time_seconds ") == 1
    assert text.count("provider_response_time_seconds_count{") == 1
    assert trace_id in text
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == [trace_id]


def test_a_collection_by_another_caller_loses_no_exemplar():
    metered = Metered()
    with metered.span() as trace_id:
        metered.instruments.record(PROVIDER_TIME, 0.3, {"provider": "p"})
    metered.reader.collect()
    assert trace_id in metered.openmetrics()
    assert trace_ids(metered.reader.collect_for_push(), PROVIDER_TIME) == [trace_id]


def test_after_shutdown_the_last_collection_is_still_served():
    metered = Metered()
    metered.instruments.record("cache_hits_total", 2, {"cache": "response"})
    metered.text()
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    metered.provider.shutdown()
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    for _ in range(2):
        assert 'cache_hits_total{cache="response"} 3\n' in metered.text()
        assert [metric.name for metric in metrics_of(metered.reader.collect_for_push())] == ["cache_hits_total"]
        assert metered.reader.force_flush()


def test_a_reader_without_a_provider_has_an_empty_snapshot():
    reader = SharedReader(clock=ManualClock(), share_seconds=0)
    assert reader.snapshot().number == 0
    assert list(metrics_of(reader.collect_for_push())) == []


def test_a_provider_without_measurements_has_an_empty_snapshot():
    metered = Metered()
    assert metered.text() == ""
    assert metered.openmetrics() == "# EOF\n"


def test_a_counter_at_zero_is_visible():
    metered = Metered()
    metered.instruments.record("gatewayz_detected_anomalies", 0, {"type": "latency_spike"})
    assert 'gatewayz_detected_anomalies{type="latency_spike"} 0\n' in metered.text()


def test_overflow_is_counted_by_family():
    catalogue = [
        MetricSpec(
            name=name, instrument=name, kind=kind, unit="1", help="Limited.", labels=(Label("k"),), buckets=(1.0,),
            series_limit=2,
        )
        for name, kind in (("calls_total", Kind.COUNTER), ("cost", Kind.COUNTER), ("seconds", Kind.HISTOGRAM))
    ]  # fmt: skip
    metered = Metered(
        [*catalogue, MetricSpec(name="fits", instrument="fits", kind=Kind.COUNTER, unit="1", help="Fits.")]
    )
    assert metered.reader.overflow() == {}
    for number in range(5):
        metered.instruments.record("calls_total", 1, {"k": str(number)})
        metered.instruments.record("cost", 0.1, {"k": str(number)})
        metered.instruments.record("seconds", 0.5, {"k": str(number)})
    metered.instruments.record("fits", 1, {})
    metered.reader.snapshot()
    assert metered.reader.overflow() == {"calls_total": 3, "cost": 1, "seconds": 3}


def test_overflow_can_be_read_while_collecting():
    """An observable callback that reports it runs inside the collection; it must neither deadlock nor collect."""
    metered = Metered()
    observed: list[int] = []

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        observed.append(len(metered.reader.overflow()))
        return []

    metered.meter.create_observable_counter("overflow", [callback])
    thread = threading.Thread(target=metered.reader.snapshot, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert observed == [0]


def test_a_collection_that_fails_is_an_error_and_the_next_one_works(monkeypatch):
    metered = Metered()
    metered.instruments.record("cache_hits_total", 1, {"cache": "response"})
    monkeypatch.setattr(
        metered.reader, "_collect", lambda *_args, **_kwargs: (_ for _ in ()).throw(TimeoutError("late"))
    )
    with pytest.raises(TimeoutError):
        metered.reader.snapshot()
    monkeypatch.undo()
    assert "cache_hits_total" in metered.text()
