"""What the Collector acknowledged is on disk: it outlives SIGKILL, SIGTERM, a full queue and a full disk."""

import asyncio
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from compose.native.process import ServerFailedError
from tests.harness.polling import read_until
from tests.stack.collector_harness import CollectorHarness, running_collector
from tests.stack.otlp_requests import log_request, trace_request
from tests.stack.scripted_backend import Backend, running_backend

FILES: Final = ("base.yaml", "metrics.yaml", "traces.yaml", "logs.yaml")
PER_REQUEST: Final = 10


def leading_to(backend: Backend) -> dict[str, Any]:
    """An overlay: logs and traces lead to the scripted backend."""
    retry = {"initial_interval": "100ms", "max_interval": "500ms"}
    return {
        "exporters": {
            "otlp_http/loki": {"endpoint": f"http://127.0.0.1:{backend.http_port}", "retry_on_failure": retry},
            "otlp_grpc/tempo": {"endpoint": f"127.0.0.1:{backend.grpc_port}", "retry_on_failure": retry},
        }
    }


def numbered(first: int, padding: str = "") -> Any:
    """A request of log records whose bodies begin with the numbers from `first`."""
    return log_request([f"{number} {padding}" for number in range(first, first + PER_REQUEST)])


async def delivered(backend: Backend) -> list[int]:
    """The numbers of the log records that the backend has, in ascending order."""
    return sorted(int(body.split()[0]) for body in await backend.log_bodies())


async def wait_drained(harness: CollectorHarness, exporter: str = "otlp_http/loki") -> None:
    """Wait until nothing waits any more; raises AssertionError."""
    size = await read_until(
        lambda: harness.counter("otelcol_exporter_queue_size", exporter=exporter),
        lambda size: size == 0,
    )
    assert size == 0, harness.process.last_lines()


async def restart(harness: CollectorHarness) -> None:
    await harness.process.start()
    await harness.process.wait_ready()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
async def test_what_waited_for_a_backend_outlives_the_collector(
    binaries: dict[str, Path], tmp_path: Path, how: str
) -> None:
    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, leading_to(backend)) as harness,
    ):
        await backend.http("stop")
        await backend.grpc("stop")
        for first in range(1, 1_001, PER_REQUEST):
            assert await harness.export(numbered(first)) == 200
            assert await harness.export(trace_request(PER_REQUEST, first=first)) == 200
        await (harness.process.kill() if how == "SIGKILL" else harness.process.stop())
        await backend.http("start")
        await backend.grpc("start")
        assert await delivered(backend) == []
        await restart(harness)
        await wait_drained(harness)
        await wait_drained(harness, "otlp_grpc/tempo")
        assert await delivered(backend) == list(range(1, 1_001))
        assert sorted(await backend.span_numbers()) == list(range(1, 1_001))


async def test_killed_again_and_again_under_load_it_loses_nothing_it_acknowledged(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    acknowledged: list[int] = []
    sent: list[int] = []

    async def send_until_it_dies(harness: CollectorHarness) -> None:
        while True:
            first = len(sent) + 1
            numbers = range(first, first + PER_REQUEST)
            sent.extend(numbers)
            try:
                if await harness.export(numbered(first)) == 200:
                    acknowledged.extend(numbers)
            except aiohttp.ClientError:
                return

    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, leading_to(backend)) as harness,
    ):
        for seconds in (0.2, 0.35, 0.5, 0.65, 0.8):
            sending = asyncio.create_task(send_until_it_dies(harness))
            await asyncio.sleep(seconds)
            await harness.process.kill()
            await sending
            await restart(harness)
        await wait_drained(harness)
        found = await delivered(backend)
    assert len(acknowledged) > 500
    assert set(acknowledged) <= set(found)
    assert set(found) <= set(sent)


async def test_a_full_queue_turns_the_sender_away_and_counts_it(binaries: dict[str, Path], tmp_path: Path) -> None:
    padding = "x" * 500
    acknowledged: list[int] = []
    refused = 0
    async with (
        running_backend() as backend,
        running_collector(
            binaries["otelcol"], tmp_path, FILES, leading_to(backend), {"COLLECTOR_QUEUE_BYTES": "100000"}
        ) as harness,
    ):
        await backend.http("stop")
        for first in range(1, 601, PER_REQUEST):
            status = await harness.export(numbered(first, padding))
            if status == 200:
                acknowledged += range(first, first + PER_REQUEST)
            else:
                assert status == 503  # comes again, where the sender is the gateway
                refused += PER_REQUEST
        assert 100 <= len(acknowledged) < 200
        assert await harness.counter("otelcol_exporter_enqueue_failed_log_records") == refused
        assert await harness.counter("otelcol_exporter_queue_size", exporter="otlp_http/loki") <= 100_000
        assert await harness.counter("otelcol_exporter_queue_capacity", exporter="otlp_http/loki") == 100_000
        assert await harness.export(trace_request()) == 200  # the other signals go on
        await backend.http("start")
        await wait_drained(harness)
        assert await delivered(backend) == acknowledged
        assert await harness.counter("otelcol_exporter_send_failed_log_records") == 0
        assert await harness.export(numbered(1_001)) == 200


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A folder on a file system of 8 MiB; where none may be mounted, a storage that is held to as much."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    mounted = (
        mount is not None
        and subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
        == 0
    )
    held: dict[str, Any] = {"extensions": {"file_storage/logs": {"max_size": 8 * 1024 * 1024}}}
    try:
        yield folder, {} if mounted else held
    finally:
        if mounted and umount is not None:
            subprocess.run([umount, "-l", str(folder)], check=True)


async def test_a_queue_of_half_its_disk_is_full_first_and_loses_nothing(
    binaries: dict[str, Path], tmp_path: Path, small_disk: tuple[Path, dict[str, Any]]
) -> None:
    folder, overlay = small_disk
    environ = {"COLLECTOR_DATA": str(folder), "COLLECTOR_QUEUE_BYTES": "4000000"}
    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, {**leading_to(backend), **overlay}, environ) as harness,
    ):
        await backend.http("stop")
        acknowledged, refused = await fill(harness)
        assert refused > 0
        assert await harness.counter("otelcol_exporter_enqueue_failed_log_records") == refused
        assert "no space left" not in harness.process.last_lines()
        await harness.process.kill()
        await restart(harness)
        await backend.http("start")
        await wait_drained(harness)
        assert await delivered(backend) == acknowledged
        assert await harness.counter("otelcol_exporter_send_failed_log_records") == 0


async def test_a_full_disk_turns_the_sender_away_and_recovers(
    binaries: dict[str, Path], tmp_path: Path, small_disk: tuple[Path, dict[str, Any]]
) -> None:
    """With a disk smaller than its queue the Collector may lose what it reads while it cannot write: counted nowhere, said in its log."""
    folder, overlay = small_disk
    async with (
        running_backend() as backend,
        running_collector(
            binaries["otelcol"],
            tmp_path,
            FILES,
            {**leading_to(backend), **overlay},
            {"COLLECTOR_DATA": str(folder)},
        ) as harness,
    ):
        await backend.http("stop")
        acknowledged, refused = await fill(harness)
        assert refused > 0
        assert await harness.counter("otelcol_exporter_enqueue_failed_log_records") == refused
        await backend.http("start")
        # It accepts again as soon as there is room, while it still may lose what it reads; once the disk is empty it loses nothing.
        assert await read_until(lambda: harness.export(numbered(10_001)), lambda status: status == 200) == 200
        acknowledged += range(10_001, 10_011)
        await wait_drained(harness)
        assert await harness.export(numbered(20_001)) == 200
        found = await read_until(lambda: delivered(backend), lambda found: 20_010 in found)
        assert found[-PER_REQUEST:] == list(range(20_001, 20_011))
        await wait_drained(harness)
        found = await delivered(backend)
        lost = set(acknowledged) - set(found)
        assert len(set(found)) == len(found)
        assert len(lost) <= 10 * PER_REQUEST
        if lost:
            assert "Error deleting item from queue" in harness.process.log_path.read_text()
        assert await harness.counter("otelcol_exporter_send_failed_log_records") == 0


async def fill(harness: CollectorHarness) -> tuple[list[int], int]:
    """Export 3 000 log records, 15 MB in requests of different sizes; return the acknowledged numbers, and how many were refused."""
    rng = random.Random(1)
    acknowledged: list[int] = []
    refused = 0
    for first in range(1, 3_001, PER_REQUEST):
        status = await harness.export(numbered(first, "x" * rng.randint(100, 10_000)))
        if status == 200:
            acknowledged += range(first, first + PER_REQUEST)
        else:
            assert status == 503
            refused += PER_REQUEST
    return acknowledged, refused


@pytest.mark.parametrize("kept_bytes", [0, 8_192], ids=["head broken", "pages broken"])
async def test_a_broken_queue_file_stops_the_start_until_it_is_put_aside(
    binaries: dict[str, Path], tmp_path: Path, kept_bytes: int
) -> None:
    async with (
        running_backend() as backend,
        running_collector(binaries["otelcol"], tmp_path, FILES, leading_to(backend)) as harness,
    ):
        assert await harness.export(numbered(1)) == 200
        await wait_drained(harness)
        await harness.process.stop()
        queue = tmp_path / "otelcol" / "logs" / "exporter_otlp_http_loki_logs"
        content = queue.read_bytes()
        queue.write_bytes(content[:kept_bytes] + b"\xff" * (len(content) - kept_bytes))
        with pytest.raises(ServerFailedError, match=r"invalid database|bbolt"):
            await restart(harness)
        queue.rename(queue.with_suffix(".broken"))
        await restart(harness)
        assert await harness.export(numbered(11)) == 200
        await wait_drained(harness)
        assert await delivered(backend) == list(range(1, 21))
