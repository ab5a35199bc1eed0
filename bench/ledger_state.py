"""Measures what the periodic sums over a large ledger cost, in CPU time and wall time.

The rows are spread over one day and over thirty. The database is SQLite in a temporary folder.
"""

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.store.cost_rollup import HOUR_MS, hour_of, roll_up
from app.store.database import open_database
from app.store.retention import purge_ledger
from app.store.schema import LEDGER
from app.store.uptime import ModelUsageReader
from otel.recording.noop import DisabledRecorder

MODELS = 20
PROVIDERS = 4
DAY_MS = 24 * HOUR_MS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    for days in (1, 30):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(Path(folder) / "ledger.db", arguments.rows, days))


async def measure(path: Path, rows: int, days: int) -> None:
    """Fill a ledger and run each step on it."""
    # Just before an hour ends the rows behind the rollup are the most.
    now_unix_ms = hour_of(time.time_ns() // 1_000_000) + HOUR_MS - 1
    engine = await open_database(f"sqlite+aiosqlite:///{path}", DisabledRecorder())
    fill(path, rows, now_unix_ms - days * DAY_MS, days * DAY_MS)
    print(f"{rows:,} rows in {days} days")
    await timed("cost_rollup, the first", lambda: roll_up(engine, now_unix_ms))
    await timed("cost_rollup, nothing new", lambda: roll_up(engine, now_unix_ms))
    usage = ModelUsageReader(engine)
    await timed("model_usage, the first of an hour", lambda: usage.read(now_unix_ms))
    await timed("model_usage", lambda: usage.read(now_unix_ms))
    await timed("ledger_retention, half", lambda: purge_ledger(engine, now_unix_ms - days * DAY_MS // 2))
    await engine.dispose()


async def timed(name: str, step: Callable[[], Awaitable[object]]) -> None:
    """Run one step and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    await step()
    print(f"  {name:<45}{time.process_time() - cpu:8.3f} s CPU{time.perf_counter() - wall:8.3f} s wall", flush=True)


def fill(path: Path, rows: int, start_unix_ms: int, span_ms: int) -> None:
    """Insert calls, evenly spread over the span."""
    rng = random.Random(1)
    database = sqlite3.connect(path)
    columns = list(LEDGER.columns.keys())[:20]  # the others have defaults
    values = ",".join("?" * len(columns))
    database.executemany(
        f"INSERT INTO ledger ({','.join(columns)}) VALUES ({values})",  # noqa: S608  names and question marks
        (
            (
                f"{number:032x}", start_unix_ms + number * span_ms // rows, "0" * 32, "key_1", rng.choice(("free", "pro")),
                "chat", f"model-{rng.randrange(MODELS)}", f"provider-{rng.randrange(PROVIDERS)}",
                "success" if rng.random() < 0.97 else "error", None, 0, 0, 1, 100, 50, 0, 1_000, 1_000, 900, 100,
            )
            for number in range(rows)
        ),
    )  # fmt: skip
    database.commit()
    database.close()


if __name__ == "__main__":
    main()
