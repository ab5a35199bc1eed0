"""JOB METRICS: the books of the jobs as metric families; what never happened yet is absent, except failures, which start at 0.

Comes in: `Jobs`. Goes out: sample sources, read by the thread that collects.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from app.jobs.scheduler import JobBooks, Jobs
from otel.catalogue import gateway, semconv
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

    observe(gateway.JOB_LAST_SUCCESS, each(lambda books: books.last_success_unix_seconds))
    observe(gateway.JOB_DURATION, each(lambda books: books.last_duration_seconds))
    observe(gateway.JOB_LAG, each(lambda books: books.last_lag_seconds))
    observe(gateway.JOB_FAILURES, failures)
