"""The daily sums are those of the ledger's rows: late rows, purges and simultaneous runs included."""

import asyncio
from collections import defaultdict

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select

from app.store.cost_rollup import DAY_MS, HOUR_MS, SUMS, roll_up
from app.store.daily_usage import sum_days
from app.store.retention import purge_ledger
from app.store.schema import DAILY_USAGE, HOURLY_COSTS, LEDGER
from app.store.transactions import writing

START = 1_699_920_000_000
"""The start of a day, UTC."""
DAYS = 3
END = START + DAYS * DAY_MS
GROUPS = ("day_unix_ms", "key_id", "provider", "model", "plan", "tags")


def test_every_sum_of_the_hours_is_a_column() -> None:
    assert tuple(DAILY_USAGE.c.keys()) == (*GROUPS, *SUMS)


async def append(engine, calls) -> None:
    if calls:
        async with writing(engine) as connection:
            await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row) for row in calls])


async def stored(engine):
    columns = (*GROUPS, "calls", "failures", "cost_nanousd", "priced_cost_nanousd")
    async with engine.connect() as connection:
        rows = await connection.execute(select(*(DAILY_USAGE.c[name] for name in columns)))
        return {tuple(row[:6]): list(row[6:]) for row in rows}


async def naive(engine, before_unix_ms):
    """Return the same sums over the rows that the ledger has."""
    sums = defaultdict(lambda: [0] * 4)
    async with engine.connect() as connection:
        for row in (await connection.execute(LEDGER.select())).mappings():
            day = row["started_unix_ms"] // DAY_MS * DAY_MS
            if day + DAY_MS > before_unix_ms:
                continue
            group = (day, row["key_id"], row["provider"] or "", row["model"], row["plan"], row["tags"] or "")
            entry = sums[group]
            entry[0] += 1
            entry[1] += row["status"] == "error" and row["error_kind"] != "upstream_4xx"
            entry[2] += row["cost_nanousd"]
            entry[3] += row["cost_nanousd"] if row["cost_source"] == "priced" else 0
    return dict(sums)


CALLS = st.fixed_dictionaries(
    {
        "started_unix_ms": st.integers(START, END - 1),
        "key_id": st.sampled_from(["key_1", "key_2"]),
        "provider": st.sampled_from(["alpha", None]),
        "tags": st.sampled_from(['{"team":"red"}', None]),
        "cost_nanousd": st.integers(0, 10**14),
        "cost_source": st.sampled_from(["priced", "reported", None]),
    }
)
MOMENTS = st.integers(START, END + DAY_MS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(CALLS, min_size=1, max_size=8)),
        st.tuples(st.just("sum"), MOMENTS),
        st.tuples(st.just("roll up"), MOMENTS),
        st.tuples(st.just("purge"), MOMENTS),
    ),
    min_size=1,
    max_size=10,
)


@given(steps=STEPS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_whatever_comes_in_whatever_order_the_sums_are_those_of_the_ledger(engine, make_row, steps) -> None:
    async with engine.begin() as connection:
        for table in (LEDGER, HOURLY_COSTS, DAILY_USAGE):
            await connection.execute(delete(table))
    number = 0
    for what, argument in steps:
        if what == "append":
            await append(engine, [make_row(number + place, **changes) for place, changes in enumerate(argument)])
            number += len(argument)
        elif what == "sum":
            await sum_days(engine, argument)
            expected = await naive(engine, argument)
            assert {group: sums for group, sums in (await stored(engine)).items() if group[0] + DAY_MS <= argument} == (
                expected
            )
        elif what == "roll up":
            await roll_up(engine, argument)
        else:
            await purge_ledger(engine, argument)
    await sum_days(engine, END)
    assert await stored(engine) == await naive(engine, END)
    assert await sum_days(engine, END) == 0


async def test_as_many_late_calls_as_purged_ones_change_the_sums(engine, make_row) -> None:
    await append(engine, [make_row(1, started_unix_ms=START, cost_nanousd=5)])
    await sum_days(engine, END)
    await append(engine, [make_row(2, started_unix_ms=START + HOUR_MS, cost_nanousd=7)])
    await purge_ledger(engine, START + HOUR_MS)
    await sum_days(engine, END)
    assert await stored(engine) == await naive(engine, END)
    await append(engine, [make_row(3, started_unix_ms=START, cost_nanousd=11)])  # of the purged hour: goes at once
    await sum_days(engine, END)
    await append(engine, [make_row(4, started_unix_ms=START + HOUR_MS, cost_nanousd=13)])
    await roll_up(engine, END)
    await sum_days(engine, END)
    assert await stored(engine) == await naive(engine, END)


async def test_runs_at_the_same_time_neither_double_nor_lose(engine, make_row) -> None:
    for batch in range(3):
        calls = [
            make_row(1_000 * batch + number, started_unix_ms=START + number * HOUR_MS // 3, key_id=f"key_{number % 3}")
            for number in range(200)
        ]
        late = [make_row(1_000 * batch + 500 + number, started_unix_ms=START + number) for number in range(10)]
        await append(engine, calls)
        await asyncio.gather(
            *(sum_days(engine, END) for _ in range(3)),
            *(purge_ledger(engine, START + (batch + 1) * HOUR_MS) for _ in range(2)),
            *(append(engine, [row]) for row in late),
        )
    await sum_days(engine, END)
    assert await stored(engine) == await naive(engine, END)


async def test_progress_is_told_after_each_day(engine, make_row) -> None:
    await append(engine, [make_row(number, started_unix_ms=START + number * DAY_MS) for number in range(DAYS)])
    told = []
    assert await sum_days(engine, END, lambda done, of: told.append((done, of))) == DAYS
    assert told == [(1, 3), (2, 3), (3, 3)]
