"""Fixtures of the store's tests: real SQLite files, a real PostgreSQL server where it is installed, rows, polling."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.gateway.clock import ManualClock
from app.gateway.ports import LedgerRow
from app.store.database import open_database
from tests.harness.polling import DEADLINE_SECONDS, until
from tests.harness.recording import RecordingRecorder


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path}/gatewayz.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.live)])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return str(request.getfixturevalue("postgresql").new_database())


@pytest.fixture
def recorder() -> RecordingRecorder:
    return RecordingRecorder()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def engine(database_url: str, recorder: RecordingRecorder) -> AsyncIterator[AsyncEngine]:
    engine = await open_database(database_url, recorder)
    recorder.events.clear()
    yield engine
    await engine.dispose()


@pytest.fixture
def make_row() -> Callable[..., LedgerRow]:
    def make(number: int, **changes: Any) -> LedgerRow:
        values: dict[str, Any] = {
            "call_id": f"call_{number}",
            "started_unix_ms": 1_700_000_000_000 + number,
            "trace_id": f"{number:032x}",
            "key_id": "key_1",
            "plan": "free",
            "operation": "chat",
            "model": "small",
            "provider": "alpha",
            "status": "success",
            "error_kind": None,
            "stream": False,
            "cached": False,
            "attempts": 1,
            "input_tokens": 10,
            "output_tokens": 5,
            "usage_estimated": False,
            "cost_nanousd": 7,
            "credits_nanousd": 9,
            "duration_ms": 120,
            "first_token_ms": None,
        }
        return LedgerRow(**(values | changes))

    return make


@pytest.fixture
def poll_until() -> Callable[..., Any]:
    async def poll(check: Callable[[], bool], what: str, *, seconds: float = DEADLINE_SECONDS) -> None:
        await until(check, what, timeout_seconds=seconds)

    return poll
