"""The ledger's promises while the process lives: every row once, in groups, whatever the database does."""

import asyncio
import logging
import sqlite3
import time

import pytest
from sqlalchemy import event, text

from app.config.schema import LedgerConfig
from app.store.database import create_engine, open_database
from app.store.ledger import LedgerWriter
from otel.events import LedgerRowsDropped, QueryFinished
from otel.recording.noop import DisabledRecorder
from tests.harness.ledger_totals import ledger_totals

FAST = LedgerConfig(commit_seconds=0.02, commit_rows=500)


async def call_ids(engine) -> list[str]:
    async with engine.connect() as connection:
        return sorted((await connection.scalars(text("SELECT call_id FROM ledger"))).all())


def ids(count: int) -> list[str]:
    return sorted(f"call_{number}" for number in range(count))


async def test_rows_are_committed_in_one_group_when_their_time_has_come(engine, recorder, make_row, poll_until) -> None:
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=0.2), recorder)
    ledger.start()
    started = time.monotonic()
    for number in range(20):
        ledger.append(make_row(number))
        await asyncio.sleep(0)
    await poll_until(lambda: ledger.queued_rows == 0, "group committed")
    assert time.monotonic() - started >= 0.2
    assert [finished.operation for finished in recorder.of(QueryFinished)] == ["insert"]
    assert await call_ids(engine) == ids(20)
    assert await ledger.close(5) == 0


async def test_a_full_group_does_not_wait(engine, recorder, make_row, poll_until) -> None:
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=3_600, commit_rows=10), recorder)
    ledger.start()
    for number in range(35):
        ledger.append(make_row(number))
    await poll_until(lambda: ledger.queued_rows == 5, "three full groups committed")
    assert len(recorder.of(QueryFinished)) == 3
    for number in range(35, 40):
        ledger.append(make_row(number))
    await poll_until(lambda: ledger.queued_rows == 0, "the fourth group committed")
    assert await call_ids(engine) == ids(40)
    assert await ledger.close(5) == 0


async def test_closing_commits_what_waits(engine, recorder, make_row) -> None:
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=3_600, commit_rows=100), recorder)
    ledger.start()
    for number in range(1_234):
        ledger.append(make_row(number))
    assert await ledger.close(10) == 0
    assert await call_ids(engine) == ids(1_234)
    ledger.append(make_row(9_999))
    assert recorder.of(LedgerRowsDropped) == [LedgerRowsDropped(rows=1)]


async def test_every_field_comes_back_as_it_went_in(engine, recorder, make_row) -> None:
    plain = make_row(0)
    odd = make_row(
        1,
        provider=None,
        model="modèle \u4e2d 🙂",
        status="error",
        error_kind="stream_broken",
        stream=True,
        cached=True,
        usage_estimated=True,
        input_tokens=2**40,
        cost_nanousd=2**62,
        first_token_ms=0,
    )
    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    ledger.append(plain)
    ledger.append(odd)
    assert await ledger.close(5) == 0
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT * FROM ledger ORDER BY call_id"))).all()
    fields = plain.__struct_fields__
    assert [tuple(row) for row in rows] == [tuple(getattr(row, field) for field in fields) for row in (plain, odd)]


async def test_a_row_that_comes_twice_is_kept_once(engine, recorder, make_row) -> None:
    for _ in range(2):
        ledger = LedgerWriter(engine, FAST, recorder)
        ledger.start()
        ledger.append(make_row(0))
        ledger.append(make_row(1))
        ledger.append(make_row(0, cost_nanousd=1_000))
        assert await ledger.close(5) == 0
    assert [(total.calls, total.cost_nanousd) for total in await ledger_totals(engine)] == [(2, 14)]


async def test_a_commit_whose_response_was_lost_is_not_doubled(engine, recorder, make_row) -> None:
    lost = []

    @event.listens_for(engine.sync_engine, "commit")
    def commit_then_fail(connection) -> None:
        if not lost:
            lost.append(True)
            connection.exec_driver_sql("COMMIT")
            raise ConnectionResetError("the answer to COMMIT never came")

    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    for number in range(10):
        ledger.append(make_row(number))
    assert await ledger.close(10) == 0
    assert lost
    assert await call_ids(engine) == ids(10)
    assert len([each for each in recorder.of(QueryFinished) if each.operation == "insert"]) == 2


async def test_when_the_queue_is_full_the_newest_row_is_dropped_and_counted(engine, recorder, make_row, caplog) -> None:
    ledger = LedgerWriter(engine, LedgerConfig(commit_seconds=0.01, max_queued_rows=50), recorder)
    for number in range(80):
        ledger.append(make_row(number))
    assert ledger.queued_rows == 50
    assert sum(dropped.rows for dropped in recorder.of(LedgerRowsDropped)) == 30
    assert len(caplog.records) == 1
    ledger.start()
    assert await ledger.close(5) == 0
    assert await call_ids(engine) == ids(50)


@pytest.mark.parametrize(
    "refused",
    [{"cost_nanousd": 2**63}, {"attempts": [1]}, {"model": "half a character \ud800"}, {"trace_id": None}],
)
async def test_a_row_that_no_database_takes_holds_up_no_other(engine, recorder, make_row, caplog, refused) -> None:
    ledger = LedgerWriter(engine, FAST, recorder)
    for number in range(20):
        ledger.append(make_row(number))
        if number in {3, 11}:
            ledger.append(make_row(100 + number, **refused))
    ledger.start()
    assert await ledger.close(10) == 0
    assert await call_ids(engine) == ids(20)
    assert sum(dropped.rows for dropped in recorder.of(LedgerRowsDropped)) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "call_103" in caplog.text
    assert "small" not in caplog.text


async def test_rows_wait_while_another_process_holds_the_lock(  # noqa: PLR0917  fixtures
    sqlite_url, tmp_path, recorder, make_row, poll_until, caplog
) -> None:
    caplog.set_level(logging.INFO)
    engine = await open_database(sqlite_url, recorder)
    other = sqlite3.connect(tmp_path / "gatewayz.db", isolation_level=None)
    ledger = LedgerWriter(engine, FAST, recorder)
    try:
        other.execute("BEGIN IMMEDIATE")
        ledger.start()
        for number in range(100):
            ledger.append(make_row(number))
        await poll_until(lambda: "locked" in caplog.text, "the writer met the lock")
        assert ledger.queued_rows == 100
        other.execute("ROLLBACK")
        await poll_until(lambda: ledger.queued_rows == 0, "the rows are written after the lock")
        assert await call_ids(engine) == ids(100)
        assert [record.levelname for record in caplog.records if record.name == "app.store.ledger"] == ["WARNING"] * 2
    finally:
        other.close()
        assert await ledger.close(5) == 0
        await engine.dispose()


async def test_closing_while_the_database_hangs_ends_in_time_and_says_what_was_lost(
    sqlite_url, tmp_path, recorder, make_row, caplog
) -> None:
    engine = await open_database(sqlite_url, recorder)
    other = sqlite3.connect(tmp_path / "gatewayz.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    for number in range(7):
        ledger.append(make_row(number))
    started = time.monotonic()
    assert await ledger.close(0.3) == 7
    assert time.monotonic() - started < 5
    assert recorder.of(LedgerRowsDropped) == [LedgerRowsDropped(rows=7)]
    assert "7 rows lost" in caplog.text
    other.close()
    await engine.dispose()


@pytest.mark.parametrize("first", ["writer", "driver"])
async def test_a_hanging_database_does_not_keep_the_event_loop_from_ending(
    sqlite_url, tmp_path, recorder, make_row, first
) -> None:
    engine = await open_database(sqlite_url, recorder)
    other = sqlite3.connect(tmp_path / "gatewayz.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    others = asyncio.all_tasks()
    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    ledger.append(make_row(0))
    assert await ledger.close(0.2) == 1
    # What `asyncio.run` does at its end, in either order: cancel every task that is left, once, and wait for all of them.
    left = sorted(
        asyncio.all_tasks() - others, key=lambda task: (task.get_name() == "ledger writer") == (first != "writer")
    )
    assert len(left) == 2
    for task in left:
        task.cancel()
    try:
        done, pending = await asyncio.wait(left, timeout=10)
        assert (len(done), pending) == (2, set())
    finally:
        other.close()
        await engine.dispose()


async def test_a_database_that_never_responds_loses_nothing_before_the_end(make_row, recorder, caplog) -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    for number in range(5):
        ledger.append(make_row(number))
    assert await ledger.close(0.5) == 5
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    await engine.dispose()


@pytest.mark.live
async def test_rows_wait_while_the_server_is_away(postgresql, recorder, make_row, poll_until, caplog) -> None:
    engine = await open_database(postgresql.new_database(), recorder)
    ledger = LedgerWriter(engine, FAST, recorder)
    ledger.start()
    try:
        ledger.append(make_row(0))
        await poll_until(lambda: ledger.queued_rows == 0, "the first row committed")
        postgresql.stop()
        try:
            for number in range(1, 500):
                ledger.append(make_row(number))
            await poll_until(lambda: "the database fails" in caplog.text, "the writer noticed")
            assert ledger.queued_rows == 499
        finally:
            postgresql.start()
        for number in range(500, 600):
            ledger.append(make_row(number))
        await poll_until(lambda: ledger.queued_rows == 0, "the rows are written after the restart")
        assert await call_ids(engine) == ids(600)
        assert recorder.of(LedgerRowsDropped) == []
    finally:
        assert await ledger.close(5) == 0
        await engine.dispose()
