"""The hourly rollup is the naive sum over every call there ever was: late rows, repeated and simultaneous runs, purges included."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.errors import StoreUnavailableError
from app.gateway.ports import LedgerRow
from app.store.cost_rollup import HOUR_MS, bring_up_to_date, hour_of, roll_up
from app.store.database import create_engine
from app.store.retention import purge_ledger
from app.store.schema import HOURLY_COSTS, LEDGER
from app.store.transactions import writing, writing_alone
from otel.recording.noop import DisabledRecorder

START = hour_of(1_700_000_000_000)
HOURS = 6
SUMMED = ("input_tokens", "output_tokens", "cost_nanousd", "credits_nanousd")
Sums = dict[tuple[int, str, str, str], list[int]]


async def append(engine: AsyncEngine, rows: Sequence[LedgerRow]) -> None:
    if rows:
        async with writing(engine) as connection:
            await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row) for row in rows])


async def ledger_rows(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return len((await connection.execute(select(LEDGER.c.call_id))).all())


async def rolled_up(engine: AsyncEngine) -> Sums:
    columns = ("hour_unix_ms", "provider", "model", "plan", "calls", "successes", "failures", *SUMMED)
    async with engine.connect() as connection:
        rows = await connection.execute(select(*(HOURLY_COSTS.c[name] for name in columns)))
        return {tuple(row[:4]): list(row[4:]) for row in rows}


def naive(rows: Sequence[LedgerRow], before_unix_ms: int) -> Sums:
    sums: Sums = defaultdict(lambda: [0] * 7)
    for row in rows:
        if hour_of(row.started_unix_ms) + HOUR_MS > before_unix_ms:
            continue
        entry = sums[hour_of(row.started_unix_ms), row.provider or "", row.model, row.plan]
        entry[0] += 1
        entry[1] += row.status == "success"
        entry[2] += row.status == "error" and row.error_kind != "upstream_4xx"
        for place, name in enumerate(SUMMED, start=3):
            entry[place] += getattr(row, name)
    return dict(sums)


CALLS = st.fixed_dictionaries(
    {
        "started_unix_ms": st.integers(START, START + HOURS * HOUR_MS - 1),
        "provider": st.sampled_from(["alpha", "beta", None]),
        "model": st.sampled_from(["small", "large"]),
        "plan": st.sampled_from(["free", "pro"]),
        "input_tokens": st.integers(0, 10**6),
        "output_tokens": st.integers(0, 10**6),
        "cost_nanousd": st.integers(0, 10**14),
        "credits_nanousd": st.integers(0, 10**14),
    }
)
ENDS = st.sampled_from(
    [("success", None), ("error", None), ("error", "idle_timeout"), ("error", "upstream_4xx"), ("cancelled", None)]
)
MOMENTS = st.integers(START, START + (HOURS + 1) * HOUR_MS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.tuples(CALLS, ENDS), min_size=1, max_size=8)),
        st.tuples(st.just("roll up"), MOMENTS),
        st.tuples(st.just("purge"), MOMENTS),
    ),
    min_size=1,
    max_size=12,
)


@given(steps=STEPS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_whatever_comes_in_whatever_order_the_sums_are_those_of_all_calls(engine, make_row, steps) -> None:
    await clear(engine)
    rows: list[LedgerRow] = []
    for what, argument in steps:
        if what == "append":
            new = [
                make_row(len(rows) + number, **changes, status=status, error_kind=error_kind)
                for number, (changes, (status, error_kind)) in enumerate(argument)
            ]
            rows += new
            await append(engine, new)
        elif what == "roll up":
            await roll_up(engine, argument)
            # Hours behind this moment are exact; later ones may be there from an earlier run with a later moment.
            expected = naive(rows, argument)
            actual = await rolled_up(engine)
            assert {key: sums for key, sums in actual.items() if key[0] + HOUR_MS <= argument} == expected
        else:
            await purge_ledger(engine, argument)
    end = START + (HOURS + 1) * HOUR_MS
    await roll_up(engine, end)
    assert await rolled_up(engine) == naive(rows, end)
    assert await roll_up(engine, end) == 0
    assert await rolled_up(engine) == naive(rows, end)


async def test_the_hour_that_goes_on_is_untouched_and_a_second_run_does_nothing(engine, make_row) -> None:
    rows = [make_row(number, started_unix_ms=START + number * HOUR_MS // 4) for number in range(12)]
    await append(engine, rows)
    now = START + 2 * HOUR_MS + HOUR_MS // 2
    assert await roll_up(engine, now) == 2
    assert {key[0] for key in await rolled_up(engine)} == {START, START + HOUR_MS}
    assert await roll_up(engine, now) == 0
    assert await rolled_up(engine) == naive(rows, now)


async def test_a_late_row_is_in_the_next_roll_up_and_only_its_hour_is_summed_again(engine, make_row) -> None:
    rows = [make_row(number, started_unix_ms=START + number * HOUR_MS) for number in range(3)]
    await append(engine, rows)
    now = START + 3 * HOUR_MS
    assert await roll_up(engine, now) == 3
    late = make_row(99, started_unix_ms=START + HOUR_MS + 5, cost_nanousd=123)
    await append(engine, [late])
    assert await roll_up(engine, now) == 1
    assert await rolled_up(engine) == naive([*rows, late], now)


async def test_a_purge_takes_whole_hours_keeps_their_sums_and_takes_late_rows_along(engine, make_row) -> None:
    rows = [make_row(number, started_unix_ms=START + number * HOUR_MS // 2) for number in range(8)]
    await append(engine, rows)
    # In the middle of the third hour: that hour stays whole.
    assert await purge_ledger(engine, START + 2 * HOUR_MS + HOUR_MS // 2) == 4
    assert await ledger_rows(engine) == 4
    late = make_row(99, started_unix_ms=START + 7)
    await append(engine, [late])
    now = START + 4 * HOUR_MS
    await roll_up(engine, now)
    assert await ledger_rows(engine) == 4
    assert await rolled_up(engine) == naive([*rows, late], now)
    assert await purge_ledger(engine, START + 2 * HOUR_MS) == 0


async def test_runs_at_the_same_time_neither_double_nor_lose(engine, make_row) -> None:
    now = START + HOURS * HOUR_MS
    rows: list[LedgerRow] = []
    for batch in range(3):
        new = [
            make_row(1_000 * batch + number, started_unix_ms=START + number * HOUR_MS // 25, provider=f"p{number % 3}")
            for number in range(100)
        ]
        late = [make_row(1_000 * batch + 500 + number, started_unix_ms=START + number) for number in range(10)]
        await append(engine, new)
        await asyncio.gather(
            *(roll_up(engine, now) for _ in range(3)),
            *(purge_ledger(engine, START + (batch + 1) * HOUR_MS) for _ in range(2)),
            *(append(engine, [row]) for row in late),
        )
        rows += new + late
    await roll_up(engine, now)
    assert await rolled_up(engine) == naive(rows, now)


async def test_a_failure_in_the_middle_of_a_purge_leaves_everything_as_it_was(engine, make_row) -> None:
    rows = [make_row(number, started_unix_ms=START + number) for number in range(5)]
    await append(engine, rows)
    with pytest.raises(ZeroDivisionError):
        async with writing_alone(engine, HOURLY_COSTS) as connection:
            assert await bring_up_to_date(connection, START, purge=True) == 5
            raise ZeroDivisionError
    assert await ledger_rows(engine) == 5
    assert await rolled_up(engine) == {}


async def test_a_database_that_is_away_is_one_error() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    with pytest.raises(StoreUnavailableError):
        await roll_up(engine, START)
    with pytest.raises(StoreUnavailableError):
        await purge_ledger(engine, START)
    await engine.dispose()


async def clear(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(LEDGER))
        await connection.execute(delete(HOURLY_COSTS))
