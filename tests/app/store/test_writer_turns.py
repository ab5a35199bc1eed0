"""The writers of one process wait for each other, however long a disk takes; SQLite's own wait is for other processes."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

import app.store.sqlite
from app.gateway.clock import ManualClock
from app.store.cost_rollup import HOUR_MS, hour_of, roll_up
from app.store.daily_usage import sum_days
from app.store.database import close_database, open_database
from app.store.detector_state import StoredDetectorState
from app.store.keys import ApiKeys
from app.store.leases import StoredLeases
from app.store.retention import purge_ledger
from app.store.schema import LEDGER
from app.store.transactions import writing

START = hour_of(1_700_000_000_000)
HOURS = 30
END = START + 2 * HOURS * HOUR_MS


@pytest.fixture
async def impatient(sqlite_url, recorder, monkeypatch) -> AsyncIterator[AsyncEngine]:
    """An engine with SQLite that does not wait: a second writer at the same time fails at once."""
    monkeypatch.setattr(app.store.sqlite, "SQLITE_BUSY_SECONDS", 0.0)
    engine = await open_database(sqlite_url, recorder)
    yield engine
    await close_database(engine)


async def test_two_writers_without_turns_fail(impatient) -> None:
    async with writing(impatient) as first:
        await first.execute(LEDGER.delete())
        with pytest.raises(OperationalError, match="locked"):
            async with impatient.begin() as second:
                await second.execute(LEDGER.delete())


async def test_every_writer_of_the_process_takes_its_turn(impatient, make_row) -> None:
    async def append(number: int) -> None:
        row = make_row(number, started_unix_ms=START + number * HOUR_MS)
        async with writing(impatient) as connection:
            await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row)])

    numbers = iter(range(1_000))
    keys = ApiKeys(impatient, ManualClock(), lambda count: next(numbers).to_bytes(count))
    leases = StoredLeases(impatient)
    state = StoredDetectorState(impatient, ManualClock())
    lease = {"expires_unix_ms": END, "free_if_expired_unix_ms": START}
    await asyncio.gather(
        *(append(number) for number in range(HOURS)),
        *(roll_up(impatient, END) for _ in range(3)),
        *(sum_days(impatient, END) for _ in range(3)),
        purge_ledger(impatient, START + HOUR_MS),
        *(keys.create(name=f"desk {number}", plan="free") for number in range(5)),
        *(leases.acquire(f"lease {number}", "here", **lease) for number in range(5)),
        *(leases.release(f"lease {number}", "here") for number in range(5)),
        *(state.save("breaker", str(number)) for number in range(5)),
    )
    created = await keys.list_all()
    await asyncio.gather(*(keys.revoke(key.key_id) for key in created))
    assert [key.revoked_unix_ms is not None for key in await keys.list_all()] == [True] * 5


async def test_a_writer_that_is_cancelled_or_fails_gives_its_turn_back(impatient) -> None:
    held = asyncio.Event()

    async def hold() -> None:
        async with writing(impatient) as connection:
            await connection.execute(LEDGER.delete())
            held.set()
            await asyncio.Event().wait()

    holder = asyncio.create_task(hold())
    await held.wait()
    waiter = asyncio.create_task(hold())
    next_one = asyncio.create_task(StoredDetectorState(impatient, ManualClock()).save("breaker", "closed"))
    await asyncio.sleep(0)
    assert not next_one.done()
    waiter.cancel()
    holder.cancel()
    await next_one
    with pytest.raises(ZeroDivisionError):
        async with writing(impatient):
            raise ZeroDivisionError
    assert await StoredDetectorState(impatient, ManualClock()).load("breaker") == "closed"
    async with asyncio.timeout(15):
        await StoredDetectorState(impatient, ManualClock()).save("breaker", "open")
