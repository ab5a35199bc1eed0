"""The periodic work on the database, and the gauges that it feeds.

Every instance computes, so that a takeover shows at once; a lease decides which instance publishes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from app.config.schema import AppConfig
from app.errors import StoreUnavailableError
from app.gateway.ports import Clock
from app.jobs.gauges import Observe
from app.jobs.published import Published
from app.jobs.scheduler import Job
from app.store.business import BusinessCounts, business_counts
from app.store.cost_rollup import DAY_MS, roll_up
from app.store.daily_usage import sum_days
from app.store.gauges import observe_keys, observe_models
from app.store.leases import Lease, StoredLeases
from app.store.retention import purge_ledger
from app.store.uptime import ModelUsage, ModelUsageReader

_LOGGER = logging.getLogger(__name__)
_QUERY_SECONDS: Final = 30.0
_LONG_QUERY_SECONDS: Final = 900.0
_RELEASE_SECONDS: Final = 0.5
_RENEWALS_PER_LEASE: Final = 3
_MISSED_RUNS: Final = 3  # while so many runs are missed a result is kept; then it is unknown


class StoreJobs:
    """The jobs on one database. `lease` decides whether this instance publishes; enter `publishing` around the jobs."""

    def __init__(self, engine: AsyncEngine, config: AppConfig, clock: Clock, holder: str) -> None:
        self._engine = engine
        self._config = config
        self._clock = clock
        self.lease = Lease(StoredLeases(engine), clock, name="state", holder=holder, seconds=config.jobs.lease_seconds)
        self._usage = ModelUsageReader(engine)
        self._keys: Published[BusinessCounts] = Published(
            self._count_keys,
            clock=clock,
            max_age_seconds=_MISSED_RUNS * config.jobs.business_seconds + _QUERY_SECONDS,
            may_publish=self.lease.is_held,
        )
        self._models: Published[Mapping[str, ModelUsage]] = Published(
            self._sum_models,
            clock=clock,
            max_age_seconds=_MISSED_RUNS * config.jobs.model_usage_seconds + _QUERY_SECONDS,
            may_publish=self.lease.is_held,
        )

    def observe(self, observe: Observe) -> None:
        """Register the gauges."""
        observe_keys(observe, self._keys, tuple(plan.name for plan in self._config.plans))
        observe_models(observe, self._models, tuple(model.name for model in self._config.models))

    def jobs(self) -> tuple[Job, ...]:
        """Return the jobs; all of them may run in every instance at the same time."""
        cadence = self._config.jobs
        lease_interval_seconds = cadence.lease_seconds / _RENEWALS_PER_LEASE
        return (
            Job(
                name="lease",
                run=self.lease.renew,
                interval_seconds=lease_interval_seconds,
                timeout_seconds=lease_interval_seconds,
            ),
            Job(
                name="business",
                run=self._keys.refresh,
                interval_seconds=cadence.business_seconds,
                timeout_seconds=_QUERY_SECONDS,
            ),
            Job(
                name="model_usage",
                run=self._models.refresh,
                interval_seconds=cadence.model_usage_seconds,
                timeout_seconds=_QUERY_SECONDS,
            ),
            Job(
                name="cost_rollup",
                run=self._roll_up,
                interval_seconds=cadence.cost_rollup_seconds,
                timeout_seconds=_LONG_QUERY_SECONDS,
            ),
            Job(
                name="ledger_retention",
                run=self._purge,
                interval_seconds=cadence.retention_seconds,
                timeout_seconds=_LONG_QUERY_SECONDS,
            ),
        )

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Take the lease if it is free; release it at the end, unless the database is slow."""
        with suppress(StoreUnavailableError):
            await self.lease.renew()
        try:
            yield
        finally:
            if self.lease.is_held():
                release = asyncio.create_task(self.lease.release())
                await asyncio.wait({release}, timeout=_RELEASE_SECONDS)
                if release.cancel() or release.exception() is not None:
                    _LOGGER.warning("the lease was not released: another instance publishes when it has run out")

    async def _count_keys(self) -> BusinessCounts:
        return await business_counts(self._engine, self._clock.unix_ms())

    async def _sum_models(self) -> Mapping[str, ModelUsage]:
        return await self._usage.read(self._clock.unix_ms())

    async def _roll_up(self) -> None:
        now_unix_ms = self._clock.unix_ms()
        hours = await roll_up(self._engine, now_unix_ms)
        days = await sum_days(self._engine, now_unix_ms)
        if hours or days:
            _LOGGER.info("costs of %d hours and usage of %d days summed", hours, days)

    async def _purge(self) -> None:
        before_unix_ms = self._clock.unix_ms() - self._config.retention.ledger_days * DAY_MS
        rows = await purge_ledger(self._engine, before_unix_ms)
        if rows:
            _LOGGER.info("%d ledger rows purged, their sums stay", rows)
