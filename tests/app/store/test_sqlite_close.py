"""A connection that is closed inside a statement keeps no lock, whoever still holds its cursor."""

import sqlite3

import pytest

from app.store.sqlite import sqlite_connect_args


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "gateway.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE numbers (number INTEGER)")
        connection.executemany("INSERT INTO numbers VALUES (?)", [(number,) for number in range(10)])
    connection.close()
    return path


@pytest.fixture(params=["close", "stop"])
def end(request):
    async def close(connection) -> None:
        await connection.close()

    async def stop(connection) -> None:
        await connection.stop()

    return {"close": close, "stop": stop}[request.param]


async def connect(path):
    return await sqlite_connect_args()["async_creator_fn"](str(path), isolation_level=None)


async def test_a_write_with_rows_still_to_fetch_ends_with_its_connection(path, end) -> None:
    connection = await connect(path)
    cursor = await connection.cursor()
    await cursor.execute("BEGIN")
    await cursor.execute("INSERT INTO numbers VALUES (10) RETURNING number")
    await end(connection)
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert other.execute("SELECT count(*) FROM numbers").fetchone() == (10,)
    other.close()
    del cursor  # until here, as a traceback would hold it


async def test_a_read_with_rows_still_to_fetch_does_not_keep_the_log_from_being_emptied(path, end) -> None:
    connection = await connect(path)
    cursor = await connection.cursor()
    await cursor.execute("SELECT number FROM numbers")
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    other.execute("INSERT INTO numbers VALUES (10)")
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 1
    await end(connection)
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()
    del cursor
