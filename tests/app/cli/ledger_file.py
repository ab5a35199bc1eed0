"""A database file with rows in its ledger, as a gateway leaves it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import insert

from app.gateway.ports import LedgerRow
from app.store.database import close_database, open_database
from app.store.schema import LEDGER
from otel.recording.noop import DisabledRecorder


def ledger_file(folder: Path, rows: Sequence[LedgerRow]) -> str:
    """Make the file and return its URL."""
    url = f"sqlite+aiosqlite:///{folder}/g.db"

    async def fill() -> None:
        engine = await open_database(url, DisabledRecorder())
        async with engine.begin() as connection:
            await connection.execute(insert(LEDGER), [msgspec.structs.asdict(each) for each in rows])
        await close_database(engine)

    asyncio.run(fill())
    return url
