"""Runs periodic jobs so that no job can stop another, and none stops permanently.

A run that raises, hangs or is cancelled counts as failed, and the job's next run starts when it is
due. Between two runs a job is a timer, not a task, so there is nothing to kill. Shutdown waits no
longer than its deadline.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Literal, TypeAlias

import msgspec

from app.gateway.ports import Clock

FailureReason: TypeAlias = Literal["error", "timeout", "cancelled"]
FAILURE_REASONS: Final[tuple[FailureReason, ...]] = ("error", "timeout", "cancelled")

_LOGGER = logging.getLogger(__name__)
_CLOSE_SECONDS: Final = 0.5


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of periodic work. It runs at the start, then every `interval_seconds`, give or take `jitter_ratio` of them.

    A run that takes longer than `timeout_seconds` is cancelled. Runs of one job never overlap; missed runs are skipped.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    interval_seconds: float
    timeout_seconds: float
    jitter_ratio: float = 0.0


class JobStats(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one job's runs up to now; None where there was none yet.

    `last_lag_seconds`: how late the last run began. `failures` has every reason, zeros included, and only grows.
    """

    last_success_unix_seconds: float | None = None
    last_duration_seconds: float | None = None
    last_lag_seconds: float | None = None
    failures: Mapping[FailureReason, int]


class Jobs:
    """Runs `jobs` on one event loop while `running()` is entered. `stats` may be read from any thread."""

    def __init__(self, jobs: Iterable[Job], *, clock: Clock, rng: random.Random) -> None:
        self._schedules = [_Schedule(job, clock, rng) for job in jobs]
        names = [job.name for job in self.jobs]
        if len(set(names)) < len(names):
            raise ValueError(f"two jobs have the same name: {', '.join(names)}")

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs, in the order given."""
        return tuple(schedule.job for schedule in self._schedules)

    def stats(self) -> Mapping[str, JobStats]:
        """Return each job's stats, by its name."""
        return {schedule.job.name: schedule.stats for schedule in self._schedules}

    @asynccontextmanager
    async def running(self, close_seconds: float = _CLOSE_SECONDS) -> AsyncIterator[None]:
        """Run the jobs; at the end runs in flight are cancelled and waited for, all together for `close_seconds` at most."""
        loop = asyncio.get_running_loop()
        for schedule in self._schedules:
            schedule.start(loop)
        try:
            yield
        finally:
            tasks = {task for schedule in self._schedules if (task := schedule.stop()) is not None}
            if tasks:
                await asyncio.wait(tasks, timeout=close_seconds)


class _Schedule:
    """One job's timer, its run in flight, and its stats."""

    def __init__(self, job: Job, clock: Clock, rng: random.Random) -> None:
        self.job = job
        self.stats = JobStats(failures=dict.fromkeys(FAILURE_REASONS, 0))
        self._clock = clock
        self._rng = rng
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0
        self._began = 0.0
        self._is_over_time = False
        self._is_failing = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the first run due now."""
        self._loop = loop
        self._due = loop.time()
        self._timer = loop.call_at(self._due, self._begin, loop)

    def stop(self) -> asyncio.Task[None] | None:
        """Start no run any more; cancel the run in flight and return it."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a run."""
        now = loop.time()
        lag_seconds = max(0.0, now - self._due)
        self.stats = msgspec.structs.replace(self.stats, last_lag_seconds=lag_seconds)
        if lag_seconds >= self.job.interval_seconds:
            self._due = now
        self._began = now
        self._is_over_time = False
        self._task = loop.create_task(_run(self.job), name=f"job {self.job.name}")
        self._task.add_done_callback(self._ended)
        self._timer = loop.call_later(self.job.timeout_seconds, self._time_is_up, loop)

    def _plan_next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer to the next run. Counted from when the last one was due, so that the rhythm does not drift."""
        jitter = self._rng.uniform(-self.job.jitter_ratio, self.job.jitter_ratio)
        self._due += self.job.interval_seconds * (1 + jitter)
        self._timer = loop.call_at(self._due, self._begin, loop)

    def _time_is_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel a run that exceeds its timeout, repeatedly if it ignores that; the next run begins when this one has ended."""
        if self._task is None or self._task.done():
            return
        self._is_over_time = True
        self._task.cancel()
        self._note_failure("timeout", None)
        self._timer = loop.call_later(self.job.timeout_seconds, self._time_is_up, loop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Record the end of a run and schedule the next."""
        self._task = None
        error = None if task.cancelled() else task.exception()
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_over_time:
            if task.cancelled():
                self._note_failure("cancelled", None)
            elif error is not None:
                self._note_failure("error", error)
            else:
                self._note_success()
        self._plan_next(self._loop)

    def _note_failure(self, reason: FailureReason, error: BaseException | None) -> None:
        failures = {**self.stats.failures, reason: self.stats.failures[reason] + 1}
        self.stats = msgspec.structs.replace(self.stats, failures=failures, last_duration_seconds=self._duration())
        if not self._is_failing:
            self._is_failing = True
            _LOGGER.warning(
                "job %s failed (%s), later failures are only counted", self.job.name, reason, exc_info=error
            )

    def _note_success(self) -> None:
        self.stats = msgspec.structs.replace(
            self.stats,
            last_success_unix_seconds=self._clock.unix_ms() / 1_000,
            last_duration_seconds=self._duration(),
        )
        if self._is_failing:
            self._is_failing = False
            _LOGGER.warning("job %s succeeds again", self.job.name)

    def _duration(self) -> float | None:
        return None if self._loop is None else self._loop.time() - self._began


async def _run(job: Job) -> None:
    """Make a coroutine of whatever awaitable the job's function returns; what the function itself raises belongs to the run, too."""
    await job.run()
