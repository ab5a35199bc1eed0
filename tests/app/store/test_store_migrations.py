"""The migrations lead to the schema of the code, all or nothing, whoever runs them."""

import asyncio
import logging
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from app.gateway.ports import LedgerRow
from app.store.database import (
    DatabaseOpenError,
    create_engine,
    migrate,
    migration_config,
    newest_revision,
    open_database,
)
from app.store.schema import LEDGER, METADATA
from app.store.sqlite import prepare_file
from otel.recording.noop import DisabledRecorder


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, METADATA))


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_a_migrated_database_is_the_schema_of_the_code(engine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == newest_revision()


async def test_comparing_finds_a_difference_where_there_is_one(engine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE ledger ADD COLUMN surplus INTEGER"))
    async with engine.connect() as connection:
        assert [difference[0] for difference in await connection.run_sync(_differences)] == ["remove_column"]


def test_ledger_columns_are_the_fields_of_a_row_in_order() -> None:
    assert tuple(LEDGER.c.keys()) == LedgerRow.__struct_fields__


async def test_migrating_again_changes_nothing(engine, recorder) -> None:
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    assert {event.operation for event in recorder.events if hasattr(event, "operation")} == {"select"}


async def test_processes_that_start_together_wait_for_each_other(database_url) -> None:
    engines = [create_engine(database_url, DisabledRecorder()) for _ in range(5)]
    try:
        await asyncio.gather(*(migrate(engine) for engine in engines))
        async with engines[0].connect() as connection:
            assert (await connection.scalars(text("SELECT version_num FROM alembic_version"))).all() == [
                newest_revision()
            ]
    finally:
        for engine in engines:
            await engine.dispose()


async def test_a_migration_that_fails_leaves_nothing_behind(database_url) -> None:
    engine = create_engine(database_url, DisabledRecorder())
    if engine.dialect.name == "sqlite":
        prepare_file(engine)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE ledger (somebody_elses INTEGER)"))
        with pytest.raises(DatabaseOpenError, match=r"ledger.*already exists"):
            await migrate(engine)
        async with engine.connect() as connection:
            assert await connection.run_sync(_tables) == {"ledger"}
    finally:
        await engine.dispose()


async def test_a_database_of_a_newer_version_is_refused_in_one_line(engine, database_url) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseOpenError, match=r"9999.*newer version") as caught:
        await open_database(database_url, DisabledRecorder())
    assert "\n" not in str(caught.value)


async def test_the_way_back_and_forth_again(engine) -> None:
    def downgrade(connection: Connection) -> None:
        config = migration_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    async with engine.begin() as connection:
        await connection.run_sync(downgrade)
    async with engine.connect() as connection:
        assert await connection.run_sync(_tables) == {"alembic_version"}
    await migrate(engine)
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_logging_stays_as_the_application_set_it_up(sqlite_url) -> None:
    mine = logging.getLogger("test.before.migration")
    before = (logging.root.level, list(logging.root.handlers), mine.disabled)
    engine = await open_database(sqlite_url, DisabledRecorder())
    await engine.dispose()
    assert (logging.root.level, list(logging.root.handlers), mine.disabled) == before
