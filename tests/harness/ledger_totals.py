"""Sums the ledger of a window of time by provider, model and status, in integers that the database computes."""

from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.database import database_errors
from app.store.schema import LEDGER


class LedgerTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one provider, model and status. `provider` is None for responses from the cache and calls that reached none."""

    provider: str | None
    model: str
    status: str
    calls: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_nanousd: int
    credits_nanousd: int


_SUMMED = ("attempts", "input_tokens", "output_tokens", "cost_nanousd", "credits_nanousd")


async def ledger_totals(
    engine: AsyncEngine, *, since_unix_ms: int | None = None, before_unix_ms: int | None = None
) -> list[LedgerTotals]:
    """Sum the calls that started in `[since, before)`; raises `StoreUnavailableError`. Sorted by model, provider, status."""
    groups: tuple[Any, ...] = (LEDGER.c.provider, LEDGER.c.model, LEDGER.c.status)
    query = select(*groups, func.count().label("calls"), *(func.sum(LEDGER.c[name]).label(name) for name in _SUMMED))
    if since_unix_ms is not None:
        query = query.where(LEDGER.c.started_unix_ms >= since_unix_ms)
    if before_unix_ms is not None:
        query = query.where(LEDGER.c.started_unix_ms < before_unix_ms)
    with database_errors():
        async with engine.connect() as connection:
            rows = (await connection.execute(query.group_by(*groups))).all()
    totals = [_totals(tuple(row)) for row in rows]
    return sorted(totals, key=lambda each: (each.model, each.provider or "", each.status))


def _totals(row: tuple[Any, ...]) -> LedgerTotals:
    """PostgreSQL sums 64-bit integers into exact decimals, hence `int`."""
    provider, model, status, calls, *sums = row
    values = dict(zip(_SUMMED, map(int, sums), strict=True))
    return LedgerTotals(provider=provider, model=model, status=status, calls=calls, **values)
