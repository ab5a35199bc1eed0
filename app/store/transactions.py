"""The two kinds of transactions that sums over a growing ledger need, in both databases.

Each commits at the end, and is rolled back by an exception.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


@asynccontextmanager
async def reading_one_moment(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Every statement sees the database as it was at the first one."""
    async with _options(engine, "BEGIN").begin() as connection:
        yield connection


@asynccontextmanager
async def writing_alone(engine: AsyncEngine, table: Table) -> AsyncIterator[AsyncConnection]:
    """No other connection writes to `table` meanwhile, and every statement sees the other tables as they were at the first one.

    Readers do not wait; in SQLite every other writer does.
    """
    async with _options(engine, "BEGIN IMMEDIATE").begin() as connection:
        if engine.dialect.name == "postgresql":
            # Before any other statement: the moment that the transaction sees is that of the first query.
            await connection.execute(text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))
        yield connection


def _options(engine: AsyncEngine, sqlite_begin: str) -> AsyncEngine:
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine.execution_options(sqlite_begin=sqlite_begin)
