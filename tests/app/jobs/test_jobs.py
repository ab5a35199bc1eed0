"""Jobs that are killed, hang or raise: the others go on, the stats say which, and shutdown waits for none."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.gateway.clock import ManualClock
from app.jobs.gauges import observe_jobs
from app.jobs.scheduler import Job, Jobs
from otel.catalogue import CATALOGUE
from tests.harness.metered import Metered
from tests.harness.polling import DEADLINE_SECONDS, until

INTERVAL_SECONDS = 0.02
SPECS = {spec.name: spec for spec in CATALOGUE}


def make_jobs(clock: ManualClock | None = None, **runs: Callable[[], Awaitable[None]]) -> Jobs:
    """Only those that do not end by themselves run out of time, however long the machine stands still."""
    jobs = [
        Job(
            name=name,
            run=run,
            interval_seconds=INTERVAL_SECONDS,
            timeout_seconds=2 * INTERVAL_SECONDS if name in {"hanging", "stubborn"} else DEADLINE_SECONDS,
        )
        for name, run in runs.items()
    ]
    return Jobs(jobs, clock=clock or ManualClock(), rng=random.Random(1))


async def test_each_kind_of_failure_is_booked_and_all_go_on() -> None:
    runs: Counter[str] = Counter()

    async def well() -> None:
        runs["well"] += 1

    async def raising() -> None:
        runs["raising"] += 1
        raise ValueError("a defect")

    async def hanging() -> None:
        runs["hanging"] += 1
        await asyncio.Event().wait()

    async def killed() -> None:
        runs["killed"] += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()

    clock = ManualClock(unix_ms=1_700_000_000_500)
    jobs = make_jobs(clock, well=well, raising=raising, hanging=hanging, killed=killed)
    async with jobs.running():
        await until(lambda: min(runs[name] for name in jobs.stats()) >= 4, lambda: runs)
        stats = jobs.stats()
    assert sum(stats["well"].failures.values()) == 0
    for name, reason in (("raising", "error"), ("hanging", "timeout"), ("killed", "cancelled")):
        failures = dict(stats[name].failures)
        assert runs[name] - 1 <= failures.pop(reason) <= runs[name]  # the last run may be in flight
        assert sum(failures.values()) == 0
    assert stats["well"].last_success_unix_seconds == 1_700_000_000.5
    assert [stats[name].last_success_unix_seconds for name in ("raising", "hanging", "killed")] == [None] * 3
    assert 1.9 * INTERVAL_SECONDS < stats["hanging"].last_duration_seconds < DEADLINE_SECONDS


async def test_a_run_that_is_cancelled_from_outside_is_followed_by_the_next() -> None:
    runs = 0

    async def slow() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(INTERVAL_SECONDS)

    jobs = make_jobs(slow=slow)
    async with jobs.running():
        for number in range(1, 4):
            await until(lambda number=number: runs >= number and bool(tasks_of("slow")), lambda: runs)
            for task in tasks_of("slow"):
                task.cancel()
            await until(lambda number=number: jobs.stats()["slow"].failures["cancelled"] >= number, jobs.stats)
        await until(lambda: jobs.stats()["slow"].last_success_unix_seconds is not None, jobs.stats)


async def test_a_run_that_ignores_its_cancellation_is_never_joined_by_a_second() -> None:
    runs = 0
    may_end = asyncio.Event()

    async def stubborn() -> None:
        nonlocal runs
        runs += 1
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    others = 0

    async def other() -> None:
        nonlocal others
        others += 1

    jobs = make_jobs(stubborn=stubborn, other=other)
    async with jobs.running():
        await until(lambda: jobs.stats()["stubborn"].failures["timeout"] >= 3, jobs.stats)
        assert runs == 1
        assert len(tasks_of("stubborn")) == 1
        assert others >= 3
        may_end.set()
        await until(lambda: runs >= 2, lambda: runs)
        await until(lambda: jobs.stats()["stubborn"].last_success_unix_seconds is not None, jobs.stats)


async def test_shutdown_waits_for_none_of_them() -> None:
    may_end = asyncio.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            try:
                await may_end.wait()
            except asyncio.CancelledError:
                continue

    async def hanging() -> None:
        await asyncio.Event().wait()

    jobs = make_jobs(stubborn=stubborn, hanging=hanging)
    async with asyncio.timeout(DEADLINE_SECONDS), jobs.running(close_seconds=0.1):
        await until(lambda: bool(tasks_of("stubborn") and tasks_of("hanging")), jobs.stats)
    assert not tasks_of("hanging")
    (left,) = tasks_of("stubborn")
    may_end.set()
    await left
    assert not tasks_of("stubborn")


async def test_a_slow_run_leaves_out_what_it_missed_and_says_how_late_the_next_one_is() -> None:
    due: list[float] = []
    lags: list[float | None] = []

    async def slow_once() -> None:
        # When a run begins depends on the computer; when it was due does not.
        due.append(jobs._schedules[0]._due)
        lags.append(jobs.stats()["slow"].last_lag_seconds)
        if len(due) == 1:
            await asyncio.sleep(5 * INTERVAL_SECONDS)

    job = Job(name="slow", run=slow_once, interval_seconds=INTERVAL_SECONDS, timeout_seconds=10.0)
    jobs = Jobs([job], clock=ManualClock(), rng=random.Random(1))
    async with jobs.running():
        await until(lambda: len(due) >= 4, lambda: due)
    assert lags[1] is not None
    assert lags[1] >= 3.5 * INTERVAL_SECONDS
    # The four runs that were missed are not made up for in a burst.
    assert due[3] - due[1] >= 1.99 * INTERVAL_SECONDS


async def test_jitter_spreads_the_runs_within_its_bounds() -> None:
    due: list[float] = []

    async def run() -> None:
        due.append(jobs._schedules[0]._due)

    job = Job(name="j", run=run, interval_seconds=0.05, timeout_seconds=1.0, jitter_ratio=0.5)
    jobs = Jobs([job], clock=ManualClock(), rng=random.Random(3))
    async with jobs.running():
        await until(lambda: len(due) >= 5, lambda: due)
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert min(gaps) >= 0.0249
    assert max(gaps) - min(gaps) > 0.005


def test_two_jobs_of_one_name_are_refused() -> None:
    async def run() -> None: ...

    job = Job(name="same", run=run, interval_seconds=1.0, timeout_seconds=1.0)
    with pytest.raises(ValueError, match="same"):
        Jobs([job, job], clock=ManualClock(), rng=random.Random(1))


async def test_the_metrics_say_which_job_failed_and_why() -> None:
    async def well() -> None: ...

    async def raising() -> None:
        raise ValueError("a defect")

    metered = Metered()
    jobs = make_jobs(ManualClock(unix_ms=1_700_000_000_000), well=well, raising=raising)
    observe_jobs(metered.instruments.observe, jobs)
    failures = "gatewayz_job_failures_total"
    reasons = SPECS[failures].labels[1].values
    before = metered.text()
    for name in jobs.stats():
        for reason in reasons:
            assert f'{failures}{{job_name="{name}",reason="{reason}"}} 0' in before
    assert "gatewayz_job_last_success_timestamp_seconds{" not in before
    async with jobs.running():
        await until(lambda: jobs.stats()["raising"].failures["error"] >= 2, jobs.stats)
    after = metered.text()
    assert f'{failures}{{job_name="raising",reason="error"}} {jobs.stats()["raising"].failures["error"]}' in after
    assert f'{failures}{{job_name="well",reason="error"}} 0' in after
    assert 'gatewayz_job_last_success_timestamp_seconds{job_name="well"} 1700000000' in after
    assert 'gatewayz_job_last_success_timestamp_seconds{job_name="raising"}' not in after
    for name in jobs.stats():
        assert f'gatewayz_job_last_duration_seconds{{job_name="{name}"}}' in after
        assert f'gatewayz_job_lag_seconds{{job_name="{name}"}}' in after


def tasks_of(name: str) -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == f"job {name}"]
