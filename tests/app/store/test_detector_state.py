"""What a detector has learned comes back as it was saved last."""

import asyncio

import pytest

from app.errors import StoreUnavailableError
from app.gateway.clock import ManualClock
from app.store.database import create_engine, open_database
from app.store.detector_state import StoredDetectorState
from otel.recording.noop import DisabledRecorder


async def test_the_newest_save_comes_back_also_after_a_restart(engine, database_url, clock) -> None:
    store = StoredDetectorState(engine, clock)
    assert await store.load("anomalies") is None
    await store.save("anomalies", '{"n": 1}')
    await store.save("other", "{}")
    large = '{"text": "' + "ü" * 200_000 + '"}'
    await store.save("anomalies", large)
    assert await store.load("anomalies") == large
    again = await open_database(database_url, DisabledRecorder())
    try:
        assert await StoredDetectorState(again, clock).load("anomalies") == large
    finally:
        await again.dispose()


async def test_instances_that_save_at_once_leave_one_of_their_states(engine, clock) -> None:
    store = StoredDetectorState(engine, clock)
    await asyncio.gather(*(store.save("anomalies", f"[{number}]") for number in range(8)))
    assert await store.load("anomalies") in {f"[{number}]" for number in range(8)}


async def test_a_database_that_is_away_is_one_error() -> None:
    engine = create_engine("postgresql+asyncpg://u@127.0.0.1:1/x", DisabledRecorder())
    store = StoredDetectorState(engine, ManualClock())
    with pytest.raises(StoreUnavailableError):
        await store.load("anomalies")
    with pytest.raises(StoreUnavailableError):
        await store.save("anomalies", "{}")
    await engine.dispose()
