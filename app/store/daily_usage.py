"""Sums the ledger into one row per day, key, provider, model, plan and tags in `daily_usage`, exactly.

A day is summed again from its rows whenever the ledger has another number of rows for it. Unlike the
hourly sums these go with the ledger's rows: whatever purges a row deletes the sums of its day, and
the next run sums what is left. So a row that goes and one that comes do not look like no change.
"""

from collections.abc import Callable
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.store.cost_rollup import DAY_MS, PROVIDER, SUMS, day_of, period_column
from app.store.database import database_errors
from app.store.schema import DAILY_USAGE, HOURLY_COSTS, LEDGER
from app.store.transactions import reading_one_moment, writing_alone

_TAGS: Final = func.coalesce(LEDGER.c.tags, literal_column("''"))
_GROUPS: Final = (LEDGER.c.key_id, PROVIDER, LEDGER.c.model, LEDGER.c.plan, _TAGS)
_COLUMNS: Final = ("key_id", "provider", "model", "plan", "tags", *SUMS)


async def sum_days(
    engine: AsyncEngine, now_unix_ms: int, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> int:
    """Sum again every day that has ended and has changed, the oldest first; returns how many.

    The sums are read without a lock; only their rows are written under one, so that the ledger's writer
    never waits for a day's sums. `progress` gets the days that are done and all of them. Raises
    `StoreUnavailableError`; the days before the failure are committed.
    """
    with database_errors():
        days = await _days_to_sum(engine, day_of(now_unix_ms))
        for done, day in enumerate(days, 1):
            await _sum_again(engine, day)
            progress(done, len(days))
    return len(days)


async def _days_to_sum(engine: AsyncEngine, before_unix_ms: int) -> list[int]:
    """Return, in order, the days of which the ledger and the sums have different numbers of calls."""
    day = period_column(LEDGER.c.started_unix_ms, DAY_MS)
    counted = select(day, func.count()).where(LEDGER.c.started_unix_ms < before_unix_ms).group_by(day)
    summed = select(DAILY_USAGE.c.day_unix_ms, func.sum(DAILY_USAGE.c.calls)).group_by(DAILY_USAGE.c.day_unix_ms)
    async with reading_one_moment(engine) as connection:
        in_ledger = {int(start): int(calls) for start, calls in await connection.execute(counted)}
        in_sums = {int(start): int(calls) for start, calls in await connection.execute(summed)}
    return sorted(start for start in in_ledger.keys() | in_sums.keys() if in_ledger.get(start) != in_sums.get(start))


async def _sum_again(engine: AsyncEngine, day_unix_ms: int) -> None:
    query = select(*_GROUPS, *SUMS.values()).where(_in_day(LEDGER.c.started_unix_ms, day_unix_ms)).group_by(*_GROUPS)
    async with reading_one_moment(engine) as connection:
        purged = await _purged_calls(connection, day_unix_ms)
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in await connection.execute(query)]
    async with writing_alone(engine, HOURLY_COSTS) as connection:
        if await _purged_calls(connection, day_unix_ms) != purged:
            return  # a purge came between: the next run sums what is left
        await connection.execute(delete(DAILY_USAGE).where(DAILY_USAGE.c.day_unix_ms == day_unix_ms))
        if rows:
            await connection.execute(insert(DAILY_USAGE), [{"day_unix_ms": day_unix_ms, **row} for row in rows])


async def _purged_calls(connection: AsyncConnection, day_unix_ms: int) -> int:
    """Return how many calls of the day left the ledger, which never falls."""
    of_day = and_(_in_day(HOURLY_COSTS.c.hour_unix_ms, day_unix_ms), HOURLY_COSTS.c.ledger_purged)
    return int(await connection.scalar(select(func.sum(HOURLY_COSTS.c.calls)).where(of_day)) or 0)


def _in_day(moment: ColumnElement[int], day_unix_ms: int) -> ColumnElement[bool]:
    return and_(moment >= day_unix_ms, moment < day_unix_ms + DAY_MS)
