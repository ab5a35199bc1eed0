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
from app.store.schema import HOURLY_COSTS, LEDGER, METADATA
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


async def test_a_database_of_the_version_before_keeps_its_rows(database_url) -> None:
    """Rows written before the columns for details and sources existed: what was known of them stays, nothing is made up."""
    engine = create_engine(database_url, DisabledRecorder())
    if engine.dialect.name == "sqlite":
        prepare_file(engine)

    def upgrade_to_0002(connection: Connection) -> None:
        config = migration_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")

    columns = (
        "call_id, started_unix_ms, trace_id, key_id, plan, operation, model, provider, status, stream, cached, attempts,"
        " input_tokens, output_tokens, usage_estimated, cost_nanousd, credits_nanousd, duration_ms"
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(upgrade_to_0002)
            for call_id, estimated, cost in (("a", "false", 3_900), ("b", "true", 450), ("c", "false", 0)):
                await connection.execute(
                    text(
                        f"INSERT INTO ledger ({columns}) VALUES ('{call_id}', 1700000000000, 't', 'k', 'free', 'chat', 'm',"  # noqa: S608
                        f" 'p', 'success', false, false, 1, 10, 4, {estimated}, {cost}, {cost}, 7)"
                    )
                )
            await connection.execute(
                text(
                    "INSERT INTO hourly_costs VALUES (1699999200000, 'p', 'm', 'free', 3, 3, 0, 30, 12, 4350, 4350, true)"
                )
            )
        await migrate(engine)
        async with engine.connect() as connection:
            assert await connection.run_sync(_differences) == []
            rows = (await connection.execute(LEDGER.select().order_by(LEDGER.c.call_id))).mappings().all()
            hours = (await connection.execute(HOURLY_COSTS.select())).mappings().all()
    finally:
        await engine.dispose()
    assert [(row["cost_nanousd"], row["cost_source"]) for row in rows] == [
        (3_900, "priced"),
        (450, "estimated"),
        (0, None),
    ]
    added = ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "input_audio_tokens", "output_audio_tokens")
    for row in rows:
        assert [row[name] for name in (*added, "unpriced_tokens", "exposure_nanousd")] == [0] * 7
        assert row["reported_nanousd"] is None
        assert (row["input_tokens"], row["output_tokens"], row["duration_ms"]) == (10, 4, 7)
    assert [(row["calls"], row["cost_nanousd"], row["exposure_nanousd"], row["ledger_purged"]) for row in hours] == [
        (3, 4_350, 0, True)
    ]


async def test_logging_stays_as_the_application_set_it_up(sqlite_url) -> None:
    mine = logging.getLogger("test.before.migration")
    before = (logging.root.level, list(logging.root.handlers), mine.disabled)
    engine = await open_database(sqlite_url, DisabledRecorder())
    await engine.dispose()
    assert (logging.root.level, list(logging.root.handlers), mine.disabled) == before
