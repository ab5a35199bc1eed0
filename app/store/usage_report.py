"""Sums the calls of whole days by day, provider, model, plan, key or tag; exact, in integers.

Days, providers, models and plans come from the hourly sums, and of the hour that goes on from the
ledger. Keys and tags come from the daily sums, and of today from the ledger: they go back as far as
it keeps single calls. Either sums are brought up to date first.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Dialect, Select, String, Table, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.ext.asyncio import AsyncEngine

from app.config.rules import TAG_NAME
from app.store.cost_rollup import DAY_MS, PROVIDER, SUMS, day_of, hour_of, period_column, roll_up
from app.store.daily_usage import sum_days
from app.store.database import database_errors
from app.store.schema import DAILY_USAGE, HOURLY_COSTS, LEDGER
from app.store.transactions import reading_one_moment

DIMENSIONS: Final = ("day", "provider", "model", "key", "plan")
TAG_PREFIX: Final = "tag:"
_IN_HOURLY_COSTS: Final = frozenset({"day", "provider", "model", "plan"})


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
    engine: AsyncEngine,
    by: Sequence[str],
    since_unix_ms: int,
    until_unix_ms: int,
    now_unix_ms: int,
    *,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Mapping[Group, UsageSums]:
    """Return the sums of the calls that started from one moment until before another, both the start of a day.

    `by`: dimensions, or `tag:NAME`. `progress` gets how many of the hours or days that are not summed yet
    are done, and all of them. Raises `StoreUnavailableError`.
    """
    if set(by) <= _IN_HOURLY_COSTS:
        await roll_up(engine, now_unix_ms, progress)
        table, moment, summed_until = HOURLY_COSTS, HOURLY_COSTS.c.hour_unix_ms, hour_of(now_unix_ms)
    else:
        await sum_days(engine, now_unix_ms, progress)
        table, moment, summed_until = DAILY_USAGE, DAILY_USAGE.c.day_unix_ms, day_of(now_unix_ms)
    sums = [func.sum(table.c[name]) for name in SUMS]
    groups = [_group(name, table, moment, table.c.provider, engine.dialect) for name in by]
    summed = (
        select(*groups, *sums)
        .where(moment >= since_unix_ms, moment < min(until_unix_ms, summed_until))
        .group_by(*groups)
    )
    newest = ledger_query(by, max(since_unix_ms, summed_until), until_unix_ms, engine.dialect)
    with database_errors():
        async with reading_one_moment(engine) as connection:
            return _merged([tuple(row) for query in (summed, newest) for row in await connection.execute(query)])


def ledger_query(by: Sequence[str], since_unix_ms: int, until_unix_ms: int, dialect: Dialect) -> Select[Any]:
    """Return the query over single calls."""
    started = LEDGER.c.started_unix_ms
    groups = [_group(name, LEDGER, started, PROVIDER, dialect) for name in by]
    query = select(*groups, *SUMS.values()).where(started >= since_unix_ms, started < until_unix_ms)
    return query.group_by(*groups)


def _group(
    name: str, table: Table, moment: ColumnElement[Any], provider: ColumnElement[Any], dialect: Dialect
) -> ColumnElement[Any]:
    if name == "day":
        return period_column(moment, DAY_MS)
    if name == "provider":
        return provider
    if name.startswith(TAG_PREFIX):
        return _tag(table.c.tags, name.removeprefix(TAG_PREFIX), dialect)
    return table.c["key_id" if name == "key" else name]


def _tag(tags: ColumnElement[Any], tag: str, dialect: Dialect) -> ColumnElement[Any]:
    if not TAG_NAME.fullmatch(tag):  # it becomes a part of the statement
        raise ValueError(f"{tag!r} is not the name of a tag")
    document = func.nullif(tags, literal_column("''"))
    if dialect.name == "postgresql":
        found: ColumnElement[Any] = cast(document, JSON).op("->>")(literal_column(f"'{tag}'", String))
    else:
        found = func.json_extract(document, literal_column(f"'$.{tag}'"))
    return func.coalesce(found, literal_column("''"))


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
