"""Fixtures for every test: asyncio as in production, the real servers where they are installed; and GATEWAYZ_NO_SKIPS=1."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.postgresql import PostgresqlServer, running_postgresql
from tests.servers.redis import RedisServer, running_redis

# How long an example takes, or its making, is the machine's: tests measure no time.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """With GATEWAYZ_NO_SKIPS=1 a skipped test fails, so that a missing server or package cannot hide what it would have shown."""
    report = yield
    if os.environ.get("GATEWAYZ_NO_SKIPS") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"GATEWAYZ_NO_SKIPS=1, and this test was skipped: {report.longrepr[2]}"
    return report
