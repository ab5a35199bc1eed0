"""The kinds of transactions of the store, in both databases.

Each commits at the end, and is rolled back by an exception. In SQLite one connection writes at a time, and those that wait only look
from time to time whether they may: under load the unlucky one would fail. So the writers of one engine take turns in the order in
which they came, and what SQLite itself waits for is another process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_TURN: Final = "gatewayz_writer_turn"


def with_writer_turns(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine with a turn for its writers, which it needs for SQLite; of one event loop."""
    return engine.execution_options(**{_TURN: asyncio.Lock()})


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Write after the other writers of this engine that came before; in PostgreSQL beside them."""
    turn: AbstractAsyncContextManager[None] = engine.get_execution_options().get(_TURN, nullcontext())
    async with turn, engine.begin() as connection:
        yield connection


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
    async with writing(_options(engine, "BEGIN IMMEDIATE")) as connection:
        if engine.dialect.name == "postgresql":
            # Before any other statement: the moment that the transaction sees is that of the first query.
            await connection.execute(text(f"LOCK TABLE {table.name} IN EXCLUSIVE MODE"))
        yield connection


def _options(engine: AsyncEngine, sqlite_begin: str) -> AsyncEngine:
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine.execution_options(sqlite_begin=sqlite_begin)
