"""Drills of the pipeline's own alerts: servers end, refuse and overflow; each alert is told at the webhook and taken back.

The rules, Prometheus and Alertmanager are the shipped ones with their minutes made seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from bench.environment import bench_environment
from compose.native.ports import LOOPBACK, free_ports
from compose.native.stack import Stack, make_stack
from tests.drills import foreign_telemetry
from tests.drills.act import Stage
from tests.drills.entries import read_drills
from tests.drills.report import rows
from tests.drills.servers_in_seconds import choices_in_seconds
from tests.drills.watch import Watch
from tests.harness.polling import holds_within
from tests.stack.gateway_process import GatewayProcess

TOLD_SECONDS = 90.0
RESOLVED_SECONDS = 120.0
QUEUE_BYTES = 1_500_000
BUFFER_BYTES = 30_000
"""Little, so that a gateway that cannot push loses telemetry within seconds."""

OLD = "old and oversized telemetry"
OVERFLOW = "a counter of overflow"
DISK = "a disk that is nearly full"
SLOW = "responses without a model take seconds"
REFUSING = "Loki takes nothing"
LOKI = "Loki is ended"
HANGING = "the Collector hangs for seconds"
COLLECTOR = "the Collector is ended"
GATEWAY = "the gateway is ended"


class Door:
    """Stands before Loki: the Collector's lines come through, or are sent back with 503 while Loki itself is well."""

    def __init__(self, loki_url: str) -> None:
        self.is_open = True
        self._loki_url = loki_url

    async def push(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not self.is_open:
            return web.Response(status=503)
        headers = {name: value for name, value in request.headers.items() if name.lower().startswith("content-")}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._loki_url + request.path, data=body, headers=headers) as response,
        ):
            return web.Response(status=response.status, body=await response.read())

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [web.post("/otlp/v1/logs", self.push)]


class Disk:
    """Stands in for a second Loki that says how full its disk is."""

    def __init__(self) -> None:
        self.used = 0.5

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            text=f"# TYPE loki_ingester_wal_disk_usage_percent gauge\nloki_ingester_wal_disk_usage_percent {self.used}\n"
        )

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [web.get("/metrics", self.metrics)]


@asynccontextmanager
async def serving(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    """Listen on a free port; yield its address."""
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.add_routes(routes)
    # What the Collector sends compressed goes on as it came.
    runner = web.AppRunner(application, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield f"{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def requests(gateway_url: str, secret: str, count: int) -> None:
    """Send requests, so that there is something to push."""
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {secret}"}) as session:

        async def one() -> None:
            async with session.get(f"{gateway_url}/v1/models") as response:
                await response.read()

        await asyncio.gather(*(one() for _ in range(count)))


async def send_old(session: aiohttp.ClientSession, collector_url: str, number: int) -> None:
    """Send what Prometheus and Loki refuse for good."""
    await foreign_telemetry.export(session, collector_url, foreign_telemetry.old_metric(number))
    await foreign_telemetry.export(session, collector_url, foreign_telemetry.old_log(number))


async def repeat(stage: Stage, act: str, once: Callable[[int], Awaitable[None]]) -> None:
    """Do something again every two seconds, as a broken sender does, until the webhook was told of the act's alerts."""
    for number in range(30):
        await once(number)

        if await holds_within(lambda: not stage.untold(act), 2.0):
            return


async def flood(session: aiohttp.ClientSession, stack: Stack) -> None:
    """Send lines until the Collector's queue of logs is full and it refuses more."""
    sent, refused = 0, 0
    while refused < 5 and sent < 40:
        status = await foreign_telemetry.export(
            session, stack.url("otelcol"), foreign_telemetry.log_flood(200, time.time_ns())
        )
        sent += 1
        refused += status != 200
    assert refused, "the queue is never full"


async def test_each_alert_of_the_pipeline_reaches_the_webhook_and_is_taken_back(
    binaries: dict[str, Path], tmp_path: Path, say: Any
) -> None:
    drills = [drill for drill in read_drills() if drill.run == "pipeline"]
    watch, disk = Watch(), Disk()
    stage = Stage(drills, watch, told_seconds=TOLD_SECONDS, resolved_seconds=RESOLVED_SECONDS)
    async with AsyncExitStack() as ends:
        webhook_url = await ends.enter_async_context(watch.webhook())
        disk_address = await ends.enter_async_context(serving(disk.routes()))
        bench = await ends.enter_async_context(bench_environment(tmp_path))
        ports = free_ports()
        door = Door(f"http://{LOOPBACK}:{ports.loki}")
        door_address = await ends.enter_async_context(serving(door.routes()))
        otel = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{ports.collector_otlp_http}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        changes = {"buffer_bytes = 67108864": f"buffer_bytes = {BUFFER_BYTES}"}
        gateway = GatewayProcess(bench, otel, changes)
        stack = make_stack(
            binaries,
            tmp_path / "stack",
            ports,
            choices_in_seconds(tmp_path, gateway.url, webhook_url),
            {"COLLECTOR_QUEUE_BYTES": str(QUEUE_BYTES), "LOKI_URL": f"http://{door_address}"},
        )
        targets = stack.data / "prometheus" / "targets" / "loki.yml"
        targets.write_text(f"{targets.read_text()}- targets: ['{disk_address}']\n")
        ends.push_async_callback(stack.stop)
        ends.push_async_callback(gateway.stop)
        await gateway.start()
        await stack.start()
        session = await ends.enter_async_context(aiohttp.ClientSession())
        await ends.enter_async_context(watch.watching(stack))
        collector = stack.url("otelcol")

        async def is_healthy() -> bool:
            url = f"{stack.url('prometheus')}/api/v1/query"
            async with session.get(url, params={"query": "sum(up offset 15s) and on () fastapi_app_info"}) as response:
                result = (await response.json())["data"]["result"]
            return bool(result) and float(result[0]["value"][1]) == 7

        assert await holds_within(is_healthy, TOLD_SECONDS)
        watch.seen.clear()

        async with stage.act(OVERFLOW, DISK):
            disk.used = 0.95
            overflow = foreign_telemetry.counter(
                "gatewayz_telemetry_overflow_total", 7, {"metric": "fastapi_requests_total"}, time.time_ns()
            )
            await foreign_telemetry.export(session, collector, overflow)
        disk.used = 0.5

        async with stage.act(OLD):
            for number in range(4):
                large = foreign_telemetry.large_trace(number, time.time_ns())
                await foreign_telemetry.export_to_tempo(f"{LOOPBACK}:{ports.tempo_otlp}", large)
            await repeat(stage, OLD, lambda number: send_old(session, collector, number))

        async def slow(number: int) -> None:
            labels = {"app_name": "drill", "method": "GET", "path": "/v1/models"}
            responses = foreign_telemetry.slow_responses(10 * number, labels, time.time_ns())
            await foreign_telemetry.export(session, collector, responses)

        async with stage.act(SLOW):
            await repeat(stage, SLOW, slow)

        async with stage.act(REFUSING):
            door.is_open = False
            await flood(session, stack)
        door.is_open = True

        async with stage.act(LOKI):
            await stack.kill("loki")
        await stack.start("loki")

        async def hang(_: int) -> None:
            stack.freeze("otelcol")
            await requests(gateway.url, bench.secret, 100)
            stack.thaw("otelcol")

        async with stage.act(HANGING):
            await repeat(stage, HANGING, hang)

        async with stage.act(COLLECTOR):
            await stack.stop("otelcol")
        await stack.start("otelcol")

        async with stage.act(GATEWAY):
            await gateway.stop()
        await gateway.start()

        try:
            await stage.resolved()
        finally:
            for line in rows(drills, watch, stage.began, stage.mended):
                say(line)
    assert watch.problems() == []
