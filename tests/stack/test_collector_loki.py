"""The Collector before the real Loki: what is bounded is taken, and what a refusal costs."""

import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from compose.native.ports import free_ports
from compose.native.servers import Choices
from compose.native.stack import Stack, make_stack
from tests.harness.polling import read_until
from tests.stack.collector_harness import read_counter
from tests.stack.otlp_requests import log_request

DAY_NS: Final = 86_400_000_000_000


@pytest.fixture
async def stack(binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[Stack]:
    """Loki and the Collector alone."""
    stack = make_stack(binaries, tmp_path, free_ports(), Choices())
    try:
        await stack.start("loki", "otelcol")
        yield stack
    finally:
        await stack.stop()


async def send(stack: Stack, request: ExportLogsServiceRequest, *, old: int = 0) -> None:
    """Send log records of now, the first `old` of them ten days older."""
    now = time.time_ns()
    for number, record in enumerate(request.resource_logs[0].scope_logs[0].log_records):
        record.time_unix_nano = now + number - (10 * DAY_NS if number < old else 0)
    headers = {"content-type": "application/x-protobuf"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{stack.url('otelcol')}/v1/logs", data=io.BytesIO(request.SerializeToString()), headers=headers
        ) as response,
    ):
        assert response.status == 200


async def counted(stack: Stack, what: str) -> int:
    """One of the Collector's counters of log records."""
    async with aiohttp.ClientSession() as session:
        return int(await read_counter(session, stack.ports, f"otelcol_exporter_{what}_log_records"))


async def lines(stack: Stack) -> list[str]:
    """Every line in Loki, in alphabetical order."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.url('loki')}/loki/api/v1/query_range", params={"query": '{job="gatewayz"}'}) as response,
    ):
        result: list[dict[str, Any]] = (await response.json())["data"]["result"]
    return sorted(line for stream in result for _, line in stream["values"])


async def test_a_record_beyond_all_measure_is_cut_to_what_loki_takes(stack: Stack) -> None:
    body = "é" * 500_000
    attributes = {f"key{number:03}": "v" * 2_000 for number in range(300)}
    resource = {"service.name": "gatewayz", **{f"resource{number:03}": "w" * 3_000 for number in range(200)}}
    await send(stack, log_request([body], attributes=attributes, resource=resource))
    assert await read_until(lambda: counted(stack, "sent"), lambda sent: sent == 1) == 1
    assert await read_until(lambda: lines(stack), bool) == ["é" * 100_000]
    assert await counted(stack, "send_failed") == 0


async def test_loki_keeps_the_good_lines_of_a_request_that_it_refuses(stack: Stack) -> None:
    """The counter of lost lines is then an upper bound."""
    await send(stack, log_request(["too old", "good 1", "good 2"]), old=1)
    assert await read_until(lambda: counted(stack, "send_failed"), lambda failed: failed == 3) == 3
    assert await read_until(lambda: lines(stack), bool) == ["good 1", "good 2"]
