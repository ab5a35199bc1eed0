"""The one reader of the SDK's aggregation, shared by every scrape and by the OTLP push.

Each collection becomes an immutable, cumulative snapshot, so that a scrape takes nothing away from
another scrape or from the push.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from opentelemetry.sdk.metrics.export import (
    DataPointT,
    Metric,
    MetricReader,
    MetricsData,
    NumberDataPoint,
    Sum,
)

from otel.metrics.columns import Columns
from otel.metrics.exemplars import Exemplars, ExemplarStore, with_exemplars

OVERFLOW_ATTRIBUTE = "otel.metric.overflow"
"""The SDK's mark on the series that takes measurements beyond the series limit."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One collection.

    `number` counts collections from 1; 0 is the empty snapshot of a reader without a provider.
    `started_seconds` is on the reader's clock, `unix_nanoseconds` on the wall clock; both are the
    start of the collection.
    """

    number: int
    started_seconds: float
    unix_nanoseconds: int
    data: MetricsData
    exemplars: Exemplars
    overflow: Mapping[str, int]


class SharedReader(MetricReader):
    """Collects for scrapes and pushes.

    Safe from any thread; a collection runs in the thread that requests it. `clock` counts seconds
    and never goes back. A collection younger than `share_seconds` serves the next scrape, too.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        share_seconds: float,
        wall_clock_nanoseconds: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._share_seconds = share_seconds
        self._wall_clock_nanoseconds = wall_clock_nanoseconds
        self._collecting = threading.RLock()
        self._collector: int | None = None  # the thread whose collection is to become the next snapshot
        self._received: list[MetricsData] = []
        self._store = ExemplarStore()
        self._started = 0
        self._closed = threading.Event()
        self._latest = Snapshot(
            number=0,
            started_seconds=-math.inf,
            unix_nanoseconds=wall_clock_nanoseconds(),
            data=MetricsData(resource_metrics=[]),
            exemplars={},
            overflow={},
        )

    def snapshot(self, max_age_seconds: float | None = None) -> Snapshot:
        """Return a snapshot younger than `max_age_seconds` (default: `share_seconds`), new if needed.

        Callers that wait for a running collection share the next one. After shutdown this is the
        last collection.
        """
        max_age = self._share_seconds if max_age_seconds is None else max_age_seconds
        latest = self._latest
        if self._closed.is_set() or self._clock() - latest.started_seconds < max_age:
            return latest
        started_before = self._started
        with self._collecting:
            latest = self._latest
            began_since_the_call = latest.number > started_before
            if self._closed.is_set() or began_since_the_call or self._clock() - latest.started_seconds < max_age:
                return latest
            return self._collect_snapshot()

    def fresh_snapshot(self) -> Snapshot | None:
        """Return the latest snapshot while it is shared, without waiting; None where it is time for a new one."""
        latest = self._latest
        return latest if self._clock() - latest.started_seconds < self._share_seconds else None

    def collect_for_push(self) -> MetricsData:
        """Collect and return all points, with the latest exemplar per bucket since the last push.

        After shutdown this is the last collection.
        """
        with self._collecting:
            snapshot = self._latest if self._closed.is_set() else self._collect_snapshot()
            return with_exemplars(snapshot.data, self._store.take_unpushed())

    def overflow(self) -> Mapping[str, int]:
        """Return by family how many measurements the last collection had in the overflow series.

        The number is exact for histograms. For a counter it is the value of the overflow series,
        rounded up, and for a gauge 1, which means "at least one". Safe to call from an observable
        callback.
        """
        return self._latest.overflow

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect into a new snapshot; nothing is queued, so there is nothing to flush."""
        with self._collecting:
            if not self._closed.is_set():
                self._collect_snapshot(timeout_millis)
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """Collect a last time and keep that snapshot."""
        with self._collecting:
            if self._closed.is_set():
                return
            try:
                self._collect_snapshot(timeout_millis)
            finally:
                self._closed.set()

    def _collect_snapshot(self, timeout_millis: float = 10_000) -> Snapshot:
        """Collect, under the lock, and make the result the latest snapshot."""
        if self._collect is None:  # not registered with a provider
            return self._latest
        started, unix_nanoseconds = self._clock(), self._wall_clock_nanoseconds()
        self._started += 1
        self._received.clear()
        self._collector = threading.get_ident()
        try:
            self.collect(timeout_millis)
        finally:
            self._collector = None
        data = self._received.pop() if self._received else MetricsData(resource_metrics=[])
        self._store.absorb(_streams(data))
        self._latest = Snapshot(
            number=self._started,
            started_seconds=started,
            unix_nanoseconds=unix_nanoseconds,
            data=data,
            exemplars=self._store.latest,
            overflow=_overflow(data),
        )
        return self._latest

    def _receive_metrics(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002  the SDK passes it by name; nothing here takes time
        **_: object,
    ) -> None:
        """Take a collection from the SDK.

        One that this reader did not start contributes only its exemplars.
        """
        if self._collector == threading.get_ident():
            self._received.append(metrics_data)
            return
        with self._collecting:
            self._store.absorb(_streams(metrics_data))


def metrics_of(data: MetricsData) -> Iterator[Metric]:
    """Return every metric of every scope, in the order of their instruments' first use."""
    for resource_metrics in data.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            yield from scope_metrics.metrics


def _streams(data: MetricsData) -> Iterator[Sequence[DataPointT]]:
    for metric in metrics_of(data):
        yield metric.data.data_points


def _overflow(data: MetricsData) -> dict[str, int]:
    return {
        metric.name: _overflowed(metric, point)
        for metric in metrics_of(data)
        for point in _overflow_points(metric.data.data_points)
    }


def _overflow_points(points: Sequence[DataPointT]) -> Sequence[DataPointT]:
    if isinstance(points, Columns):
        return [] if points.overflow is None else [points[points.overflow]]
    return [point for point in points if point.attributes and OVERFLOW_ATTRIBUTE in point.attributes]


def _overflowed(metric: Metric, point: DataPointT) -> int:
    if not isinstance(point, NumberDataPoint):
        return point.count
    if isinstance(metric.data, Sum) and metric.data.is_monotonic and math.isfinite(point.value):
        return max(1, math.ceil(point.value))
    return 1
