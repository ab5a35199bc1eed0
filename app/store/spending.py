"""Reads what a key or plan has spent from the ledger, for budgets (`app/gateway/budgets/`).

Raises `StoreUnavailableError` when the database fails.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config.schema import JobsConfig, PlanConfig
from app.errors import StoreUnavailableError
from app.gateway.budgets.accounts import Account, has_budgets
from app.gateway.budgets.budgets import Budgets
from app.gateway.ports import Clock
from app.jobs.scheduler import Job
from app.store.database import database_errors
from app.store.schema import LEDGER
from app.store.valkey_server import open_valkey_server
from app.store.valkey_spending import ValkeySpending

_QUERY_SECONDS: Final = 30.0


class LedgerSpending:
    """Satisfies `SpendingReader`. A key's sum is read from one index alone."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def spent_nanousd(self, account: Account) -> int:
        """Return the cost of the account's calls since its period began, in whole nano-US-dollars."""
        owner = LEDGER.c.key_id if account.owner == "key" else LEDGER.c.plan
        query = select(func.sum(LEDGER.c.cost_nanousd)).where(
            owner == account.owner_id, LEDGER.c.started_unix_ms >= account.start_unix_ms
        )
        with database_errors():
            async with self._engine.connect() as connection:
                spent = await connection.scalar(query)
        return int(spent or 0)


def open_budgets(
    plans: Sequence[PlanConfig], engine: AsyncEngine, clock: Clock, new_id: Callable[[], str], server_url: str | None
) -> Budgets:
    """Return the budgets of the plans, shared where there is a Valkey or Redis server; connects to nothing yet."""
    reader = LedgerSpending(engine)
    if server_url is None or not any(has_budgets(plan) for plan in plans):
        return Budgets(plans, reader, clock, new_id)
    server = open_valkey_server(
        server_url, clock, use="budgets", consequence="each process counts its own spending until it responds"
    )
    return Budgets(plans, reader, clock, new_id, ValkeySpending(server, reader, clock))


def budget_jobs(budgets: Budgets, cadence: JobsConfig) -> tuple[Job, ...]:
    """Return the job that reads what plans have spent, where any has a budget of its own."""
    if not any(True for _ in budgets.plan_readings()):
        return ()
    return (
        Job(
            name="budgets",
            run=budgets.refresh,
            interval_seconds=cadence.business_seconds,
            timeout_seconds=_QUERY_SECONDS,
        ),
    )


async def read_spending(budgets: Budgets) -> None:
    """Read at the start what plans have spent, so that no request waits for the sums of a month."""
    with suppress(StoreUnavailableError):
        await budgets.refresh()
