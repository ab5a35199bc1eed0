"""What the servers behind the gateway need: time to start, memory and CPU, idle and at 500 requests a second.

    python -m bench.servers [--per-second 500] [--load-seconds 60] [--idle-seconds 30] [--page docs/operations.md]

Servers start one after the other, each alone: "fresh" with an empty data folder, "restart" after
the load, with what it left. The load is `bench/server_load.py`: what the gateway pushes for so many
requests, made by its own recorder and delivery, without a gateway, because gateway, load and
servers do not fit on two cores together. CPU is in per cent of one core. `--page` puts the table
into a page, between its two `servers` comments. Needs Linux (`/proc`) and Go for the first run.
"""

import argparse
import asyncio
import os
import platform
import random
import re
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import aiohttp
import msgspec

from bench.environment import process_cpu_seconds
from bench.page import put_into
from bench.server_load import ServerLoad
from compose.native.build import BuildError, build, cache_folder, say_on_stderr
from compose.native.ports import free_ports
from compose.native.programs import SERVERS
from compose.native.servers import Choices
from compose.native.stack import Stack, make_stack

MIB = 1024 * 1024
SETTLE_SECONDS = 60.0
_COLUMNS = (
    "server",
    "ready, fresh (s)",
    "ready, restart (s)",
    "ended after (s)",
    "memory idle (MiB)",
    "memory under load, highest (MiB)",
    "CPU idle (%)",
    "CPU under load (%)",
    "disk per 1 000 requests (MiB)",
)


class Row(msgspec.Struct, kw_only=True):
    """One server's figures; times in seconds, memory and disk in bytes, CPU as a share of one core."""

    fresh_seconds: float
    restart_seconds: float = 0.0
    stop_seconds: float = 0.0
    idle_bytes: int = 0
    peak_bytes: int = 0
    idle_cpu: float = 0.0
    load_cpu: float = 0.0
    disk_bytes: int = 0


def memory_bytes(pid: int, field: str) -> int:
    """Return a field of `/proc/PID/status`: VmRSS is resident now, VmHWM the most it ever was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(field)


def disk_bytes(folder: Path) -> int:
    """Return what a folder occupies: blocks, since the queue's files and Prometheus' head chunks are made larger than what is in them."""
    sizes = 0
    for path in folder.rglob("*"):
        try:
            sizes += path.lstat().st_blocks * 512
        except FileNotFoundError:  # compacted away meanwhile
            continue
    return sizes


async def cpu_shares(stack: Stack, during: Awaitable[object]) -> tuple[dict[str, float], float]:
    """Await something; return each server's share of a core and that of this process meanwhile."""
    pids = {name: stack[name].pid for name in stack.names}
    before = {name: process_cpu_seconds(pid) or 0.0 for name, pid in pids.items()}
    own, began = time.process_time(), time.monotonic()
    await during
    seconds = time.monotonic() - began
    shares = {name: ((process_cpu_seconds(pid) or 0.0) - before[name]) / seconds for name, pid in pids.items()}
    return shares, (time.process_time() - own) / seconds


async def measure(stack: Stack, arguments: argparse.Namespace) -> tuple[dict[str, Row], list[str]]:
    """Go through start, idle, load and restart; return the rows and remarks. Raises RuntimeError where a request is missing in a store."""
    rows = {}
    for name in stack.names:
        rows[name] = Row(fresh_seconds=(await stack.start(name))[name])
    say_on_stderr(f"idle for {arguments.idle_seconds:g} s")
    idle, _ = await cpu_shares(stack, asyncio.sleep(arguments.idle_seconds))
    before = {name: disk_bytes(stack.data / name) for name in stack.names}
    for name, row in rows.items():
        row.idle_cpu, row.idle_bytes = idle[name], memory_bytes(stack[name].pid, "VmRSS")
    say_on_stderr(f"{arguments.per_second:g} requests/s for {arguments.load_seconds:g} s")
    load = ServerLoad(stack.url("otelcol"), random.Random(arguments.seed))
    busy, own = await cpu_shares(stack, load.run(arguments.per_second, arguments.load_seconds))
    report = await asyncio.to_thread(load.end)
    if not report.is_complete:
        raise RuntimeError(f"not delivered: {report.lost_items}")
    await _all_arrive(stack, load.sent)
    for name, row in rows.items():
        row.load_cpu, row.peak_bytes = busy[name], memory_bytes(stack[name].pid, "VmHWM")
        row.disk_bytes = round((disk_bytes(stack.data / name) - before[name]) / load.sent * 1_000)
    for name, row in rows.items():
        row.stop_seconds = await stack[name].stop()
        row.restart_seconds = (await stack.start(name))[name]
    found = "all of them found in Prometheus, Loki and Tempo afterwards"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    remarks = [
        f"{load.sent} requests at {load.sent / arguments.load_seconds:.0f}/s, {found}; making them took {own:.0%} of a core.",
        f"{machine}, load average {os.getloadavg()[0]:.1f} at the end; CPU is in per cent of one core.",
    ]
    return rows, remarks


async def _all_arrive(stack: Stack, sent: int) -> None:
    """Wait until each store counts as many requests as were sent."""
    deadline = time.monotonic() + SETTLE_SECONDS
    async with aiohttp.ClientSession() as session:
        while (counts := await _counts(session, stack)) != {"prometheus": sent, "loki": sent, "tempo": 2 * sent}:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{sent} requests were sent; the stores count {counts}")
            await asyncio.sleep(1.0)


async def _counts(session: aiohttp.ClientSession, stack: Stack) -> dict[str, int]:
    """Return requests in Prometheus, request logs in Loki, spans that Tempo took."""
    requests = await _number(session, f"{stack.url('prometheus')}/api/v1/query", "sum(fastapi_requests_total)")
    lines = await _number(
        session,
        f"{stack.url('loki')}/loki/api/v1/query",
        'sum(count_over_time({job="gatewayz"} | json | logger="gatewayz.request" [1h]))',
    )
    async with session.get(f"{stack.url('tempo')}/metrics") as response:
        spans = re.findall(
            r"^tempo_distributor_spans_received_total\{[^}]*\} (\S+)$", await response.text(), re.MULTILINE
        )
    return {"prometheus": requests, "loki": lines, "tempo": round(sum(map(float, spans)))}


async def _number(session: aiohttp.ClientSession, url: str, query: str) -> int:
    """Return the value of an instant query with one result; 0 without one."""
    async with session.get(url, params={"query": query}) as response:
        response.raise_for_status()
        result = (await response.json())["data"]["result"]
    return round(float(result[0]["value"][1])) if result else 0


def table(rows: dict[str, Row], remarks: list[str]) -> str:
    """Return the figures as Markdown."""
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|---{'|---:' * (len(_COLUMNS) - 1)}|"]
    for name, row in rows.items():
        figures = (
            f"{row.fresh_seconds:.1f}",
            f"{row.restart_seconds:.1f}",
            f"{row.stop_seconds:.1f}",
            f"{row.idle_bytes / MIB:.0f}",
            f"{row.peak_bytes / MIB:.0f}",
            f"{row.idle_cpu:.1%}"[:-1],
            f"{row.load_cpu:.1%}"[:-1],
            f"{row.disk_bytes / MIB:.2f}",
        )
        lines.append(f"| {name} | {' | '.join(figures)} |")
    total = (
        f"{sum(row.idle_bytes for row in rows.values()) / MIB:.0f}",
        f"{sum(row.peak_bytes for row in rows.values()) / MIB:.0f}",
        f"{sum(row.idle_cpu for row in rows.values()):.1%}"[:-1],
        f"{sum(row.load_cpu for row in rows.values()):.1%}"[:-1],
        f"{sum(row.disk_bytes for row in rows.values()) / MIB:.2f}",
    )
    lines.append(f"| all | | | | {' | '.join(total)} |")
    return "\n".join([*lines, "", *remarks])


async def run(arguments: argparse.Namespace) -> str:
    binaries = build(SERVERS, cache_folder(), say_on_stderr)
    with tempfile.TemporaryDirectory(prefix="bench-servers-") as folder:
        stack = make_stack(binaries, Path(folder), free_ports(), Choices())
        try:
            return table(*await measure(stack, arguments))
        finally:
            await stack.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=float, default=500.0)
    parser.add_argument("--load-seconds", type=float, default=60.0)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("bench.servers reads /proc, which only Linux has", file=sys.stderr)
        return 2
    try:
        text = asyncio.run(run(arguments))
    except BuildError as error:
        print(f"bench.servers: {error}", file=sys.stderr)
        return 1
    print(text)
    if arguments.page is not None:
        put_into(arguments.page, "servers", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
