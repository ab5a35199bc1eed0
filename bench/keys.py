"""What one key's load costs the calls of another key.

    python -m bench.keys [--seconds 3] [--loads calls:50,calls:200,calls:500,streams:100,bodies:50] [--telemetry]

The gateway has one core, everything else the others. A client of one key sends a call at a time on
one connection, first alone and then beside each load of a second key: so many connections, each with
one call at a time. The client has a provider of its own, so that it does not wait there behind the
load's calls, and the load gives way to it at once, so that its times are the gateway's. As a check of
that it also sends calls directly to its provider, beside the same load.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import canned_server
from bench.closed_load import LoadResult
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import DETOUR_MODEL, DIRECT_MODEL, Bench, bench_environment
from bench.gateway_servers import BODIES, CANNED
from bench.load import PYTHON_LOAD
from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import Child, ChildFailedError, run_to_end, start_child

LARGE_BODY_BYTES = 100_000
OWN_BODY = BODIES["whole"].replace(DIRECT_MODEL.encode(), DETOUR_MODEL.encode())
LOAD_BODIES = {
    "calls": BODIES["whole"],
    "streams": BODIES["streamed"],
    "bodies": BODIES["whole"].replace(b"Tell me", b"x" * LARGE_BODY_BYTES, 1),
}
DEFAULT_LOADS = "calls:50,calls:200,calls:500,streams:100,bodies:50"
DIRECT_SECONDS = 1.0
SETTLE_SECONDS = 0.7
"""The load begins so much before the calls that are measured, and ends as much after them."""


async def load(
    url: str, secret: str, body: bytes, *, connections: int, seconds: float, in_background: bool = False
) -> LoadResult:
    """Send calls of one key; raises `ChildFailedError`."""
    named = ("--header", f"authorization: Bearer {secret}", "--header", "content-type: application/json")
    amounts = ("--connections", str(connections), "--seconds", str(seconds))
    background = ("--background",) if in_background else ()
    output = await run_to_end((PYTHON_LOAD, "--url", url, *named, "--body", body.decode(), *amounts, *background))
    return msgspec.json.decode(output, type=LoadResult)


class Servers(NamedTuple):
    """The gateway, and the provider of the client that is measured."""

    gateway: Child
    provider: Child


async def measure(servers: Servers, secrets: tuple[str, str], loads: Sequence[str], seconds: float) -> None:
    """Print what a call of the first key takes, alone and beside each load of the second."""
    own, other = secrets
    gateway, provider = servers.gateway.url, servers.provider.url

    async def one_at_a_time(url: str, seconds: float) -> LoadResult:
        return await load(url, own, OWN_BODY, connections=1, seconds=seconds)

    idle = await one_at_a_time(gateway, seconds)
    print(f"{'alone':12} {_times(idle)}; directly {_times(await one_at_a_time(provider, DIRECT_SECONDS))}", flush=True)
    for name in loads:
        kind, _, connections = name.partition(":")
        whole_seconds = seconds + DIRECT_SECONDS + 3 * SETTLE_SECONDS
        attack = asyncio.create_task(
            load(
                gateway,
                other,
                LOAD_BODIES[kind],
                connections=int(connections),
                seconds=whole_seconds,
                in_background=True,
            )
        )
        await asyncio.sleep(SETTLE_SECONDS)
        beside = await one_at_a_time(gateway, seconds)
        directly = await one_at_a_time(provider, DIRECT_SECONDS)
        result = await attack
        print(
            f"{name:12} {_times(beside)} ({beside.p99_milliseconds / idle.p99_milliseconds:4.1f} x alone)"
            f" of {beside.responded} calls, {beside.failed} failed; directly {_times(directly)};"
            f" the load: {result.responded / result.seconds:6.0f}/s, {_times(result)}, {result.failed} failed",
            flush=True,
        )


def _times(result: LoadResult) -> str:
    return f"p50 {result.p50_milliseconds:6.1f} ms, p99 {result.p99_milliseconds:6.1f} ms"


async def run(loads: Sequence[str], seconds: float, *, telemetry: bool) -> None:
    """Start upstream and gateway, measure, and end them; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    print(f"{cores.describe()}; load average {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as name, on_cores(cores.load):
        folder = Path(name)
        provider = await start_child("provider", CANNED, log_path=folder / "provider.log")
        try:
            await provider.wait_ready(canned_server.READY_LINE)
            async with bench_environment(folder, (CANNED, canned_server.READY_LINE)) as bench:
                gateway = await _start(bench, cores.server, provider.url, telemetry=telemetry)
                try:
                    other, _ = await create_key(bench.write_config(), "other", "free")
                    # The first calls make connections, and read the keys.
                    for secret, body in ((bench.secret, OWN_BODY), (other, BODIES["whole"])):
                        await load(gateway.url, secret, body, connections=16, seconds=1.0)
                    await measure(Servers(gateway, provider), (bench.secret, other), loads, seconds)
                finally:
                    await gateway.stop()
        finally:
            await provider.stop()


async def _start(bench: Bench, cores: frozenset[int], provider_url: str, *, telemetry: bool) -> Child:
    """Start the gateway on its core; with telemetry it exports to the upstream, which takes everything."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    if telemetry:
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = bench.upstream_url
    config = bench.write_config(telemetry=telemetry, detour_url=provider_url)
    with on_cores(cores):
        server = await start_child(
            "gateway", ("app", "--config", str(config), "serve"), log_path=bench.folder / "gateway.log", environ=environ
        )
    await server.wait_ready(GATEWAY_READY_LINE)
    return server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--loads", default=DEFAULT_LOADS, help=f"kind:connections; kinds: {', '.join(LOAD_BODIES)}")
    parser.add_argument("--telemetry", action="store_true", help="with metrics, traces and logs, all exported")
    arguments = parser.parse_args()
    loads = arguments.loads.split(",")
    if unknown := [each for each in loads if each.partition(":")[0] not in LOAD_BODIES]:
        parser.error(f"--loads: {unknown[0]!r} is none of {', '.join(LOAD_BODIES)}")
    try:
        asyncio.run(run(loads, arguments.seconds, telemetry=arguments.telemetry))
    except KeyboardInterrupt:
        return 130
    except ChildFailedError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
