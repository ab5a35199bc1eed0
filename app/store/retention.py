"""Deletes the ledger's rows of old hours in the transaction that makes their sums final.

`hourly_costs` keeps every call.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.cost_rollup import HOUR_MS, bring_up_to_date, hour_of
from app.store.database import database_errors
from app.store.schema import HOURLY_COSTS, LEDGER
from app.store.transactions import writing_alone


async def purge_ledger(engine: AsyncEngine, before_unix_ms: int) -> int:
    """Delete the rows of every whole hour before a moment, the oldest hour first; returns how many rows went.

    Each hour is a transaction of its own, so that the ledger's writer never waits long, and a failure leaves whole hours.
    Raises `StoreUnavailableError`.
    """
    end = hour_of(before_unix_ms)
    deleted = 0
    with database_errors():
        while (hour := await _oldest_hour(engine)) is not None and hour + HOUR_MS <= end:
            async with writing_alone(engine, HOURLY_COSTS) as connection:
                deleted += await bring_up_to_date(connection, hour, purge=True)
    return deleted


async def _oldest_hour(engine: AsyncEngine) -> int | None:
    async with engine.connect() as connection:
        oldest = await connection.scalar(select(func.min(LEDGER.c.started_unix_ms)))
    return None if oldest is None else hour_of(int(oldest))
