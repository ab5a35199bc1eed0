"""Stores what a detector has learned over restarts: one text per name in the table `detector_state`.

Only the detector interprets the text. Raises `StoreUnavailableError` when the database fails.
"""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.gateway.ports import Clock
from app.store.database import database_errors
from app.store.schema import DETECTOR_STATE
from app.store.transactions import writing
from app.store.upsert import insert_into


class StoredDetectorState:
    """Loads and saves; the last save wins, also between instances."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def load(self, name: str) -> str | None:
        """Return what was saved last under `name`, None before the first save."""
        query = select(DETECTOR_STATE.c.state).where(DETECTOR_STATE.c.name == name)
        with database_errors():
            async with self._engine.connect() as connection:
                found = await connection.scalar(query)
        return None if found is None else str(found)

    async def save(self, name: str, state: str) -> None:
        """Replace the text under `name`, all or nothing."""
        insert = insert_into(self._engine.dialect, DETECTOR_STATE).values(
            name=name, state=state, updated_unix_ms=self._clock.unix_ms()
        )
        newest = {"state": insert.excluded.state, "updated_unix_ms": insert.excluded.updated_unix_ms}
        with database_errors():
            async with writing(self._engine) as connection:
                await connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=newest))
