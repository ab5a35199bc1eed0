"""The series of a provider come and go with its place in the configuration."""

import os
import random
import time

import pytest

from app.application import create_app
from app.config.load import resolve_secrets
from app.config.schema import AppConfig, DatabaseConfig, ModelConfig, ProbesConfig, ProviderConfig, RouteConfig
from app.process.telemetry import label_bounds
from otel.config.environ import telemetry_config_from_environ
from otel.pipeline import PipelineSettings, build_pipeline
from tests.harness.exposition import read_exposition

ZERO_COUNTERS = {
    "gatewayz_circuit_breaker_transitions_total",
    "gatewayz_provider_probes_total",
    "gatewayz_cost_by_provider",
    "model_inference_requests_total",
    "tokens_used_total",
}


@pytest.fixture
async def first_scrape(tmp_path):
    """Start a gateway with these providers on the same database, and return what its first scrape says."""

    async def scrape(*names):
        config = AppConfig(
            database=DatabaseConfig(url=f"sqlite+aiosqlite:///{tmp_path}/gateway.db"),
            # Without probes nothing is asked of anybody before the scrape.
            probes=ProbesConfig(enabled=False),
            providers=tuple(ProviderConfig(name=name, base_url="http://127.0.0.1:9/v1") for name in names),
            models=(
                ModelConfig(name="m", routes=tuple(RouteConfig(provider=name, upstream_model="x") for name in names)),
            ),
        )
        settings = PipelineSettings(
            bounds=label_bounds(config),
            version="0",
            instance_id="i",
            clock=time.monotonic,
            unix_ns=time.time_ns,
            rng=random.Random(1),
            share_seconds=0.0,
        )
        telemetry = build_pipeline(telemetry_config_from_environ({}), settings)
        app = create_app(config, resolve_secrets(config, {}), telemetry, random_bytes=os.urandom)
        async with app.lifespan():
            response = telemetry.exposition.respond(
                method="GET", accept="text/plain;version=0.0.4", accept_encoding=None
            )
        telemetry.shutdown(1.0)
        return read_exposition(response.body.decode())

    return scrape


def of_provider(samples, provider):
    return {
        (name, tuple(pair for pair in labels if pair[0] != "provider")): value
        for (name, labels), value in samples.items()
        if ("provider", provider) in labels
    }


async def test_a_provider_that_is_added_is_there_from_the_first_scrape_and_one_that_is_removed_is_gone(first_scrape):
    assert not of_provider(await first_scrape("old"), "new")
    samples = await first_scrape("new")
    assert not of_provider(samples, "old")
    new = of_provider(samples, "new")
    state = "gatewayz_circuit_breaker_state"
    assert {labels: value for (name, labels), value in new.items() if name == state} == {
        (("state", "closed"),): 1.0,
        (("state", "open"),): 0.0,
        (("state", "half_open"),): 0.0,
    }
    assert {name for name, _ in new} >= ZERO_COUNTERS
    of_model = "gatewayz_model_circuit_breaker_state"
    assert {value for (name, _), value in new.items() if name not in {state, of_model}} == {0.0}
    unknown = {
        "provider_availability",
        "provider_error_rate",
        "gatewayz_provider_health_score",
        "gatewayz_model_listed",
    }
    assert not {name for name, _ in samples} & unknown
