"""Readers: a deadline for each query, a bounded number of connections, no writing."""

import sqlite3

import pytest

from console.store.readers import QueryTimeoutError, Readers
from tests.harness.console import open_console

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


def test_a_query_ends_at_its_deadline_and_the_connection_is_used_again(console):
    with pytest.raises(QueryTimeoutError, match="took more than"), console.store.readers.connection(0.05) as connection:
        connection.execute(ENDLESS).fetchall()
    assert console.rows("SELECT count(*) FROM spans") == [(0,)]


def test_many_short_statements_end_at_the_deadline_too(console):
    now = iter(range(1_000))
    readers = Readers(console.store.path, monotonic=lambda: next(now))
    with pytest.raises(QueryTimeoutError, match="took longer"), readers.connection(20) as connection:
        for _ in range(50):
            connection.execute("SELECT 1").fetchall()
    readers.close()


def test_a_caller_waits_for_a_free_reader_no_longer_than_its_deadline(console):
    readers = Readers(console.store.path, limit=1)
    with readers.connection(), pytest.raises(QueryTimeoutError, match="no reader was free"), readers.connection(0.01):
        pass
    readers.close()


def test_readers_cannot_write(console):
    with console.store.readers.connection() as connection:
        for sql in ("DELETE FROM spans", "CREATE TABLE t(a)", "PRAGMA user_version = 5"):
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                connection.execute(sql)


def test_a_connection_that_comes_back_after_the_end_is_closed(console):
    readers = Readers(console.store.path)
    with readers.connection() as connection:
        readers.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
