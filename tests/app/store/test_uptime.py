"""Uptime and tokens per model are the naive counts over all calls, however much of the ledger is rolled up or purged."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from app.errors import StoreUnavailableError
from app.store.cost_rollup import HOUR_MS, hour_of, roll_up
from app.store.database import create_engine
from app.store.retention import purge_ledger
from app.store.schema import HOURLY_COSTS, LEDGER
from app.store.uptime import WINDOW_MS, ModelUsage, ModelUsageReader
from otel.recording.noop import DisabledRecorder

NOW = hour_of(1_700_000_000_000) + HOUR_MS // 3
OLDEST = NOW - 2 * WINDOW_MS
ENDS = st.sampled_from(
    [("success", None), ("error", None), ("error", "idle_timeout"), ("error", "upstream_4xx"), ("cancelled", None)]
)
EDGES = [
    NOW,
    NOW - WINDOW_MS,
    NOW - WINDOW_MS - 1,
    hour_of(NOW),
    hour_of(NOW) - 1,
    hour_of(NOW - WINDOW_MS) + HOUR_MS,
    hour_of(NOW - WINDOW_MS) + HOUR_MS - 1,
]
CALLS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from(EDGES), st.integers(OLDEST, NOW)),
        st.sampled_from(["small", "large"]),
        ENDS,
        st.integers(0, 1_000),
        st.integers(0, 1_000),
    ),
    max_size=20,
)


def naive(rows) -> dict[str, ModelUsage]:
    usage: dict[str, ModelUsage] = {}
    for row in rows:
        old = usage.get(row.model, ModelUsage())
        is_recent = row.started_unix_ms >= NOW - WINDOW_MS
        usage[row.model] = ModelUsage(
            successes=old.successes + (is_recent and row.status == "success"),
            failures=old.failures + (is_recent and row.status == "error" and row.error_kind != "upstream_4xx"),
            input_tokens=old.input_tokens + row.input_tokens,
            output_tokens=old.output_tokens + row.output_tokens,
        )
    return usage


async def append(engine, rows) -> None:
    if rows:
        async with engine.begin() as connection:
            await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row) for row in rows])


@given(calls=CALLS, rolled_up_at=st.integers(OLDEST, NOW), purged_at=st.integers(OLDEST, NOW - WINDOW_MS - HOUR_MS))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
async def test_the_counts_are_those_of_all_calls(engine, make_row, calls, rolled_up_at, purged_at) -> None:
    async with engine.begin() as connection:
        await connection.execute(delete(LEDGER))
        await connection.execute(delete(HOURLY_COSTS))
    rows = [
        make_row(
            number,
            started_unix_ms=started,
            model=model,
            status=status,
            error_kind=error_kind,
            input_tokens=taken,
            output_tokens=given_back,
        )
        for number, (started, model, (status, error_kind), taken, given_back) in enumerate(calls)
    ]
    await append(engine, rows)
    usage = ModelUsageReader(engine)
    assert await usage.read(NOW) == naive(rows)
    await roll_up(engine, rolled_up_at)
    assert await usage.read(NOW) == naive(rows)
    await purge_ledger(engine, purged_at)
    assert await usage.read(NOW) == naive(rows)
    # A restart: nothing is remembered.
    assert await ModelUsageReader(engine).read(NOW) == naive(rows)


async def test_a_late_row_counts_from_the_next_roll_up_on(engine, make_row) -> None:
    early = make_row(1, started_unix_ms=NOW - 5 * HOUR_MS)
    newer = make_row(2, started_unix_ms=NOW - 2 * HOUR_MS)
    await append(engine, [early, newer])
    await roll_up(engine, NOW)
    usage = ModelUsageReader(engine)
    assert await usage.read(NOW) == naive([early, newer])
    late = make_row(3, started_unix_ms=NOW - 5 * HOUR_MS + 1, status="error")
    very_late = make_row(4, started_unix_ms=NOW - 2 * WINDOW_MS, input_tokens=1_000)
    await append(engine, [late, very_late])
    await roll_up(engine, NOW)
    assert await usage.read(NOW) == naive([early, newer, late])
    assert (await usage.read(NOW))["small"].uptime == pytest.approx(2 / 3)
    next_hour = await usage.read(NOW + HOUR_MS)
    assert next_hour == naive([early, newer, late, very_late])


def test_what_cannot_be_divided_is_unknown() -> None:
    assert ModelUsage(input_tokens=5).uptime is None
    assert ModelUsage(failures=2).uptime == 0.0
    assert ModelUsage(successes=3, failures=1).uptime == 0.75
    assert ModelUsage(output_tokens=5).token_efficiency is None
    assert ModelUsage(input_tokens=4, output_tokens=1).token_efficiency == 0.25


async def test_a_database_that_is_away_is_one_error() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    with pytest.raises(StoreUnavailableError):
        await ModelUsageReader(engine).read(NOW)
    await engine.dispose()
