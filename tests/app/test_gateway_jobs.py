"""Each job of the gateway killed, hung, made to raise: the others go on, and the metrics say which it was and why."""

import asyncio
import io
import os
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.application import create_app
from app.config.load import resolve_secrets
from app.config.schema import (
    AnomaliesConfig,
    AppConfig,
    DatabaseConfig,
    JobsConfig,
    ModelConfig,
    ProbesConfig,
    ProviderConfig,
    RetentionConfig,
    RouteConfig,
)
from app.gateway.clock import SystemClock
from app.jobs.gauges import observe_jobs
from app.jobs.scheduler import FAILURE_REASONS, Job, Jobs
from app.process.telemetry import label_bounds
from otel.catalogue import CATALOGUE
from otel.config.environ import telemetry_config_from_environ
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.exposition import read_exposition
from tests.harness.metered import Metered

CONFIG = AppConfig(
    providers=(ProviderConfig(name="alpha", base_url="http://127.0.0.1:9/v1"),),
    models=(ModelConfig(name="small", routes=(RouteConfig(provider="alpha", upstream_model="x"),)),),
)
INTERVAL_SECONDS = 0.02
FAMILY = "gatewayz_job_failures_total"


async def raise_error() -> None:
    raise ValueError("sabotage")


async def hang() -> None:
    await asyncio.Event().wait()


async def be_killed() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.Event().wait()


SABOTAGE = {"error": raise_error, "timeout": hang, "cancelled": be_killed}


@pytest.fixture
async def gateway_jobs(tmp_path: Path) -> AsyncIterator[tuple[Job, ...]]:
    """The jobs of a running gateway, whose database and probes are real."""
    config = msgspec.structs.replace(CONFIG, database=DatabaseConfig(url=f"sqlite+aiosqlite:///{tmp_path}/gateway.db"))
    telemetry = build_pipeline(
        telemetry_config_from_environ({}),
        PipelineSettings(
            bounds=label_bounds(config),
            version="0",
            instance_id="i",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            stdout=io.StringIO(),
        ),
    )
    app = create_app(config, resolve_secrets(config, {}), telemetry, random_bytes=os.urandom)
    async with app.lifespan():
        yield app.state.parts.jobs.jobs
    telemetry.shutdown(1.0)


def with_one_sabotaged(jobs: Sequence[Job], name: str, run: Callable[[], Any]) -> list[Job]:
    fast = [msgspec.structs.replace(job, interval_seconds=INTERVAL_SECONDS, jitter_ratio=0.0) for job in jobs]
    timeout_seconds = INTERVAL_SECONDS if run is hang else 30.0
    return [
        msgspec.structs.replace(job, run=run, timeout_seconds=timeout_seconds) if job.name == name else job
        for job in fast
    ]


@pytest.mark.parametrize("reason", FAILURE_REASONS)
async def test_one_job_that_fails_stops_no_other(gateway_jobs, reason) -> None:
    assert len(gateway_jobs) >= 5
    for broken in gateway_jobs:
        jobs = Jobs(
            with_one_sabotaged(gateway_jobs, broken.name, SABOTAGE[reason]), clock=SystemClock(), rng=random.Random(1)
        )
        metered = Metered()
        observe_jobs(metered.instruments.observe, jobs)
        others = {job.name for job in gateway_jobs} - {broken.name}
        async with jobs.running():
            deadline = time.monotonic() + 20.0
            while not has_shown(jobs, broken.name, others, reason):
                assert time.monotonic() < deadline, (broken.name, jobs.stats())
                await asyncio.sleep(0.005)
        samples = read_exposition(metered.text())
        failed = {
            dict(labels)["job_name"]: dict(labels)["reason"]
            for (name, labels), value in samples.items()
            if name == FAMILY and value > 0
        }
        assert failed == {broken.name: reason}
        succeeded = {
            dict(labels)["job_name"]
            for name, labels in samples
            if name == "gatewayz_job_last_success_timestamp_seconds"
        }
        assert succeeded == others


async def test_the_page_lists_every_job_with_the_key_of_its_interval(gateway_jobs) -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", page, re.MULTILINE))
    assert {job.name for job in gateway_jobs} <= rows.keys()
    sections = (JobsConfig, RetentionConfig, ProbesConfig, AnomaliesConfig)
    known = {name for each in sections for name in each.__struct_fields__}
    assert set(re.findall(r"`(\w+_(?:seconds|days))`", page)) <= known | {spec.name for spec in CATALOGUE}
    families = set(re.findall(r"`(gatewayz_\w+|\w+_keys|subscription_count|trial_active)`", page))
    assert families <= {spec.name for spec in CATALOGUE}
    assert {spec.name for spec in CATALOGUE if spec.name.startswith("gatewayz_job_")} <= families


def has_shown(jobs: Jobs, broken: str, others: set[str], reason: str) -> bool:
    """Whether the broken job failed more than once, so that it was tried again, and each other one has succeeded."""
    stats = jobs.stats()
    return stats[broken].failures[reason] >= 2 and all(
        stats[name].last_success_unix_seconds is not None for name in others
    )
