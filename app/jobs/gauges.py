"""The jobs' stats as metric families, read by the thread that collects.

What has not happened is absent, except failures, which start at 0.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from app.jobs.scheduler import Jobs, JobStats
from otel.catalogue import gateway, semconv
from otel.metrics.instruments import Sample, SampleSource

Observe: TypeAlias = Callable[[str, SampleSource], None]
"""Gives an observable family its source: `Telemetry.observe`."""


def observe_jobs(observe: Observe, jobs: Jobs) -> None:
    """Register the families `gatewayz_job_*`."""

    def each(value: Callable[[JobStats], float | None]) -> SampleSource:
        def source() -> Iterable[Sample]:
            return [
                (known, {semconv.JOB_NAME: name})
                for name, stats in jobs.stats().items()
                if (known := value(stats)) is not None
            ]

        return source

    def failures() -> Iterable[Sample]:
        return [
            (count, {semconv.JOB_NAME: name, semconv.REASON: reason})
            for name, stats in jobs.stats().items()
            for reason, count in stats.failures.items()
        ]

    observe(gateway.JOB_LAST_SUCCESS, each(lambda stats: stats.last_success_unix_seconds))
    observe(gateway.JOB_DURATION, each(lambda stats: stats.last_duration_seconds))
    observe(gateway.JOB_LAG, each(lambda stats: stats.last_lag_seconds))
    observe(gateway.JOB_FAILURES, failures)
