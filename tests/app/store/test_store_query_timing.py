"""Each statement is one `QueryFinished`, and only statements on rows are."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from app.store.query_timing import classify
from app.store.schema import API_KEYS
from otel.events import QueryFinished

KEY = {
    "key_id": "key_1",
    "secret_sha256": "00",
    "secret_prefix": "gwz_",
    "name": "n",
    "plan": "p",
    "created_unix_ms": 1,
}


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("SELECT 1", "select"),
        ("  select\n1", "select"),
        ("(SELECT 1) UNION (SELECT 2)", "select"),
        ("/* hint; DELETE */ -- and UPDATE\nSELECT 1", "select"),
        ("VALUES (1)", "select"),
        ("INSERT INTO t SELECT * FROM u", "insert"),
        ("INSERT INTO t VALUES (1) RETURNING id", "insert"),
        ("REPLACE INTO t VALUES (1)", "insert"),
        ("UPDATE t SET a = 1", "update"),
        ("DELETE FROM t", "delete"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", "select"),
        ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", "select"),
        ("WITH a AS (SELECT 1), b(x) AS (SELECT ')' FROM \"odd)(\") INSERT INTO t SELECT * FROM b", "insert"),
        ("WITH RECURSIVE a AS MATERIALIZED (SELECT 1 /* ) update */) UPDATE t SET x = 1", "update"),
        ("with a as (select $$ ) delete $$) delete from t", "delete"),
        ("PRAGMA journal_mode", None),
        ("BEGIN IMMEDIATE", None),
        ("COMMIT", None),
        ("CREATE TABLE selection (x INTEGER)", None),
        ("EXPLAIN SELECT 1", None),
        ("SET statement_timeout = 1", None),
        ("WITH", None),
        ("-- nothing", None),
        ("", None),
    ],
)
def test_classification(statement, operation) -> None:
    assert classify(statement) == operation


@given(st.text(max_size=60), st.sampled_from(["", "WITH ", "with a as ("]))
def test_classification_takes_any_text(tail, head) -> None:
    assert classify(head + tail) in {"select", "insert", "update", "delete", None}


async def test_each_statement_is_counted_once_under_its_operation(engine, recorder) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(API_KEYS), KEY)
        await connection.execute(
            insert(API_KEYS), [KEY | {"key_id": f"k{n}", "secret_sha256": f"{n}"} for n in range(3)]
        )
        await connection.execute(update(API_KEYS).values(plan="q").returning(API_KEYS.c.key_id))
        await connection.execute(select(select(API_KEYS).cte("found")))
        await connection.execute(text("SELECT count(*) FROM api_keys"))
        await connection.execute(delete(API_KEYS))
        await connection.execute(text("CREATE TABLE extra (x INTEGER)"))
    async with engine.connect() as connection:
        await connection.exec_driver_sql("SELECT 1")
        await connection.rollback()
    assert [finished.operation for finished in recorder.events] == [
        *("insert", "insert", "update", "select", "select", "delete", "select"),
    ]
    assert all(0 < finished.duration_seconds < 60 for finished in recorder.of(QueryFinished))
    assert {(finished.database, finished.error_type) for finished in recorder.events} == {(engine.dialect.name, None)}


async def test_a_statement_that_fails_is_counted_once(engine, recorder) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text("DELETE FROM no_such_table"))
    with contextlib.suppress(DBAPIError):
        async with engine.begin() as connection:
            await connection.execute(insert(API_KEYS), [KEY, KEY])
    assert [finished.operation for finished in recorder.events] == ["delete", "insert"]
    error_types = [finished.error_type for finished in recorder.events]
    if engine.dialect.name == "sqlite":
        assert error_types == ["OperationalError", "IntegrityError"]
    assert all(error_types)


async def test_a_statement_that_is_cancelled_is_counted_once_with_its_time(engine, recorder) -> None:
    slow = "SELECT pg_sleep(20)"
    if engine.dialect.name == "sqlite":
        slow = (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 6000000) SELECT count(*) FROM c"
        )

    async def run() -> None:
        async with engine.connect() as connection:
            await connection.execute(text(slow))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await run()
    (finished,) = recorder.events
    assert finished.operation == "select"
    assert finished.duration_seconds > 0.1


async def test_a_failure_after_the_statement_does_not_count_it_again(engine, recorder) -> None:
    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def fail(_conn, _cursor, statement, *_: object) -> None:
        if statement.startswith("SELECT"):
            raise RuntimeError("somebody's hook")

    async with engine.connect() as connection:
        with pytest.raises(RuntimeError):
            await connection.execute(text("SELECT 1"))
    assert [finished.operation for finished in recorder.events] == ["select"]
