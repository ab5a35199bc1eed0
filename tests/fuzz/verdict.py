"""The checks at the end of a run: counts against responses, ledger against metrics, logs against canaries, resources against their start."""

import json
from collections import Counter
from pathlib import Path
from typing import Final

from tests.fuzz.drive import ResponseCounters
from tests.fuzz.environment import FuzzEnvironment
from tests.fuzz.gauge import Gauge, Reading
from tests.harness.polling import holds_within
from tests.reconcile.compare import read_ledger

SETTLE_SECONDS: Final = 15.0
MOST_GROWTH_BYTES: Final = 128 * 1024 * 1024
MOST_NEW_FDS: Final = 14
"""The database's pool may fill up: five connections, two files each; and a few for requests in flight."""

NONE_OF: Final = (
    "gatewayz_telemetry_record_failures_total", "gatewayz_telemetry_dropped_total", "gatewayz_telemetry_overflow_total",
    "gatewayz_ledger_rows_dropped_total", "gatewayz_telemetry_log_lines_dropped_total",
)  # fmt: skip
KNOWN_LOGGERS: Final = {
    "gatewayz.request", "gatewayz.attempt", "gatewayz.usage", "gatewayz.providers", "uvicorn.error", "app.store.database",
}  # fmt: skip
"""The loggers of a healthy run: a line per request, per failed attempt and per implausible usage, malformed HTTP, the start."""

_SHOWN_CHARACTERS: Final = 1_500
_CENT: Final = 0.01
_NANO: Final = 1_000_000_000


def quiet(reading: Reading) -> bool:
    """Whether no request is being served."""
    return reading.total("fastapi_requests_in_progress") == 0


def count_problems(
    before: Reading, after: Reading, counters: ResponseCounters, seen_before: Counter[tuple[str, int]]
) -> list[str]:
    """Compare what a round of tame inputs was answered with what was counted, by method and status: exactly."""
    expected: Counter[tuple[str, int]] = Counter()
    for (method, status), count in counters.counted.items():
        known = method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"} else "_OTHER"
        expected[known, status] += count - seen_before[method, status]
    earlier, later = before.requests(), after.requests()
    keys = {key for key in {*expected, *later} if expected[key] or later[key] != earlier[key]}
    return [
        f"{method} {status}: {expected[method, status]} responses, {later[method, status] - earlier[method, status]} counted"
        for method, status in sorted(keys)
        if expected[method, status] != later[method, status] - earlier[method, status]
    ]


def wild_problems(before: Reading, after: Reading, seen: Counter[int], not_seen: int) -> list[str]:
    """Compare a round of wild inputs: nothing that was answered is missing, and no more was counted than can have been sent."""
    counted: Counter[int] = Counter()
    for sign, reading in ((1, after), (-1, before)):
        for (_, status), count in reading.requests().items():
            counted[status] += sign * count
    found = [
        f"status {status}: {count} responses, {counted[status]} counted"
        for status, count in seen.items()
        if counted[status] < count
    ]
    more = sum(counted.values()) - sum(seen.values())
    if more > not_seen:
        found.append(f"{more} requests more were counted than answered; at most {not_seen} can have been")
    return found


async def end_problems(ready: FuzzEnvironment, gauge: Gauge, start: Reading) -> list[str]:
    """Check the numbers of the gateway while it still runs; its upstreams have ended, so that no connection to them is left."""
    fds, memory = start.total("process_open_fds"), start.total("process_resident_memory_bytes")
    end = await gauge.settle(
        lambda now: (
            quiet(now) and now.total("process_open_fds") <= fds + MOST_NEW_FDS and not _ledger_problems(ready, now)
        ),
        SETTLE_SECONDS,
    )
    found = [f"{name} is {end.total(name):g}" for name in NONE_OF if end.total(name)]
    found += _ledger_problems(ready, end)
    if not quiet(end):
        found.append(f"{end.total('fastapi_requests_in_progress'):g} requests are still in progress")
    if end.total("process_open_fds") > fds + MOST_NEW_FDS:
        found.append(f"{end.total('process_open_fds'):g} open file descriptors; there were {fds:g}")
    if end.total("process_resident_memory_bytes") > memory + MOST_GROWTH_BYTES:
        found.append(f"resident memory grew from {memory:g} to {end.total('process_resident_memory_bytes'):g} bytes")
    await gauge.read_categories()
    gauge.check_pushed()
    requests = int(end.total("fastapi_requests_total"))
    logs = ready.receiver.loggers
    if (
        not await holds_within(lambda: logs["gatewayz.request"] >= requests, SETTLE_SECONDS)
        or logs["gatewayz.request"] != requests
    ):
        found.append(f"{requests} requests were counted, {logs['gatewayz.request']} request logs were received")
    return found


def _ledger_problems(ready: FuzzEnvironment, reading: Reading) -> list[str]:
    """Compare the ledger's sums with the metrics', money to the cent."""
    ledger = read_ledger(ready.folder / "gateway.db")
    pairs = (
        ("cost", ledger["cost (nano-USD)"] / _NANO, reading.total("gatewayz_cost_by_provider")),
        ("credits", ledger["credits (nano-USD)"] / _NANO, reading.total("credits_used_total")),
        ("tokens", ledger["input tokens"] + ledger["output tokens"], reading.total("tokens_used_total")),
        ("calls", sum(ledger[name] for name in ledger if name in {"rows success", "rows error", "rows cancelled"}),
         reading.total("gatewayz_attempts_per_request_count")),
    )  # fmt: skip
    return [
        f"{name}: {kept} in the ledger, {shown} in the metrics"
        for name, kept, shown in pairs
        if abs(kept - shown) >= _CENT
    ]


def log_problems(path: Path, ready: FuzzEnvironment) -> tuple[list[str], Counter[str]]:
    """Read what the gateway wrote: whole JSON lines, no tracebacks, no unexpected loggers, no canaries; return also the lines per logger."""
    found: list[str] = []
    voices: Counter[str] = Counter()
    with path.open("rb") as lines:
        for line in lines:
            ready.leaks.search("stdout", line)
            if line.startswith(b"gateway: "):
                continue
            try:
                fields = json.loads(line)
                voice = f"{fields['logger']} {fields['level']}"
            except (ValueError, KeyError):
                found.append(f"a line that is no log line: {line[:300]!r}")
                continue
            voices[voice] += 1
            if fields["logger"] not in KNOWN_LOGGERS or "exception" in fields:
                said = f"{voice}: {fields['message']} {fields.get('exception', '')[-_SHOWN_CHARACTERS:]}"
                found.append(f"an unexpected log line: {said!r}")
    return found[:5], voices
