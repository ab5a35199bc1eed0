"""What a console takes in, and how fast its screens are.

    python -m bench.console rate [--seconds 10]         items a second over HTTP, console on one core
    python -m bench.console fill FILE [--spans 1000000] makes a file of so many spans, with their log lines and metrics
    python -m bench.console screens FILE [--calls 20]   each screen's p95 on a file, and the process's memory

The traffic is the gateway's (`bench/console_traffic.py`), made before the clock starts. What is
acknowledged is on the disk, so the disk counts too.
"""

import argparse
import gzip
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from bench.console_traffic import NS, GatewayTraffic, uploads
from bench.cores import available_cores, on_cores, split_cores
from console.receive.content import Content
from console.receive.upload import read_batch
from console.store.limits import Limits
from console.store.schema import CREATE_LOG_TEXT, GENERATION, LOG_TEXT
from console.store.store import Store
from console.store.work import Outcome, Stored, Work
from tests.harness.console_process import ConsoleProcess, running_console

EACH = 250
COPIES = 8
CONNECTIONS = 3
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
SCREENS = (
    "/api/meta", "/api/now", "/api/failures", "/api/requests", "/api/requests?q=chat&range=86400", "/api/requests?provider=openai&range=86400",
    "/api/requests?status=5xx&range=86400", "/api/facets", "/api/traces?range=86400", "/api/logs?range=86400", "/api/logs?q=openai&range=86400",
    "/api/metrics", "/api/metrics/range?name=bench_family_0&range=86400", "/api/metrics/range?name=bench_family_8&range=86400&by=provider",
    "/api/cost?period=today", "/api/cost?period=month", "/api/annotations?range=86400", "/api/pipeline",
)  # fmt: skip
"""What the page requests; those without a range take its defaults."""


def rate(seconds: float) -> None:
    """Print how many items a second a console acknowledges."""
    traffic = GatewayTraffic(1, time.time_ns() - 60 * NS, 100_000)
    made = [(path, gzip.compress(body, 1), count) for path, body, count in uploads(traffic, 40_000, EACH)]
    cores = split_cores(available_cores())
    print(cores.describe())
    with tempfile.TemporaryDirectory() as folder:
        with on_cores(cores.server):
            console = ConsoleProcess(Path(folder))
            console.start()
        try:
            started_seconds = cpu_of(console.pid)
            with on_cores(cores.load):
                items, elapsed = _send(console, made, seconds)
            cpu_seconds, memory = cpu_of(console.pid) - started_seconds, memory_of(console.pid)
        finally:
            console.kill()
    print(f"{items} spans and log records in {elapsed:.1f} s: {items / elapsed:,.0f} a second")
    print(f"CPU: {cpu_seconds / items * 1e6:.0f} us an item, {items / cpu_seconds:,.0f} items in a second of a core")
    print(f"memory of the process: {memory:.0f} MiB")


def _send(console: ConsoleProcess, made: list[tuple[str, bytes, int]], seconds: float) -> tuple[int, float]:
    """Send over a few connections until the time or the traffic is over; return items acknowledged, and how long."""
    lock = threading.Lock()
    rest = iter(made)
    acknowledged = 0
    began = time.monotonic()

    def run() -> None:
        nonlocal acknowledged
        with httpx.Client(base_url=console.otlp_url, timeout=60.0) as client:
            while time.monotonic() - began < seconds:
                with lock:
                    upload = next(rest, None)
                if upload is None:
                    return
                while client.post(upload[0], content=upload[1], headers=HEADERS).status_code != 200:
                    pass
                with lock:
                    acknowledged += upload[2]

    threads = [threading.Thread(target=run) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acknowledged, time.monotonic() - began


def fill(path: Path, spans: int) -> None:
    """Make a file: the traffic of 23 hours up to now, and a push of 1 000 series every 5 minutes of it.

    An eighth goes through the console's own writer; seven copies with other ids and times follow by SQL.
    """
    requests = round(spans / COPIES / 2.05)
    part_ns = 23 * 3_600 * NS // COPIES
    limits = Limits(max_bytes=8 * 2**30, max_spans=10_000_000, max_log_records=10_000_000)
    store = Store(path, limits, unix_s=time.time, print_line=print)
    traffic = GatewayTraffic(1, time.time_ns() - COPIES * part_ns, part_ns // requests)
    pushes = 276 // COPIES
    for _ in range(pushes):
        for url_path, body, _ in uploads(traffic, requests // pushes, requests // pushes):
            _store(store, url_path, body)
        _store(store, "/v1/metrics", traffic.metrics(1_000).SerializeToString())
    store.close()
    _copy(path, part_ns)
    store = Store(path, limits, unix_s=time.time, print_line=print)
    print(store.state())
    store.close()


def _copy(path: Path, part_ns: int) -> None:
    """Append copies of all rows, each later by `part_ns`."""
    connection = sqlite3.connect(path)
    for table, shifted, fresh, key in (
        ("spans", ("start_ns",), ("trace_id", "span_id", "parent_span_id"), "id"),
        ("log_records", ("time_ns", "observed_ns"), ("trace_id", "span_id"), "id"),
        ("requests", ("time_ns",), ("trace_id",), "log"),
        ("number_points", ("time_ns",), (), ""),
        ("histogram_points", ("time_ns",), (), ""),
    ):
        rows = connection.execute(f"SELECT max({key or 0}) FROM {table}").fetchone()[0]  # noqa: S608  names of ours
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for copy in range(1, COPIES):
            values = [
                f"{name} + {rows * copy}" if name == key
                else f"{name} + {part_ns * copy}" if name in shifted
                else f"CAST(x'{copy:02x}' || substr({name}, 2) AS BLOB)" if name in fresh
                else name
                for name in columns
            ]  # fmt: skip
            where = f"{key} <= {rows}" if key else f"time_ns < {time.time_ns() - (COPIES - 1) * part_ns}"
            connection.execute(f"INSERT OR IGNORE INTO {table} SELECT {', '.join(values)} FROM {table} WHERE {where}")  # noqa: S608  likewise
        connection.commit()
    _copy_words(connection)
    connection.close()


def _copy_words(connection: sqlite3.Connection) -> None:
    """Fill the full-text tables of the copies: from the bodies, which have more words than the messages."""
    first, last = connection.execute("SELECT min(id), max(id) FROM log_records").fetchone()
    original = (last - first + 1) // COPIES
    for generation in range(original // GENERATION, last // GENERATION + 1):
        table = LOG_TEXT.format(generation=generation)
        connection.execute(CREATE_LOG_TEXT.format(table=table))
        connection.execute(
            f"INSERT INTO {table}(rowid, words) SELECT id, body FROM log_records WHERE id BETWEEN ? AND ?",  # noqa: S608  likewise
            (max(original + 1, generation * GENERATION), (generation + 1) * GENERATION - 1),
        )
    connection.commit()


def _store(store: Store, url_path: str, body: bytes) -> None:
    done = threading.Event()
    outcomes: list[Outcome] = []
    content = Content(url_path.rpartition("/")[2], body, is_gzip=False, format="protobuf")  # type: ignore[arg-type]

    def report(outcome: Outcome) -> None:
        outcomes.append(outcome)
        done.set()

    work = Work(len(body), lambda: read_batch(content, store.limits, time.time), report)
    while not store.submit(work):
        time.sleep(0.01)
    done.wait()
    if outcomes != [Stored(0, "")]:
        sys.exit(f"not stored: {outcomes}")


def screens(path: Path, calls: int) -> None:
    """Print each screen's p95 on a file; the console deletes nothing of it."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if (source := path.with_name(path.name + suffix)).exists():
                os.link(source, Path(folder) / f"console.sqlite{suffix}")
        with (
            running_console(Path(folder), "--retention", "7d", "--max-bytes", "9GiB") as console,
            httpx.Client(base_url=console.page_url, timeout=60.0) as client,
        ):
            _print_screens(client, calls)
            print(f"memory of the process: {memory_of(console.pid):.0f} MiB")


def _print_screens(client: httpx.Client, calls: int) -> None:
    trace = client.get("/api/traces?range=86400").json()["traces"][0]["trace_id"]
    for url in (*SCREENS, f"/api/traces/{trace}"):
        milliseconds = []
        for _ in range(calls):
            began = time.monotonic()
            response = client.get(url)
            milliseconds.append((time.monotonic() - began) * 1_000)
            if response.status_code != 200:
                print(f"{url}: {response.status_code} {response.text[:200]}")
                break
        else:
            p95 = statistics.quantiles(milliseconds, n=20)[-1]
            print(f"{p95:8.1f} ms  first {milliseconds[0]:8.1f}  {len(response.content):8d} bytes  {url}", flush=True)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1_024


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rate_parser = commands.add_parser("rate")
    rate_parser.add_argument("--seconds", type=float, default=10.0)
    fill_parser = commands.add_parser("fill")
    fill_parser.add_argument("file", type=Path)
    fill_parser.add_argument("--spans", type=int, default=1_000_000)
    screens_parser = commands.add_parser("screens")
    screens_parser.add_argument("file", type=Path)
    screens_parser.add_argument("--calls", type=int, default=20)
    args = parser.parse_args()
    if args.command == "rate":
        rate(args.seconds)
    elif args.command == "fill":
        fill(args.file, args.spans)
    else:
        screens(args.file, args.calls)


if __name__ == "__main__":
    main()
