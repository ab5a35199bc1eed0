"""A gateway on a socket whose telemetry is pushed to an OTLP receiver, and configured by `OTEL_*` variables."""

import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from app.http.route_table import TRAFFIC_PATHS
from otel.config.environ import telemetry_config_from_environ
from otel.labels import LabelBounds
from otel.pipeline import Pipeline, PipelineSettings, build_pipeline
from tests.harness.otlp_receiver import OtlpReceiver

ROUTES = (("alpha", "acme/tiny"), ("beta", "acme/tiny"), ("alpha", "acme/embed"))


@asynccontextmanager
async def pushed_telemetry(
    receiver: OtlpReceiver, environ: Mapping[str, str] | None = None, **settings: Any
) -> AsyncIterator[Pipeline]:
    """Yield a started pipeline; it is flushed at the end of the block."""
    config = telemetry_config_from_environ(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
            **(environ or {}),
        }
    )
    pipeline = build_pipeline(
        config,
        PipelineSettings(
            bounds=LabelBounds.from_routes("gatewayz", ROUTES, paths=TRAFFIC_PATHS),
            version="0",
            instance_id="i",
            clock=time.monotonic,
            rng=random.Random(1),
            share_seconds=0.0,
            **{"unix_ns": time.time_ns, **settings},
        ),
    )
    pipeline.start()
    try:
        yield pipeline
    finally:
        pipeline.shutdown(5.0)
