"""What telemetry costs a request: the gateway with everything on, against the same gateway with telemetry off.

    python -m bench.gateway [--rounds 5] [--seconds 3] [--connections 16]

Three gateway processes on the same upstream: telemetry off; on without export (metrics, spans and
log lines are made, nothing leaves); on with all three signals exported by OTLP/HTTP at 100 %
sampling to an endpoint that accepts and discards. Rounds are interleaved, so that a slow moment of
the machine meets all three. CPU is that of the gateway's process, all of its threads, exporting
included.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec

from bench import canned_server
from bench.closed_load import LoadResult
from bench.environment import DIRECT_MODEL, bench_environment, process_cpu_seconds
from demo.process import Child, ChildFailedError, run_to_end, start_child

OFF, QUIET, EXPORTED = "off", "on, no export", "on, exported"
VARIANTS = (OFF, QUIET, EXPORTED)
MESSAGES = [{"role": "user", "content": "say something"}]
BODIES = {
    kind: msgspec.json.encode({"model": DIRECT_MODEL, "messages": MESSAGES, "stream": kind == "stream"}).decode()
    for kind in ("plain", "stream")
}


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One variant in one round."""

    per_second: float
    cpu_microseconds: float
    p50_milliseconds: float
    p99_milliseconds: float


async def measure(gateway: Child, secret: str, kind: str, *, connections: int, seconds: float) -> Measured:
    """Load one gateway; raises `ChildFailedError` when it does not respond as it should."""
    before = process_cpu_seconds(gateway.pid) or 0.0
    arguments = ("--url", gateway.url, "--secret", secret, "--body", BODIES[kind])
    output = await run_to_end(
        ("bench.closed_load", *arguments, "--connections", str(connections), "--seconds", str(seconds))
    )
    result = msgspec.json.decode(output, type=LoadResult)
    used = (process_cpu_seconds(gateway.pid) or 0.0) - before
    if result.failed or not result.responded:
        raise ChildFailedError(
            f"{result.failed} requests failed, {result.responded} were served; {gateway.last_lines()}"
        )
    return Measured(
        per_second=result.responded / result.seconds,
        cpu_microseconds=used / result.responded * 1e6,
        p50_milliseconds=result.p50_milliseconds,
        p99_milliseconds=result.p99_milliseconds,
    )


async def run(*, rounds: int, seconds: float, connections: int) -> dict[tuple[str, str], list[Measured]]:
    """Measure every variant with every kind of request in every round."""
    found: dict[tuple[str, str], list[Measured]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="gatewayz-bench-") as name:
        folder = Path(name)
        sink = await start_child("OTLP endpoint", ("bench.canned_server",), log_path=folder / "sink.log")
        try:
            await sink.wait_ready(canned_server.READY_LINE)
            upstream = (("bench.canned_server",), canned_server.READY_LINE)
            async with bench_environment(folder, upstream) as bench:
                otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}
                async with (
                    bench.gateway(bench.write_config(telemetry=False), {}) as off,
                    bench.gateway(bench.write_config(), {}) as quiet,
                    bench.gateway(bench.write_config(), otlp) as exported,
                ):
                    gateways = dict(zip(VARIANTS, (off, quiet, exported), strict=True))
                    for gateway in gateways.values():
                        await measure(gateway, bench.secret, "plain", connections=connections, seconds=1.0)
                    for number in range(rounds):
                        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
                        for kind in BODIES:
                            for variant in VARIANTS[number % 3 :] + VARIANTS[: number % 3]:
                                found[kind, variant].append(
                                    await measure(
                                        gateways[variant], bench.secret, kind, connections=connections, seconds=seconds
                                    )
                                )
        finally:
            await sink.stop()
    return found


def show(found: dict[tuple[str, str], list[Measured]]) -> None:
    """Print the medians over the rounds, and the medians of each round's ratios to the gateway without telemetry."""
    print(
        f"{'':<8}{'telemetry':<15}{'req/s':>8}{'ratio':>7}{'CPU us/req':>12}{'ratio':>7}{'added us':>10}{'p50 ms':>9}{'p99 ms':>9}"
    )
    for kind in BODIES:
        base = found[kind, OFF]
        for variant in VARIANTS:
            rounds = found[kind, variant]
            per_second, cpu, p50, p99 = (
                statistics.median(getattr(each, field) for each in rounds) for field in Measured.__struct_fields__
            )
            pairs = list(zip(rounds, base, strict=True))
            kept = statistics.median(one.per_second / other.per_second for one, other in pairs)
            cost = statistics.median(one.cpu_microseconds / other.cpu_microseconds for one, other in pairs)
            added = statistics.median(one.cpu_microseconds - other.cpu_microseconds for one, other in pairs)
            print(
                f"{kind:<8}{variant:<15}{per_second:>8.0f}{kept:>7.2f}{cpu:>12.0f}{cost:>7.2f}{added:>10.0f}{p50:>9.2f}{p99:>9.1f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=16)
    arguments = parser.parse_args()
    try:
        found = asyncio.run(run(rounds=arguments.rounds, seconds=arguments.seconds, connections=arguments.connections))
    except KeyboardInterrupt:
        return 130
    except ChildFailedError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1
    show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
