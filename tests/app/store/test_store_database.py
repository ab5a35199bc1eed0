"""Opening a database: what it promises, and what it says when it cannot."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

import app.store.database
import app.store.sqlite
from app.errors import StoreUnavailableError
from app.store.database import DatabaseOpenError, check_database, close_database, create_engine, open_database
from app.store.sqlite import is_locked, prepare_file
from otel.recording.noop import DisabledRecorder


async def test_sqlite_is_set_up_to_keep_what_it_committed(sqlite_url) -> None:
    engine = await open_database(sqlite_url, DisabledRecorder())
    async with engine.connect() as connection:
        settings = {
            name: await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    await engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 2_000}


async def test_transactions_one_after_the_other_use_one_of_several_connections(sqlite_url) -> None:
    engine = await open_database(sqlite_url, DisabledRecorder())
    async with AsyncExitStack() as at_once:
        for _ in range(3):
            await at_once.enter_async_context(engine.connect())
    used = set()
    for _ in range(6):
        async with engine.connect() as connection:
            used.add((await connection.get_raw_connection()).driver_connection)
    await engine.dispose()
    assert len(used) == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "looks like sqlite\\+aiosqlite:///file.db"),
        ("mysql+aiomysql://u:secret@127.0.0.1/x", "needs the package aiomysql"),
        ("postgresql+asyncpg://u:secret@127.0.0.1:1/x", "cannot be opened: .*127.0.0.1"),
        ("sqlite+aiosqlite:////nowhere/at/all/x.db", "cannot be opened: there is no folder /nowhere/at/all$"),
        ("sqlite+aiosqlite:////", "cannot be opened: it is a folder"),
    ],
)
async def test_a_url_that_does_not_work_is_one_line_without_its_password(url, says) -> None:
    with pytest.raises(DatabaseOpenError, match=says) as caught:
        await open_database(url, DisabledRecorder())
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is a text file, not a database\n" * 100)
    with pytest.raises(DatabaseOpenError, match="file is not a database"):
        await open_database(f"sqlite+aiosqlite:///{tmp_path}/x.db", DisabledRecorder())


async def test_a_file_that_cannot_be_written_is_refused(tmp_path) -> None:
    # A file without permission would be no hindrance to root, under whom tests may run.
    engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/x.db", DisabledRecorder())
    await engine.dispose()
    with pytest.raises(DatabaseOpenError, match="cannot be opened: attempt to write a readonly database"):
        await open_database(f"sqlite+aiosqlite:///file:{tmp_path}/x.db?mode=ro&uri=true", DisabledRecorder())


async def test_a_file_that_somebody_else_holds_is_refused_after_a_wait(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(app.store.sqlite, "START_SECONDS", 0.1)
    engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/x.db", DisabledRecorder())
    await engine.dispose()
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DatabaseOpenError, match="cannot be opened: database is locked"):
        await open_database(f"sqlite+aiosqlite:///{tmp_path}/x.db", DisabledRecorder())
    holder.close()


@pytest.mark.parametrize("while_it", ["opens the file", "migrates"])
async def test_a_start_waits_for_another_one_however_short_a_statement_waits(tmp_path, monkeypatch, while_it) -> None:
    monkeypatch.setattr(app.store.sqlite, "SQLITE_BUSY_SECONDS", 0.0)
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    refusals = []

    def release(error):
        refusals.append(error)
        if len(refusals) == 3:
            holder.execute("ROLLBACK")
        return is_locked(error)

    def prepare_and_hold(engine):
        prepare_file(engine)
        holder.execute("BEGIN IMMEDIATE")

    if while_it == "opens the file":
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(app.store.sqlite, "is_locked", release)
    else:
        monkeypatch.setattr(app.store.database, "prepare_file", prepare_and_hold)
        monkeypatch.setattr(app.store.database, "is_locked", release)
    engine = await open_database(f"sqlite+aiosqlite:///{tmp_path}/x.db", DisabledRecorder())
    assert len(refusals) == 3
    await engine.dispose()
    holder.close()


async def test_readiness_tells_a_working_database_from_one_that_is_away(engine) -> None:
    await check_database(engine)
    away = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    with pytest.raises(StoreUnavailableError):
        await check_database(away)
    await away.dispose()


@pytest.mark.live
async def test_connections_that_a_server_cut_are_replaced(postgresql) -> None:
    engine = await open_database(postgresql.new_database(), DisabledRecorder())
    try:
        await check_database(engine)
        postgresql.stop()
        try:
            with pytest.raises(StoreUnavailableError):
                await check_database(engine)
        finally:
            postgresql.start()
        await check_database(engine)
    finally:
        await engine.dispose()


@pytest.mark.live
async def test_a_server_that_restarted_unnoticed_costs_no_request(postgresql) -> None:
    engine = await open_database(postgresql.new_database(), DisabledRecorder())
    try:
        postgresql.stop()
        postgresql.start()
        await check_database(engine)
    finally:
        await engine.dispose()


async def test_a_server_that_is_stopped_does_not_keep_the_database_open(postgresql) -> None:
    engine = await open_database(postgresql.new_database(), DisabledRecorder())
    postgresql.freeze()
    try:
        async with asyncio.timeout(10):
            await close_database(engine)
    finally:
        postgresql.thaw()


async def test_a_server_that_does_not_respond_is_named_as_the_reason(postgresql) -> None:
    url = postgresql.new_database()
    postgresql.freeze()
    try:
        with pytest.raises(DatabaseOpenError, match="cannot be opened: the server does not respond in time"):
            await open_database(url, DisabledRecorder())
    finally:
        postgresql.thaw()
