"""The gauges of the database: what it says while it responds, nothing while it does not, from one instance at a time."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select, text

from app.config.schema import AppConfig, JobsConfig, ModelConfig, PlanConfig, RetentionConfig, RouteConfig
from app.gateway.clock import SystemClock
from app.gateway.ports import LedgerRow
from app.jobs.gauges import observe_jobs
from app.jobs.scheduler import Jobs
from app.store.database import open_database
from app.store.jobs import StoreJobs
from app.store.keys import ApiKeys
from app.store.schema import HOURLY_COSTS, LEDGER
from otel.recording.noop import DisabledRecorder
from tests.harness.exposition import read_exposition
from tests.harness.metered import Metered
from tests.harness.polling import until

HOUR_MS = 3_600_000
FAST = JobsConfig(
    business_seconds=0.02,
    model_usage_seconds=0.02,
    cost_rollup_seconds=0.02,
    retention_seconds=0.02,
    lease_seconds=4.5,
)
ROUTE = RouteConfig(provider="alpha", upstream_model="x")
CONFIG = AppConfig(
    jobs=FAST,
    retention=RetentionConfig(ledger_days=2),
    models=(ModelConfig(name="small", routes=(ROUTE,)), ModelConfig(name="unused", routes=(ROUTE,))),
    plans=(PlanConfig(name="free"), PlanConfig(name="pro")),
)
STATE = {
    "active_api_keys",
    "trial_active",
    "subscription_count",
    "gatewayz_model_uptime_24h",
    "gatewayz_token_efficiency",
}


class Instance:
    """One gateway's jobs on a database, with its metrics."""

    def __init__(self, engine: Any, config: AppConfig, holder: str) -> None:
        self.engine = engine
        self.clock = SystemClock()
        self.keys = ApiKeys(engine, self.clock, random.Random(holder).randbytes)
        self.metered = Metered()
        self.store_jobs = StoreJobs(engine, config, self.clock, holder)
        self.jobs = Jobs(self.store_jobs.jobs(), clock=self.clock, rng=random.Random(1))
        self.store_jobs.observe(self.metered.instruments.observe)
        observe_jobs(self.metered.instruments.observe, self.jobs)

    def samples(self) -> dict[tuple[Any, ...], float]:
        found = read_exposition(self.metered.text())
        return {(name, *(value for _, value in labels)): value for (name, labels), value in found.items()}

    def state(self) -> dict[tuple[Any, ...], float]:
        return {key: value for key, value in self.samples().items() if key[0] in STATE}


@pytest.fixture
def make_instance(tmp_path: Path) -> Callable[..., Any]:
    serial = itertools.count(1)

    @asynccontextmanager
    async def make(config: AppConfig = CONFIG) -> AsyncIterator[Instance]:
        engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/gateway.db", DisabledRecorder())
        instance = Instance(engine, config, f"instance-{next(serial)}")
        try:
            async with instance.store_jobs.publishing(), instance.jobs.running():
                yield instance
        finally:
            await engine.dispose()

    return make


def call(number: int, started_unix_ms: int, **changes: Any) -> dict[str, Any]:
    row = LedgerRow(
        call_id=f"call_{number}",
        started_unix_ms=started_unix_ms,
        trace_id="0" * 32,
        key_id="key_1",
        plan="free",
        operation="chat",
        model="small",
        provider="alpha",
        status="success",
        error_kind=None,
        stream=False,
        cached=False,
        attempts=1,
        input_tokens=10,
        output_tokens=5,
        usage_estimated=False,
        cost_nanousd=7,
        credits_nanousd=9,
        duration_ms=120,
        first_token_ms=None,
    )
    return msgspec.structs.asdict(row) | changes


async def test_the_gauges_follow_the_database(make_instance) -> None:
    async with make_instance() as instance:
        await until(lambda: len(instance.state()) == 4, instance.state)
        # Configured plans without subscriptions are a true 0; a model without calls has no uptime.
        assert instance.state() == {
            ("active_api_keys",): 0,
            ("trial_active",): 0,
            ("subscription_count", "free"): 0,
            ("subscription_count", "pro"): 0,
        }
        await instance.keys.create(name="a", plan="pro")
        await instance.keys.create(name="b", plan="pro", trial_days=3)
        await instance.keys.create(name="c", plan="forgotten")
        now = instance.clock.unix_ms()
        async with instance.engine.begin() as connection:
            rows = [call(1, now), call(2, now, status="error"), call(3, now, model="forgotten")]
            await connection.execute(insert(LEDGER), rows)
        expected = {
            ("active_api_keys",): 3,
            ("trial_active",): 1,
            ("subscription_count", "free"): 0,
            ("subscription_count", "pro"): 1,
            ("subscription_count", "other"): 1,
            ("gatewayz_model_uptime_24h", "small"): 0.5,
            ("gatewayz_token_efficiency", "small"): 0.5,
        }
        await until(lambda: instance.state() == expected, instance.state)


async def test_a_database_that_fails_makes_them_absent_and_is_counted_and_then_they_come_back(make_instance) -> None:
    async with make_instance() as instance:
        await until(lambda: len(instance.state()) == 4, instance.state)
        async with instance.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE api_keys RENAME TO away"))
        errors = ("gatewayz_job_failures_total", "business", "error")
        # On a slow machine the last result may be stale before the job has run again, and failed.
        await until(lambda: instance.samples()[errors] >= 1, instance.samples)
        await until(lambda: instance.state() == {}, instance.state)
        # The other jobs go on; they need another table.
        assert instance.samples()["gatewayz_job_failures_total", "model_usage", "error"] == 0
        async with instance.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO api_keys"))
        await until(lambda: len(instance.state()) == 4, instance.state)


async def test_finished_hours_are_rolled_up_and_old_rows_are_purged(make_instance) -> None:
    async with make_instance() as instance:
        now = instance.clock.unix_ms()
        ages = (0, 2 * HOUR_MS, 50 * HOUR_MS)
        async with instance.engine.begin() as connection:
            await connection.execute(insert(LEDGER), [call(n, now - age) for n, age in enumerate(ages)])

        async def counts() -> tuple[int, int]:
            async with instance.engine.connect() as connection:
                rows = await connection.scalar(select(func.count()).select_from(LEDGER))
                calls = await connection.scalar(select(func.sum(HOURLY_COSTS.c.calls)))
            return int(rows or 0), int(calls or 0)

        deadline = time.monotonic() + 20.0
        while (found := await counts()) != (2, 2):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.01)


async def test_one_of_two_instances_publishes_and_the_other_takes_over_when_it_ends(make_instance) -> None:
    first = make_instance()
    holder = await first.__aenter__()
    await until(lambda: len(holder.state()) == 4, holder.state)
    async with make_instance() as other:
        await until(lambda: other.jobs.stats()["business"].last_success_unix_seconds is not None, other.samples)
        assert other.state() == {}
        assert len(holder.state()) == 4
        # Both say how their own jobs are.
        assert ("gatewayz_job_lag_seconds", "business") in other.samples()
        await first.__aexit__(None, None, None)
        await until(lambda: len(other.state()) == 4, other.state)
        assert holder.state() == {}
