"""How many spans and log records a second a console takes in: `python -m bench.console [--seconds 10] [--demo]`.

The console has one core, the load the others. The traffic is the gateway's
(`bench/console_traffic.py`), made before the clock starts. What is acknowledged is on the disk, so
the disk counts too. With `--demo` a demo runs on the cores of the load meanwhile, whose gateway
sends its telemetry to the same console. Screens on a large file:
`bench/console_screens.py`.
"""

import argparse
import gzip
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx

from bench.console_traffic import NS, GatewayTraffic, uploads
from bench.cores import available_cores, on_cores, split_cores
from demo.process import ROOT
from tests.harness.console_process import ConsoleProcess, clean_environ
from tests.harness.polling import wait_for

EACH = 250
CONNECTIONS = 3
REQUESTS_A_SECOND = 6_000
"""More than a console takes in."""

DEMO_RUNS = "demo:   5 s"
DEMO_SECONDS = 120.0
HEADERS = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}


def rate(seconds: float, *, beside_demo: bool) -> None:
    """Print how many items a second a console acknowledges."""
    traffic = GatewayTraffic(1, time.time_ns() - 60 * NS, 100_000)
    made = [
        (path, gzip.compress(body, 1), count)
        for path, body, count in uploads(traffic, round(REQUESTS_A_SECOND * seconds), EACH)
    ]
    cores = split_cores(available_cores())
    print(cores.describe())
    with tempfile.TemporaryDirectory() as folder:
        with on_cores(cores.server):
            console = ConsoleProcess(Path(folder))
            console.start()
        try:
            with on_cores(cores.load), running_demo(console, Path(folder)) if beside_demo else nullcontext():
                started_seconds, stored_before = cpu_of(console.pid), _stored(console)
                items, elapsed = _send(console, made, seconds)
                cpu_seconds, memory = cpu_of(console.pid) - started_seconds, memory_of(console.pid)
                stored = _stored(console) - stored_before
        finally:
            console.kill()
    if not items:
        raise SystemExit("the console acknowledged nothing: this computer is too busy")
    print(f"{stored} spans and log records in {elapsed:.1f} s: {stored / elapsed:,.0f} a second")
    if beside_demo:
        print(f"of these {stored - items} from the demo")
    print(f"CPU: {cpu_seconds / stored * 1e6:.0f} us an item, {stored / cpu_seconds:,.0f} items in a second of a core")
    print(f"memory of the process: {memory:.0f} MiB")


@contextmanager
def running_demo(console: ConsoleProcess, folder: Path) -> Iterator[None]:
    """Run a demo that sends its telemetry to the console, from when its traffic flows."""
    environ = {**clean_environ(), "PORT": "0", "OTEL_EXPORTER_OTLP_ENDPOINT": console.otlp_url}
    environ |= {"OTEL_METRIC_EXPORT_INTERVAL": "5000", "PYTHONUNBUFFERED": "1"}
    output = folder / "demo.log"
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "demo"], cwd=ROOT, env=environ, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        wait_for(lambda: DEMO_RUNS in output.read_text(), output.read_text, timeout_seconds=DEMO_SECONDS)
        yield
        print(f"the demo meanwhile: {output.read_text().splitlines()[-1].removeprefix('demo:').strip()}")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(DEMO_SECONDS)


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


def _stored(console: ConsoleProcess) -> int:
    """Return how many spans and log records the console has stored so far."""
    signals = httpx.get(f"{console.page_url}/api/pipeline", timeout=60.0).json()["store"]["signals"]
    return sum(each["received"] for each in signals if each["signal"] in {"traces", "logs"})


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
    parser.add_argument("--demo", action="store_true", help="beside a running demo that sends to the same console")
    arguments = parser.parse_args()
    rate(arguments.seconds, beside_demo=arguments.demo)


if __name__ == "__main__":
    main()
