"""A file that cannot grow: telemetry is refused with Retry-After, reading goes on, and so does writing when there is room."""

import threading

import pytest

from console.store.records import Batch
from console.store.work import Work
from tests.harness.console import log_record, logs, open_console


def set_page_limit(console, pages):
    """Let the file have so many pages, in the writer's thread; SQLite reports a full disk at the next one."""
    done = threading.Event()

    def prepare():
        console.store._writer._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        return Batch("logs", None)

    assert console.store.submit(Work(0, prepare, lambda _: done.set()))
    assert done.wait(30)


@pytest.fixture
def console(tmp_path):
    with open_console(tmp_path) as opened:
        yield opened


async def test_a_full_disk_refuses_and_recovers(console):
    await console.send(logs(log_record("before")))
    set_page_limit(console, 1)  # as many as there are
    big = logs(log_record("x" * 100_000)).SerializeToString()
    for _ in range(3):
        response = await console.post("/v1/logs", big)
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert console.rows("SELECT message FROM log_records") == [("before",)]
    assert [line.partition(": ")[0] for line in console.lines] == [f"cannot write to {console.store.path}"]
    assert console.lines[0].endswith("database or disk is full; telemetry is refused until that is over")
    set_page_limit(console, 100_000)
    assert (await console.post("/v1/logs", big)).status_code == 200
    assert console.rows("SELECT count(*) FROM log_records") == [(2,)]
    assert console.lines[1:] == [f"writes to {console.store.path} again"]


async def test_one_request_that_does_not_fit_takes_no_other_with_it(console):
    await console.send(logs(log_record("before")))
    pages = console.rows("PRAGMA page_count")[0][0]
    gate, entered = threading.Event(), threading.Event()

    def wait():
        entered.set()
        gate.wait(30)
        return Batch("logs", None)

    set_page_limit(console, pages + 3)
    assert console.store.submit(Work(0, wait, lambda _: None))
    assert entered.wait(30)
    # Both wait for the same commit.
    import asyncio  # noqa: PLC0415  only here

    big = asyncio.create_task(console.post("/v1/logs", logs(log_record("x" * 200_000)).SerializeToString()))
    small = asyncio.create_task(console.post("/v1/logs", logs(log_record("small")).SerializeToString()))
    await asyncio.sleep(0)
    gate.set()
    assert (await big).status_code == 503
    assert (await small).status_code == 200
    assert console.rows("SELECT message FROM log_records ORDER BY id") == [("before",), ("small",)]
