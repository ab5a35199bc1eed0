"""How long each screen of the console takes with a million spans in its file: `python -m bench.console_screens`.

It fills a file with the telemetry of many requests, then queries every route again and again in a
process of its own, and prints p50 and p95 of each, and the memory of the process.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import httpx

from bench.console_traffic import GatewayTraffic
from console.http.build import build_console_app
from console.receive.content import Content
from console.receive.upload import read_batch
from console.store.limits import Limits
from console.store.store import Store
from console.store.work import Outcome, Stored, Work

LIMITS: Final = Limits(max_bytes=8 * 2**30)
SPANS_PER_REQUEST: Final = 2.05
MOST_MILLISECONDS: Final = 300
MOST_MEBIBYTES: Final = 250
PUSHES: Final = 240
_BATCH: Final = 1_000
_FEWEST_ROUNDS: Final = 2
_BATCHES_PER_LINE: Final = 20
_HOUR_NS: Final = 3_600 * 10**9
_DAY: Final = "range=86400"
ROUTES: Final = (
    "/api/meta",
    "/api/now",
    f"/api/failures?{_DAY}",
    f"/api/requests?{_DAY}",
    f"/api/requests?{_DAY}&provider=openai&latency_min=3",
    f"/api/requests?{_DAY}&latency_min=60",
    f"/api/requests?{_DAY}&q=small",
    "/api/facets",
    f"/api/traces?{_DAY}",
    f"/api/traces?{_DAY}&latency_min=60",
    "/api/traces/{trace_id}",
    f"/api/logs?{_DAY}",
    f"/api/logs?{_DAY}&severity=WARN",
    "/api/metrics",
    "/api/metrics/range?name=bench_family_4&by=provider&range=3600",
    "/api/metrics/range?name=bench_family_0&by=provider&range=3600",
    "/api/cost?period=today",
    "/api/cost?period=month",
    f"/api/annotations?{_DAY}",
    "/api/pipeline",
)


def main(arguments: list[str]) -> int:
    """Fill, measure, print; 1 where a screen or the memory is beyond its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20, help="queries of each route, at least 2")
    parser.add_argument("--file", type=Path, help="a file of an earlier run, or where to make one")
    options = parser.parse_args(arguments)
    if options.rounds < _FEWEST_ROUNDS or options.spans < 1:
        parser.error(f"--rounds is at least {_FEWEST_ROUNDS}, --spans at least 1")
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "console.sqlite"
        if not path.exists():
            fill(path, options.spans)
        return asyncio.run(measure(path, options.rounds))


def fill(path: Path, spans: int) -> None:
    """Make a file with so many spans, their log lines, and an hour of metrics."""
    store = Store(path, LIMITS, unix_s=time.time, print_line=print)
    requests = int(spans / SPANS_PER_REQUEST)
    now_ns, began = time.time_ns(), time.monotonic()
    traffic = GatewayTraffic(1, now_ns - 6 * _HOUR_NS, 6 * _HOUR_NS // requests)
    batches = -(-requests // _BATCH)
    for number in range(batches):
        if number % _BATCHES_PER_LINE == 0:
            print(f"fills the file: {number * 100 // batches} %", file=sys.stderr, flush=True)
        for signal, request in zip(("traces", "logs"), traffic.batches(_BATCH), strict=True):
            _send(store, signal, request)
    pushed = GatewayTraffic(2, now_ns - _HOUR_NS, _HOUR_NS // PUSHES)
    for _ in range(PUSHES):
        pushed.batches(1)
        _send(store, "metrics", pushed.metrics(400))
    print(f"filled {path} in {time.monotonic() - began:.0f} s: {store.state()}")
    store.close()


def _send(store: Store, signal: Any, request: Any) -> None:
    body = request.SerializeToString()
    outcomes: list[Outcome] = []
    done = threading.Event()

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        done.set()

    content = Content(signal, body, False, "protobuf")
    while True:
        done.clear()
        if store.submit(Work(len(body), lambda: read_batch(content, store.limits, time.time), report)):
            done.wait()
            if isinstance(outcomes.pop(), Stored):
                return
        time.sleep(0.05)


async def measure(path: Path, rounds: int) -> int:
    """Query every route `rounds` times and print how long it took."""
    store = Store(path, LIMITS, unix_s=time.time, print_line=print)
    app = build_console_app(store, version="bench", token=None, print_line=print)
    slowest = 0.0
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT trace_id FROM spans WHERE status_code = 2 ORDER BY start_ns DESC LIMIT 1")
        trace_id = found.fetchone()[0].hex()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60) as client:
        for route in ROUTES:
            times = []
            for _ in range(rounds + 1):
                began = time.perf_counter()
                response = await client.get(route.format(trace_id=trace_id))
                times.append((time.perf_counter() - began) * 1_000)
                response.raise_for_status()
            # The first one reads from the disk what a cache then has.
            p50, p95 = statistics.median(times[1:]), statistics.quantiles(times[1:], n=20)[-1]
            slowest = max(slowest, p95)
            print(f"{p50:7.1f} {p95:7.1f} ms  {len(response.content):9d} B  {route}")
    memory = _resident_mebibytes()
    print(f"slowest p95 {slowest:.0f} ms (bound {MOST_MILLISECONDS}), memory {memory:.0f} MiB (bound {MOST_MEBIBYTES})")
    app.close()
    store.close()
    return int(slowest > MOST_MILLISECONDS or memory > MOST_MEBIBYTES)


def _resident_mebibytes() -> float:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1_024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
