"""How many spans and log records a second a console takes in: `python -m bench.console [--seconds 10]`.

The console has one core, the load the others. The traffic is the gateway's
(`bench/console_traffic.py`), made before the clock starts. What is acknowledged is on the disk, so
the disk counts too. Screens on a large file: `bench/console_screens.py`.
"""

import argparse
import gzip
import os
import tempfile
import threading
import time
from pathlib import Path

import httpx

from bench.console_traffic import NS, GatewayTraffic, uploads
from bench.cores import available_cores, on_cores, split_cores
from tests.harness.console_process import ConsoleProcess

EACH = 250
CONNECTIONS = 3
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


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


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1_024


def main() -> None:
    """Run with the time of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    rate(parser.parse_args().seconds)


if __name__ == "__main__":
    main()
