"""LEASES: who holds which lease until when, in the table `leases`; one statement decides.

Comes in: a name, who asks, times. Goes out: whether it is theirs now. Raises
`StoreUnavailableError` when the database fails.
"""

from sqlalchemy import delete, or_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.database import database_errors
from app.store.schema import LEASES
from app.store.upsert import insert_into


class StoredLeases:
    """Satisfies `app.jobs.lease.LeaseTable`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def acquire(self, name: str, holder: str, *, expires_unix_ms: int, free_if_expired_unix_ms: int) -> bool:
        """Take or renew a lease until `expires_unix_ms`; false when somebody else's lasts longer than `free_if_expired_unix_ms`."""
        insert = insert_into(self._engine.dialect, LEASES).values(
            name=name, holder=holder, expires_unix_ms=expires_unix_ms
        )
        claim = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": insert.excluded.holder, "expires_unix_ms": insert.excluded.expires_unix_ms},
            where=or_(LEASES.c.holder == holder, LEASES.c.expires_unix_ms <= free_if_expired_unix_ms),
        ).returning(LEASES.c.holder)
        with database_errors():
            async with self._engine.begin() as connection:
                return (await connection.execute(claim)).first() is not None

    async def release(self, name: str, holder: str) -> None:
        """Give a lease up, if it is theirs, so that the next one need not wait for its end."""
        release = delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder)
        with database_errors():
            async with self._engine.begin() as connection:
                await connection.execute(release)
