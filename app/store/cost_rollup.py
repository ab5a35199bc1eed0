"""Sums the ledger into one row per hour, provider, model and plan in `hourly_costs`, exactly.

An hour is summed again from its rows whenever the ledger has another number of rows for it than the
rollup. So repeated, simultaneous and late runs give the same result. The rows of a purged hour
(`app/store/retention.py`) are gone: later rows of it are added to its sums and purged with them.
The daily sums of a day go with the first row that leaves its ledger (`app/store/daily_usage.py`).
"""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.gateway.fault import CALLER_KINDS
from app.store.database import database_errors
from app.store.schema import DAILY_USAGE, HOURLY_COSTS, LEDGER
from app.store.transactions import reading_one_moment, writing_alone
from app.store.upsert import insert_into

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

SUCCEEDED: Final[ColumnElement[bool]] = LEDGER.c.status == "success"
FAILED: Final[ColumnElement[bool]] = and_(
    LEDGER.c.status == "error", or_(LEDGER.c.error_kind.is_(None), LEDGER.c.error_kind.not_in(sorted(CALLER_KINDS)))
)
"""An error that the caller did not cause. A call whose client left is neither this nor a success."""

_SUMMED: Final = (
    "input_tokens",
    "output_tokens",
    "cost_nanousd",
    "credits_nanousd",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "unpriced_tokens",
    "exposure_nanousd",
)
SOURCES: Final = ("reported", "priced", "estimated")
"""The sources of which the cost has a sum of its own; the rest is the cost of calls that are unpriced in part."""

SUMS: Final[dict[str, ColumnElement[Any]]] = {
    "calls": func.count(),
    "successes": func.sum(case((SUCCEEDED, 1), else_=0)),
    "failures": func.sum(case((FAILED, 1), else_=0)),
    **{name: func.sum(LEDGER.c[name]) for name in _SUMMED},
    **{
        f"{source}_cost_nanousd": func.sum(case((LEDGER.c.cost_source == source, LEDGER.c.cost_nanousd), else_=0))
        for source in SOURCES
    },
}
"""Every sum of the rollup, over rows of the ledger."""
PROVIDER: Final = func.coalesce(LEDGER.c.provider, literal_column("''"))


def period_column(moment: ColumnElement[int], period_ms: int) -> ColumnElement[Any]:
    """Return the start of the hour or day, as long as `period_ms`, that each moment of a column is in."""
    # The constant is written out: PostgreSQL does not recognise two parameters of one value as the same in GROUP BY.
    return moment - moment % literal_column(str(period_ms), BigInteger)


def hour_of(unix_ms: int) -> int:
    """Return the start of the hour that a moment is in."""
    return unix_ms - unix_ms % HOUR_MS


def day_of(unix_ms: int) -> int:
    """Return the start of the day, UTC, that a moment is in."""
    return unix_ms - unix_ms % DAY_MS


async def roll_up(
    engine: AsyncEngine, now_unix_ms: int, progress: Callable[[int, int], None] = lambda _done, _of: None
) -> int:
    """Sum again every hour that has ended and has changed, the oldest first; returns how many.

    Each hour is a transaction of its own; after it `progress` gets the hours that are done and all of
    them. Raises `StoreUnavailableError`; the hours before the failure are committed.
    """
    with database_errors():
        hours = await _hours_to_sum(engine, hour_of(now_unix_ms))
        for done, hour in enumerate(hours, 1):
            async with writing_alone(engine, HOURLY_COSTS) as connection:
                await bring_up_to_date(connection, hour, purge=False)
            progress(done, len(hours))
    return len(hours)


async def _hours_to_sum(engine: AsyncEngine, before_unix_ms: int) -> list[int]:
    """Return, in order, the hours of which ledger and rollup have different numbers of calls. Counts over the ledger's index."""
    hour = period_column(LEDGER.c.started_unix_ms, HOUR_MS)
    counted = select(hour, func.count()).where(LEDGER.c.started_unix_ms < before_unix_ms).group_by(hour)
    summed = (
        select(HOURLY_COSTS.c.hour_unix_ms, func.sum(HOURLY_COSTS.c.calls))
        .where(not_(HOURLY_COSTS.c.ledger_purged))
        .group_by(HOURLY_COSTS.c.hour_unix_ms)
    )
    async with reading_one_moment(engine) as connection:
        in_ledger = {int(hour): int(calls) for hour, calls in await connection.execute(counted)}
        in_rollup = {int(hour): int(calls) for hour, calls in await connection.execute(summed)}
    return sorted(hour for hour, calls in in_ledger.items() if in_rollup.get(hour) != calls)


async def bring_up_to_date(connection: AsyncConnection, hour_unix_ms: int, *, purge: bool) -> int:
    """Make the sums of one hour equal to its calls; returns how many rows left the ledger.

    Inside `writing_alone`. With `purge` the hour's rows are deleted from the ledger, exactly those that are in the sums.
    """
    is_purged = bool(
        await connection.scalar(
            select(func.count()).where(HOURLY_COSTS.c.hour_unix_ms == hour_unix_ms, HOURLY_COSTS.c.ledger_purged)
        )
    )
    if not is_purged:
        await connection.execute(delete(HOURLY_COSTS).where(HOURLY_COSTS.c.hour_unix_ms == hour_unix_ms))
    gone = purge or is_purged
    insert = insert_into(connection.dialect, HOURLY_COSTS).from_select(
        ["hour_unix_ms", "provider", "model", "plan", *SUMS, "ledger_purged"], _sums_of(hour_unix_ms, gone)
    )
    added = {name: HOURLY_COSTS.c[name] + insert.excluded[name] for name in SUMS}
    await connection.execute(
        insert.on_conflict_do_update(index_elements=["hour_unix_ms", "provider", "model", "plan"], set_=added)
    )
    if not gone:
        return 0
    deleted = await connection.execute(delete(LEDGER).where(_in_hour(hour_unix_ms)))
    await connection.execute(delete(DAILY_USAGE).where(DAILY_USAGE.c.day_unix_ms == day_of(hour_unix_ms)))
    return int(deleted.rowcount)


def _sums_of(hour_unix_ms: int, gone: bool) -> Select[Any]:
    keys = (PROVIDER, LEDGER.c.model, LEDGER.c.plan)
    return (
        select(literal(hour_unix_ms, BigInteger), *keys, *SUMS.values(), literal(gone, Boolean))
        .where(_in_hour(hour_unix_ms))
        .group_by(*keys)
    )


def _in_hour(hour_unix_ms: int) -> ColumnElement[bool]:
    return and_(LEDGER.c.started_unix_ms >= hour_unix_ms, LEDGER.c.started_unix_ms < hour_unix_ms + HOUR_MS)
