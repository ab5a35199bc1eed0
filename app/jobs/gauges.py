"""JOB METRICS: the books of the jobs as metric families; what never happened yet is absent, except failures, which start at 0.

Comes in: `Jobs`. Goes out: sample sources, read by the thread that collects.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from app.jobs.scheduler import JobBooks, Jobs
from otel.catalogue import semconv
from otel.metrics.instruments import Sample, SampleSource

Observe: TypeAlias = Callable[[str, SampleSource], None]
"""Gives an observable family its source: `Telemetry.observe`."""


def observe_jobs(observe: Observe, jobs: Jobs) -> None:
    """Register the families `gatewayz_job_*`."""

    def each(value: Callable[[JobBooks], float | None]) -> SampleSource:
        def source() -> Iterable[Sample]:
            return [
                (known, {semconv.JOB_NAME: name})
                for name, books in jobs.books().items()
                if (known := value(books)) is not None
            ]

        return source

    def failures() -> Iterable[Sample]:
        return [
            (count, {semconv.JOB_NAME: name, semconv.REASON: reason})
            for name, books in jobs.books().items()
            for reason, count in books.failures.items()
        ]

    observe("gatewayz_job_last_success_timestamp_seconds", each(lambda books: books.last_success_unix_seconds))
    observe("gatewayz_job_last_duration_seconds", each(lambda books: books.last_duration_seconds))
    observe("gatewayz_job_lag_seconds", each(lambda books: books.last_lag_seconds))
    observe("gatewayz_job_failures_total", failures)
