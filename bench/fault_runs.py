"""Runs the three faults of an OTLP endpoint, each with its own gateway, under load.

`bench/faults.py` checks what was sent, received and measured.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from bench.environment import Bench, process_cpu_seconds
from bench.open_load import OpenLoad, Sent
from bench.otlp_endpoint import OtlpEndpoint, Received
from demo.process import Child
from tests.harness.exposition import read_exposition

QUEUED_BYTES = "gatewayz_telemetry_queued_bytes"
_METRICS = (("signal", "metrics"),)
HEALTHY = ("healthy", "healthy again")
FAULTS = ("down", "black hole", "503")
_POLL_SECONDS = 1.0
_DRAIN_SECONDS = 60.0
_DRAINED_BYTES = 100_000
_LONGEST_TIMEOUT_SECONDS = 10.0
_METRIC_INTERVAL_SECONDS = 15.0

Say = Callable[[str], None]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each fault lasts, how many requests are sent per second, and the gateway's `telemetry.shutdown_seconds`."""

    fault_seconds: float
    per_second: float
    protocol: str = "http/protobuf"
    shutdown_seconds: float = 4.0


class Run(msgspec.Struct, kw_only=True):
    """What one run left: the counters, the receiver's, the gateway's output, and how long it took to end."""

    sent: list[Sent]
    received: Received
    output: str
    exit_code: int
    exit_seconds: float
    queued_bytes: dict[str, int]
    """The most that the gateway's own gauge showed, by phase."""

    cpu_seconds: dict[str, float]
    """What the gateway's process used, by phase; empty where there is no `/proc`."""


class _Session:
    """One gateway with an endpoint and a load, while it runs."""

    def __init__(self, endpoint: OtlpEndpoint, gateway: Child, load: OpenLoad) -> None:
        self.endpoint = endpoint
        self.gateway = gateway
        self.load = load
        self.queued_bytes: dict[str, int] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.latest_queued_bytes = 0
        self.is_push_waiting = False

    async def phase(self, name: str, seconds: float) -> None:
        """Let a phase last, looking at the queue every second."""
        self.load.phase = name
        cpu_seconds = process_cpu_seconds(self.gateway.pid)
        ends_at = time.monotonic() + seconds
        while (left_seconds := ends_at - time.monotonic()) > 0:
            await asyncio.sleep(min(_POLL_SECONDS, left_seconds))
            await self.look(name)
        if cpu_seconds is not None:
            self.cpu_seconds[name] = (process_cpu_seconds(self.gateway.pid) or cpu_seconds) - cpu_seconds

    async def look(self, phase: str) -> None:
        """Read from `/metrics` what the buffer holds: spans and log records; the newest push of metrics is no part of it."""
        url = f"{self.gateway.url}/metrics?name[]={QUEUED_BYTES}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            samples = read_exposition(await response.text())
        waiting = {labels: round(value) for (name, labels), value in samples.items() if name == QUEUED_BYTES}
        self.is_push_waiting = waiting.pop(_METRICS, 0) > 0
        self.latest_queued_bytes = sum(waiting.values())
        self.queued_bytes[phase] = max(self.queued_bytes.get(phase, 0), self.latest_queued_bytes)

    async def drained(self, phase: str, *, left_bytes: int) -> None:
        """Wait until the backlog is delivered but for `left_bytes`, and each signal has found out that the endpoint is back."""
        self.load.phase = phase
        deadline = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS / 4)
            await self.look(phase)
            if self.latest_queued_bytes <= left_bytes and not self.is_push_waiting:
                return


@asynccontextmanager
async def _session(
    bench: Bench, settings: Settings, *, state: str, buffer_bytes: int
) -> AsyncIterator[tuple[_Session, OpenLoad]]:
    """Start endpoint and gateway; the load starts when it is entered."""
    seconds = settings.fault_seconds
    endpoint = OtlpEndpoint(settings.protocol)
    try:
        await endpoint.switch(state)
        otel = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": settings.protocol,
            # The defaults, unless the faults are too short for them to be noticed.
            "OTEL_EXPORTER_OTLP_TIMEOUT": f"{min(_LONGEST_TIMEOUT_SECONDS, seconds / 3) * 1000:.0f}",
            "OTEL_METRIC_EXPORT_INTERVAL": f"{min(_METRIC_INTERVAL_SECONDS, seconds / 3) * 1000:.0f}",
        }
        config = bench.write_config(buffer_bytes=buffer_bytes, shutdown_seconds=settings.shutdown_seconds)
        async with bench.gateway(config, otel) as gateway:
            load = OpenLoad(gateway.url, bench.secret, per_second=settings.per_second)
            yield _Session(endpoint, gateway, load), load
    finally:
        endpoint.end()


async def _finish(session: _Session) -> Run:
    """Send SIGTERM, and collect what there is."""
    began = time.monotonic()
    exit_code = await session.gateway.stop()
    exit_seconds = time.monotonic() - began
    return Run(
        sent=session.load.sent,
        received=await session.endpoint.received(),
        output=session.gateway.log_path.read_text(),
        exit_code=exit_code,
        exit_seconds=exit_seconds,
        queued_bytes=session.queued_bytes,
        cpu_seconds=session.cpu_seconds,
    )


async def run_faults(bench: Bench, settings: Settings, say: Say) -> Run:
    """Health, then each fault in turn, then up until the backlog is delivered, then health again; ended with the endpoint up."""
    seconds = settings.fault_seconds
    async with _session(bench, settings, state="up", buffer_bytes=64 * 1024 * 1024) as (session, load):
        async with load:
            say("warming up")
            await session.phase("warm-up", min(5.0, seconds / 2))
            say(f"healthy for {seconds:g} s")
            await session.phase(HEALTHY[0], seconds)
            for fault in FAULTS:
                say(f"{fault} for {seconds:g} s; {session.latest_queued_bytes:,} bytes queued")
                await session.endpoint.switch(fault)
                await session.phase(fault, seconds)
            say(f"up; {session.latest_queued_bytes:,} bytes queued")
            await session.endpoint.switch("up")
            await session.drained("catching up", left_bytes=_DRAINED_BYTES)
            say(f"healthy for {seconds:g} s")
            await session.phase(HEALTHY[1], seconds)
        return await _finish(session)


async def run_shutdown(bench: Bench, settings: Settings, say: Say) -> Run:
    """Some health, then a black hole under load, then SIGTERM into the black hole."""
    async with _session(bench, settings, state="up", buffer_bytes=64 * 1024 * 1024) as (session, load):
        async with load:
            await session.phase("healthy", settings.fault_seconds)
            await session.endpoint.switch("black hole")
            await session.phase("black hole", settings.fault_seconds)
        say(f"SIGTERM into the black hole; {session.latest_queued_bytes:,} bytes queued")
        return await _finish(session)


async def run_small_buffer(bench: Bench, settings: Settings, buffer_bytes: int, say: Say) -> Run:
    """The endpoint is down from the start, for longer than the buffer lasts; then it comes up and gets what is left."""
    async with _session(bench, settings, state="down", buffer_bytes=buffer_bytes) as (session, load):
        async with load:
            await session.phase("down", settings.fault_seconds)
        say(f"up; {session.latest_queued_bytes:,} bytes queued of {buffer_bytes:,}")
        await session.endpoint.switch("up")
        await session.drained("up", left_bytes=0)
        return await _finish(session)
