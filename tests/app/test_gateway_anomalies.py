"""The gateway finds an anomaly among its own attempts, shows it at `/metrics`, and a restart goes on with the same normal."""

import asyncio
import io
import json
import os
import random
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

from app.application import create_app
from app.config.load import resolve_secrets
from app.config.schema import AppConfig, DatabaseConfig, ModelConfig, ProbesConfig, ProviderConfig, RouteConfig
from app.gateway.clock import ManualClock
from app.process.telemetry import label_bounds
from otel.catalogue.semconv import ANOMALY_TYPES
from otel.config.environ import telemetry_config_from_environ
from otel.events import AttemptFinished
from otel.events.usage import Usage
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.exposition import read_exposition

CONFIG = AppConfig(
    providers=(ProviderConfig(name="alpha", base_url="http://127.0.0.1:9/v1"),),
    models=(ModelConfig(name="small", routes=(RouteConfig(provider="alpha", upstream_model="x"),)),),
    probes=ProbesConfig(enabled=False),
)


class Gateway:
    """A gateway whose minutes pass when the test says so; attempts are ended without HTTP."""

    def __init__(self, app, telemetry, clock: ManualClock, stdout: io.StringIO) -> None:
        self.parts = app.state.parts
        self.telemetry = telemetry
        self.clock = clock
        self.stdout = stdout

    async def minutes(self, count: int, *, duration_seconds: float) -> None:
        (job,) = (job for job in self.parts.jobs.jobs if job.name == "anomalies")
        for _ in range(count):
            for _ in range(20):
                permit = self.parts.states.admit("alpha", "x")
                usage = Usage(input_tokens=100, output_tokens=20)
                permit.attempt_finished(
                    "small", AttemptFinished(status="success", duration_seconds=duration_seconds, usage=usage)
                )
            self.clock.advance(60.0)
            await job.run()

    def counted(self) -> dict[str, float]:
        family = "gatewayz_detected_anomalies"
        text = self.telemetry.exposition.respond(method="GET", accept=None, accept_encoding=None).body.decode()
        return {
            dict(labels)["type"]: value for (name, labels), value in read_exposition(text).items() if name == family
        }


@asynccontextmanager
async def running(database_url: str, clock: ManualClock):
    config = msgspec.structs.replace(CONFIG, database=DatabaseConfig(url=database_url))
    stdout = io.StringIO()
    telemetry = build_pipeline(
        telemetry_config_from_environ({}),
        PipelineSettings(
            bounds=label_bounds(config),
            version="0",
            instance_id="i",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            stdout=stdout,
            share_seconds=0.0,
        ),
    )
    app = create_app(config, resolve_secrets(config, {}), telemetry, random_bytes=os.urandom, clock=clock)
    async with app.lifespan():
        deadline = time.monotonic() + 20.0
        while app.state.parts.jobs.stats()["anomalies"].last_success_unix_seconds is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.005)
        yield Gateway(app, telemetry, clock, stdout)
    telemetry.shutdown(1.0)


@pytest.fixture
def database_url(tmp_path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/gateway.db"


async def test_a_latency_spike_is_one_count_and_one_line_and_a_restart_knows_the_normal(database_url) -> None:
    clock = ManualClock(unix_ms=1_700_000_040_000)
    async with running(database_url, clock) as gateway:
        assert gateway.counted() == dict.fromkeys(ANOMALY_TYPES, 0.0)
        await gateway.minutes(40, duration_seconds=1.0)
        assert gateway.counted() == dict.fromkeys(ANOMALY_TYPES, 0.0)
    async with running(database_url, clock) as gateway:
        await gateway.minutes(6, duration_seconds=4.0)
        assert gateway.counted() == dict.fromkeys(ANOMALY_TYPES, 0.0) | {"latency_spike": 1.0}
    lines = [json.loads(line) for line in gateway.stdout.getvalue().splitlines()]
    (line,) = (line for line in lines if line["logger"] == "gatewayz.anomaly")
    assert (line["level"], line["type"], line["provider"], line["signal"]) == (
        "warning",
        "latency_spike",
        "alpha",
        "slowdown",
    )
    assert line["value"] > line["threshold"] > line["baseline"]
