"""Counts API keys, subscriptions and trials in the table `api_keys`.

Raises `StoreUnavailableError` when the database fails.
"""

from collections.abc import Mapping

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.store.database import database_errors
from app.store.schema import API_KEYS


class BusinessCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that are neither revoked nor expired: all of them, those of trials, and the others by plan."""

    active_keys: int
    active_trials: int
    subscriptions: Mapping[str, int]


async def business_counts(engine: AsyncEngine, now_unix_ms: int) -> BusinessCounts:
    """Count the keys; plans without a subscription are not in the mapping."""
    is_active = (
        API_KEYS.c.revoked_unix_ms.is_(None)
        & or_(API_KEYS.c.trial_ends_unix_ms.is_(None), API_KEYS.c.trial_ends_unix_ms > now_unix_ms)
    )  # fmt: skip
    query = (
        select(API_KEYS.c.plan, func.count(), func.count(API_KEYS.c.trial_ends_unix_ms))
        .where(is_active)
        .group_by(API_KEYS.c.plan)
    )
    with database_errors():
        async with engine.connect() as connection:
            rows = [(plan, int(keys), int(trials)) for plan, keys, trials in await connection.execute(query)]
    return BusinessCounts(
        active_keys=sum(keys for _, keys, _ in rows),
        active_trials=sum(trials for _, _, trials in rows),
        subscriptions={plan: keys - trials for plan, keys, trials in rows if keys > trials},
    )
