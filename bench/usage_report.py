"""Measures `gatewayz usage` on a large ledger: what each report takes, in CPU time and wall time.

The rows are spread over thirty days, 200 keys, 20 models and 4 providers. The database is SQLite in a
temporary folder. The first report by day sums the hours, and the first by key the days, that are not summed yet.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from app.gateway.ports import LedgerRow
from app.store.cost_rollup import HOUR_MS, hour_of
from app.store.daily_usage import DAY_MS
from app.store.database import close_database, open_database
from app.store.schema import LEDGER
from app.store.usage_report import read_usage
from otel.recording.noop import DisabledRecorder

DAYS = 30
REPORTS = (("day",), ("provider", "model"), ("plan",), ("key",), ("key", "day"), ("tag:team",))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "ledger.db", arguments.rows))


async def measure(path: Path, rows: int) -> None:
    """Fill a ledger and run each report on it."""
    now_unix_ms = hour_of(time.time_ns() // 1_000_000) + HOUR_MS - 1
    start_unix_ms = (now_unix_ms // DAY_MS - DAYS + 1) * DAY_MS
    engine = await open_database(f"sqlite+aiosqlite:///{path}", DisabledRecorder())
    fill(path, rows, start_unix_ms, now_unix_ms - start_unix_ms)
    print(f"{rows:,} rows in {DAYS} days")
    for by in (("day",), ("key",), *REPORTS):
        wall, cpu = time.perf_counter(), time.process_time()
        groups = await read_usage(engine, by, start_unix_ms, now_unix_ms + 1, now_unix_ms)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"  {','.join(by):<16}{len(groups):8,} groups{cpu:8.3f} s CPU{wall:8.3f} s wall", flush=True)
    await close_database(engine)


def fill(path: Path, rows: int, start_unix_ms: int, span_ms: int) -> None:
    """Insert calls, evenly spread over the span."""
    database = sqlite3.connect(path)
    columns = LedgerRow.__struct_fields__
    fixed = dict.fromkeys(columns, 0) | {"trace_id": "0" * 32, "operation": "chat", "status": "success", "tags": None}
    fixed |= {"error_kind": None, "reported_nanousd": None, "input_tokens": 900, "cached_tokens": 100}
    fixed |= {"output_tokens": 50, "cost_nanousd": 12_345_678, "credits_nanousd": 12_345_678}
    statement = f"INSERT INTO ledger VALUES ({','.join('?' * len(LEDGER.columns))})"  # noqa: S608  question marks
    database.executemany(
        statement,
        (
            tuple(
                (
                    fixed
                    | {
                        "call_id": f"{number * 2_654_435_761 % 2**32:032x}",
                        "started_unix_ms": start_unix_ms + number * span_ms // rows,
                        "key_id": f"key_{number * 7 % 200:016x}",
                        "plan": ("free", "pro")[number % 2],
                        "model": f"model-{number % 20}",
                        "provider": f"provider-{number % 4}",
                        "cost_source": ("reported", "priced", "priced", "estimated")[number % 4],
                        "tags": '{"team": "red"}' if number % 3 else None,
                    }
                ).values()
            )
            for number in range(rows)
        ),
    )
    database.commit()
    database.close()


if __name__ == "__main__":
    main()
