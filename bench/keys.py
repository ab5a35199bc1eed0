"""What one key's load costs the calls of another key.

    python -m bench.keys [--seconds 3] [--loads calls:50,calls:200,calls:500,streams:100,bodies:50] [--telemetry]

The gateway has one core, everything else the others. A client of one key sends a call at a time on
one connection, first alone and then beside each load of a second key: so many connections, each with
one call at a time. Loads run at a lower priority than that client, so that its times are the gateway's.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import canned_server
from bench.closed_load import LoadResult
from bench.cores import available_cores, on_cores, split_cores
from bench.environment import Bench, bench_environment
from bench.gateway import BODIES, CANNED
from bench.load import PYTHON_LOAD
from demo.environment import GATEWAY_READY_LINE, create_key
from demo.process import Child, ChildFailedError, run_to_end, start_child

LARGE_BODY_BYTES = 100_000
LOAD_BODIES = {
    "calls": BODIES["whole"],
    "streams": BODIES["streamed"],
    "bodies": BODIES["whole"].replace(b"Tell me", b"x" * LARGE_BODY_BYTES, 1),
}
DEFAULT_LOADS = "calls:50,calls:200,calls:500,streams:100,bodies:50"
LOWER_PRIORITY = 10
SETTLE_SECONDS = 0.7
"""The load begins so much before the calls that are measured, and ends as much after them."""


async def load(
    server: Child, secret: str, body: bytes, *, connections: int, seconds: float, nice: int = 0
) -> LoadResult:
    """Load the gateway with calls of one key; raises `ChildFailedError`."""
    named = ("--header", f"authorization: Bearer {secret}", "--header", "content-type: application/json")
    amounts = ("--connections", str(connections), "--seconds", str(seconds), "--nice", str(nice))
    output = await run_to_end((PYTHON_LOAD, "--url", server.url, *named, "--body", body.decode(), *amounts))
    return msgspec.json.decode(output, type=LoadResult)


async def measure(server: Child, secrets: tuple[str, str], loads: Sequence[str], seconds: float) -> None:
    """Print what a call of the first key takes, alone and beside each load of the second."""
    own, other = secrets
    body = BODIES["whole"]
    idle = await load(server, own, body, connections=1, seconds=seconds)
    print(f"{'alone':12} p50 {idle.p50_milliseconds:6.1f} ms, p99 {idle.p99_milliseconds:6.1f} ms", flush=True)
    for name in loads:
        kind, _, connections = name.partition(":")
        whole_seconds = seconds + 2 * SETTLE_SECONDS
        attack = asyncio.create_task(
            load(
                server,
                other,
                LOAD_BODIES[kind],
                connections=int(connections),
                seconds=whole_seconds,
                nice=LOWER_PRIORITY,
            )
        )
        await asyncio.sleep(SETTLE_SECONDS)
        beside = await load(server, own, body, connections=1, seconds=seconds)
        result = await attack
        print(
            f"{name:12} p50 {beside.p50_milliseconds:6.1f} ms, p99 {beside.p99_milliseconds:6.1f} ms"
            f" ({beside.p99_milliseconds / idle.p99_milliseconds:4.1f} x alone) of {beside.responded} calls, {beside.failed} failed;"
            f" the load: {result.responded / result.seconds:6.0f}/s, p50 {result.p50_milliseconds:6.1f} ms,"
            f" p99 {result.p99_milliseconds:6.1f} ms, {result.failed} failed",
            flush=True,
        )


async def run(loads: Sequence[str], seconds: float, *, telemetry: bool) -> None:
    """Start upstream and gateway, measure, and end them; raises `ChildFailedError`."""
    cores = split_cores(available_cores())
    print(f"{cores.describe()}; load average {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as name, on_cores(cores.load):
        folder = Path(name)
        async with bench_environment(folder, (CANNED, canned_server.READY_LINE)) as bench:
            server = await _start(bench, cores.server, telemetry=telemetry)
            try:
                other, _ = await create_key(bench.write_config(), "other", "free")
                # The first call makes connections, and reads the keys.
                for secret in (bench.secret, other):
                    await load(server, secret, BODIES["whole"], connections=16, seconds=1.0)
                await measure(server, (bench.secret, other), loads, seconds)
            finally:
                await server.stop()


async def _start(bench: Bench, cores: frozenset[int], *, telemetry: bool) -> Child:
    """Start the gateway on its core; with telemetry it exports to the upstream, which takes everything."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    if telemetry:
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = bench.upstream_url
    config = bench.write_config(telemetry=telemetry)
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
