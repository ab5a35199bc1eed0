"""Sums the calls of whole days by day, provider, model, plan, key or tag; exact, in integers.

Days, providers, models and plans come from the rollup, which is brought up to date first, and of the
hour that goes on from the ledger. Keys and tags are in the ledger alone: they go back as far as it
keeps single calls. A report by key reads one index and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Dialect, Select, String, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.config.rules import TAG_NAME
from app.store.cost_rollup import SUMS, hour_of, roll_up
from app.store.database import database_errors
from app.store.schema import HOURLY_COSTS, LEDGER
from app.store.transactions import reading_one_moment

DAY_MS: Final = 86_400_000
DIMENSIONS: Final = ("day", "provider", "model", "key", "plan")
TAG_PREFIX: Final = "tag:"
_ROLLED_UP: Final = frozenset({"day", "provider", "model", "plan"})


class UsageSums(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one group of calls; money in nano-US-dollars, the details of tokens as in the ledger.

    What `cost_nanousd` exceeds its three sources by is of calls that are unpriced in part.
    """

    calls: int = 0
    successes: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    credits_nanousd: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    unpriced_tokens: int = 0
    exposure_nanousd: int = 0
    reported_cost_nanousd: int = 0
    priced_cost_nanousd: int = 0
    estimated_cost_nanousd: int = 0

    def plus(self, other: "UsageSums") -> "UsageSums":
        """Return the sums of both."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return UsageSums(**dict(zip(SUMS, (one + two for one, two in pairs), strict=True)))


Group = tuple[str | int, ...]
"""One value per dimension; a day as its start, in milliseconds since the Unix epoch; empty where there is none."""


async def read_usage(
    engine: AsyncEngine, by: Sequence[str], since_unix_ms: int, until_unix_ms: int, now_unix_ms: int
) -> Mapping[Group, UsageSums]:
    """Return the sums of the calls that started from one moment until before another, both the start of an hour.

    `by`: dimensions, or `tag:NAME`. Raises `StoreUnavailableError`.
    """
    this_hour = hour_of(now_unix_ms)
    if not set(by) <= _ROLLED_UP:
        with database_errors():
            async with reading_one_moment(engine) as connection:
                return _merged(await _rows(connection, ledger_query(by, since_unix_ms, until_unix_ms, engine.dialect)))
    await roll_up(engine, now_unix_ms)
    with database_errors():
        async with reading_one_moment(engine) as connection:
            rows = await _rows(connection, _rollup_query(by, since_unix_ms, min(until_unix_ms, this_hour)))
            newest = ledger_query(by, max(since_unix_ms, this_hour), until_unix_ms, engine.dialect)
            return _merged([*rows, *await _rows(connection, newest)])


def ledger_query(by: Sequence[str], since_unix_ms: int, until_unix_ms: int, dialect: Dialect) -> Select[Any]:
    """Return the query over single calls."""
    groups = [_of_ledger(name, dialect) for name in by]
    started: ColumnElement[Any] = LEDGER.c.started_unix_ms
    if by and by[0] == "key" and dialect.name == "sqlite":
        # The plus keeps its planner from the index of times, by which it would look up each row and sort them all.
        started = literal_column("+ledger.started_unix_ms", BigInteger)
    query = select(*groups, *SUMS.values()).where(started >= since_unix_ms, started < until_unix_ms)
    return query.group_by(*groups)


def _rollup_query(by: Sequence[str], since_unix_ms: int, until_unix_ms: int) -> Select[Any]:
    hour = HOURLY_COSTS.c.hour_unix_ms
    groups = [_day_of(hour) if name == "day" else HOURLY_COSTS.c[name] for name in by]
    sums = [func.sum(HOURLY_COSTS.c[name]) for name in SUMS]
    return select(*groups, *sums).where(hour >= since_unix_ms, hour < until_unix_ms).group_by(*groups)


def _of_ledger(name: str, dialect: Dialect) -> ColumnElement[Any]:
    if name == "day":
        return _day_of(LEDGER.c.started_unix_ms)
    if name == "provider":
        return func.coalesce(LEDGER.c.provider, literal_column("''"))
    if name.startswith(TAG_PREFIX):
        tag = name.removeprefix(TAG_PREFIX)
        if not TAG_NAME.fullmatch(tag):  # it becomes a part of the statement
            raise ValueError(f"{tag!r} is not the name of a tag")
        if dialect.name == "postgresql":
            found: ColumnElement[Any] = cast(LEDGER.c.tags, JSON).op("->>")(literal_column(f"'{tag}'", String))
        else:
            found = func.json_extract(LEDGER.c.tags, literal_column(f"'$.{tag}'"))
        return func.coalesce(found, literal_column("''"))
    return LEDGER.c["key_id" if name == "key" else name]


def _day_of(moment: ColumnElement[int]) -> ColumnElement[Any]:
    # Written out as in the rollup: PostgreSQL compares parameters of GROUP BY by name.
    return moment - moment % literal_column(str(DAY_MS), BigInteger)


async def _rows(connection: AsyncConnection, query: Select[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(query)]


def _merged(rows: Sequence[tuple[Any, ...]]) -> dict[Group, UsageSums]:
    """Add up rows of the same group; PostgreSQL sums 64-bit integers into exact decimals, hence `int`."""
    merged: dict[Group, UsageSums] = {}
    for row in rows:
        cut = len(row) - len(SUMS)
        values = dict(zip(SUMS, (int(value or 0) for value in row[cut:]), strict=True))
        if not values["calls"]:
            continue  # what SQL returns for no rows where nothing is grouped
        group = tuple(value if isinstance(value, str) else int(value) for value in row[:cut])
        merged[group] = merged.get(group, UsageSums()).plus(UsageSums(**values))
    return merged
