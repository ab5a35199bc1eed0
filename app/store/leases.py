"""Leases: which of several gateways on one database publishes the gauges of that database.

At most one instance holds a lease at a time, as long as their clocks are less than
`clock_skew_seconds` apart. An instance that cannot renew in time stops by itself; another takes over
when the lease has expired or was released.
"""

from typing import Final

from sqlalchemy import delete, or_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.gateway.ports import Clock
from app.store.database import database_errors
from app.store.schema import LEASES
from app.store.transactions import writing
from app.store.upsert import insert_into

_CLOCK_SKEW_SECONDS: Final = 2.0


class StoredLeases:
    """The table `leases`; one statement decides who holds a lease. Raises `StoreUnavailableError`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def acquire(self, name: str, holder: str, *, expires_unix_ms: int, free_if_expired_unix_ms: int) -> bool:
        """Take or renew a lease until `expires_unix_ms`; false while another holder's ends after `free_if_expired_unix_ms`."""
        insert = insert_into(self._engine.dialect, LEASES).values(
            name=name, holder=holder, expires_unix_ms=expires_unix_ms
        )
        claim = insert.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": insert.excluded.holder, "expires_unix_ms": insert.excluded.expires_unix_ms},
            where=or_(LEASES.c.holder == holder, LEASES.c.expires_unix_ms <= free_if_expired_unix_ms),
        ).returning(LEASES.c.holder)
        with database_errors():
            async with writing(self._engine) as connection:
                return (await connection.execute(claim)).first() is not None

    async def release(self, name: str, holder: str) -> None:
        """Release the holder's lease, so that the next holder need not wait for its end."""
        release = delete(LEASES).where(LEASES.c.name == name, LEASES.c.holder == holder)
        with database_errors():
            async with writing(self._engine) as connection:
                await connection.execute(release)


class Lease:
    """One instance's view of one lease. `holder` is unique to the instance; `renew` every third of `seconds` or more often."""

    def __init__(
        self,
        table: StoredLeases,
        clock: Clock,
        *,
        name: str,
        holder: str,
        seconds: float,
        clock_skew_seconds: float = _CLOCK_SKEW_SECONDS,
    ) -> None:
        self._table = table
        self._clock = clock
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._clock_skew_seconds = clock_skew_seconds
        self._held_until = float("-inf")

    def is_held(self) -> bool:
        """Whether this instance holds the lease now; from any thread."""
        return self._clock.monotonic() < self._held_until

    async def renew(self) -> None:
        """Take or renew the lease; after an exception of the table a held lease ends as before."""
        started_seconds = self._clock.monotonic()
        now_unix_ms = self._clock.unix_ms()
        is_held = await self._table.acquire(
            self._name,
            self._holder,
            expires_unix_ms=now_unix_ms + round(self._seconds * 1_000),
            free_if_expired_unix_ms=now_unix_ms - round(self._clock_skew_seconds * 1_000),
        )
        self._held_until = started_seconds + self._seconds if is_held else float("-inf")

    async def release(self) -> None:
        """Release the lease, so that another instance can take it at once."""
        self._held_until = float("-inf")
        await self._table.release(self._name, self._holder)
