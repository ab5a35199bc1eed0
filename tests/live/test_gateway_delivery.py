"""The gateway as a process, under load, while its OTLP endpoint is down, silent, and responses 503: `make faults` in short, without timings."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from bench import faults
from bench.environment import Bench, bench_environment
from bench.fault_runs import Settings, run_faults, run_shutdown, run_small_buffer

pytestmark = pytest.mark.live

SMALL_BUFFER_BYTES = 40_000


@pytest.fixture(scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with bench_environment(tmp_path_factory.mktemp("gateway")) as stage:
        yield stage


def settings(fault_seconds: float, protocol: str = "http/protobuf") -> Settings:
    return Settings(fault_seconds=fault_seconds, per_second=40.0, protocol=protocol)


async def test_no_fault_of_the_endpoint_loses_or_doubles_anything(bench: Bench) -> None:
    run = await run_faults(bench, settings(1.2), print)
    assert {each.phase for each in run.sent} >= {"healthy", "down", "black hole", "503", "healthy again"}
    assert {each.kind for each in run.sent} == {"plain", "stream", "detour"}
    assert faults.judge_faults(run) == []


async def test_what_is_lost_in_a_black_hole_at_the_end_is_said_exactly(bench: Bench) -> None:
    run = await run_shutdown(bench, msgspec.structs.replace(settings(0.6, "grpc"), shutdown_seconds=1.5), print)
    assert faults.judge_shutdown(run) == []


async def test_what_a_small_buffer_drops_is_counted_exactly(bench: Bench) -> None:
    run = await run_small_buffer(bench, settings(1.2), SMALL_BUFFER_BYTES, print)
    assert faults.judge_small_buffer(run, SMALL_BUFFER_BYTES) == []
