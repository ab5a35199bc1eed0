"""Usage reports equal the sum over every call, whichever tables they come from, and read an index."""

from collections import defaultdict

import msgspec
import pytest
from sqlalchemy import insert, text
from sqlalchemy.dialects import sqlite

from app.store.cost_rollup import DAY_MS, HOUR_MS, SUMS, roll_up
from app.store.database import open_database
from app.store.retention import purge_ledger
from app.store.schema import DAILY_USAGE, HOURLY_COSTS, LEDGER
from app.store.usage_report import UsageSums, ledger_query, read_usage

START = 1_699_920_000_000
"""The start of a day, UTC."""
NOW = START + 3 * DAY_MS + HOUR_MS // 2
SOURCES = ("reported", "priced", "estimated", "unpriced", None)


def rows(make_row):
    return [
        make_row(
            number,
            started_unix_ms=START + number * 3 * DAY_MS // 100 + (HOUR_MS if number == 99 else 0),
            key_id=f"key_{number % 7}",
            plan=("free", "pro")[number % 2],
            model=("small", "large")[number % 3 == 0],
            provider=("alpha", "beta", None)[number % 3],
            status="error" if number % 11 == 0 else "success",
            cost_nanousd=10**12 + number,
            credits_nanousd=2 * 10**12 + number,
            cached_tokens=number,
            cost_source=SOURCES[number % 5],
            exposure_nanousd=number,
            tags='{"team":"red"}' if number % 2 else None,
        )
        for number in range(101)
    ]


def naive(calls, by):
    groups = defaultdict(lambda: dict.fromkeys(SUMS, 0))
    for row in calls:
        values = {
            "day": row.started_unix_ms // DAY_MS * DAY_MS,
            "key": row.key_id,
            "provider": row.provider or "",
            "model": row.model,
            "plan": row.plan,
            "tag:team": "red" if row.tags else "",
        }
        sums = groups[tuple(values[name] for name in by)]
        sums["calls"] += 1
        sums["successes"] += row.status == "success"
        sums["failures"] += row.status == "error"
        for name in SUMS:
            if hasattr(row, name):
                sums[name] += getattr(row, name)
        if row.cost_source in {"reported", "priced", "estimated"}:
            sums[f"{row.cost_source}_cost_nanousd"] += row.cost_nanousd
    return {group: UsageSums(**sums) for group, sums in groups.items()}


async def append(engine, calls):
    async with engine.begin() as connection:
        await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row) for row in calls])


BY = (
    ["day"], ["provider"], ["model"], ["plan"], ["day", "model", "plan"], ["key"], ["key", "day"], ["tag:team"],
    ["provider", "tag:team", "key"], ["model", "plan", "key", "day"],
)  # fmt: skip


@pytest.mark.parametrize("by", BY, ids=",".join)
async def test_the_sums_are_those_of_all_calls(engine, make_row, by) -> None:
    calls = rows(make_row)
    await append(engine, calls[:60])
    await roll_up(engine, NOW - DAY_MS)
    await append(engine, calls[60:])  # some of hours that are summed already, some of the hour that goes on
    assert await read_usage(engine, by, START, START + 4 * DAY_MS, NOW) == naive(calls, by)
    one_day = [row for row in calls if START + DAY_MS <= row.started_unix_ms < START + 2 * DAY_MS]
    assert await read_usage(engine, by, START + DAY_MS, START + 2 * DAY_MS, NOW) == naive(one_day, by)


async def test_days_outlast_the_purge_of_single_calls(engine, make_row) -> None:
    calls = rows(make_row)
    await append(engine, calls)
    await purge_ledger(engine, START + 2 * DAY_MS)
    assert await read_usage(engine, ["day"], START, START + 4 * DAY_MS, NOW) == naive(calls, ["day"])


async def test_reports_by_key_reach_back_as_far_as_single_calls(engine, make_row) -> None:
    calls = rows(make_row)
    await append(engine, calls)
    assert await read_usage(engine, ["key"], START, START + 4 * DAY_MS, NOW) == naive(calls, ["key"])
    await purge_ledger(engine, START + DAY_MS + 5 * HOUR_MS)  # a day and a part of the next
    left = [row for row in calls if row.started_unix_ms >= START + DAY_MS + 5 * HOUR_MS]
    late = make_row(500, started_unix_ms=START + 2 * DAY_MS, key_id="key_late")
    await append(engine, [late])
    assert await read_usage(engine, ["key", "day"], START, START + 4 * DAY_MS, NOW) == naive(
        [*left, late], ["key", "day"]
    )


async def test_nothing_is_reported_of_days_without_calls(engine, make_row) -> None:
    await append(engine, rows(make_row))
    for by in BY:
        assert await read_usage(engine, by, START - 9 * DAY_MS, START, NOW) == {}


async def test_reports_read_an_index(sqlite_url, recorder) -> None:
    """In SQLite: PostgreSQL's planner decides by statistics."""
    engine = await open_database(sqlite_url, recorder)

    async def plan(query) -> str:
        sql = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
        async with engine.connect() as connection:
            return " / ".join(row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {sql}")))

    day = DAILY_USAGE.c.day_unix_ms
    assert "USING INDEX sqlite_autoindex_daily_usage" in await plan(DAILY_USAGE.select().where(day >= START))
    assert "USING INDEX ix_ledger_started_unix_ms" in await plan(ledger_query(["plan"], START, NOW, engine.dialect))
    hour = HOURLY_COSTS.c.hour_unix_ms
    assert "USING INDEX sqlite_autoindex_hourly_costs" in await plan(HOURLY_COSTS.select().where(hour >= START))
    await engine.dispose()
