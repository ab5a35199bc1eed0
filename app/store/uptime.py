"""Reads each model's calls of the last 24 hours and its tokens of all time, from ledger and rollup.

Whole hours come from the rollup. The ledger gives what the rollup does not cover: the first part of
an hour at the beginning of the window, and the newest rows. Tokens of older hours are summed once
an hour. A row that arrives after the rollup of its hour counts from the next rollup on; one that is
more than a day late, an hour after that. A restart changes no figure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.store.cost_rollup import FAILED, HOUR_MS, SUCCEEDED, hour_of
from app.store.database import database_errors
from app.store.schema import HOURLY_COSTS, LEDGER
from app.store.transactions import reading_one_moment

WINDOW_MS: Final = 24 * HOUR_MS

_Sums: TypeAlias = tuple[str, int, int, int, int]
"""Model, successes, failures, input and output tokens."""

_NONE: Final[ColumnElement[Any]] = literal_column("0")


class ModelUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One model: calls of the last 24 hours that succeeded and failed, and tokens of all time.

    Calls whose client left, and errors that the caller caused, are in neither count.
    """

    successes: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def uptime(self) -> float | None:
        """Successful share of the calls, 0 to 1; None without calls."""
        calls = self.successes + self.failures
        return self.successes / calls if calls else None

    @property
    def token_efficiency(self) -> float | None:
        """Output tokens per input token; None without input."""
        return self.output_tokens / self.input_tokens if self.input_tokens else None


class ModelUsageReader:
    """Reads the usage of all models that the ledger knows; one reading at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._old_before: int | None = None
        self._old_tokens: Sequence[_Sums] = ()

    async def read(self, now_unix_ms: int) -> Mapping[str, ModelUsage]:
        """Return each model's usage at a moment; raises `StoreUnavailableError`."""
        since = now_unix_ms - WINDOW_MS
        sums: dict[str, list[int]] = {}
        with database_errors():
            async with reading_one_moment(self._engine) as connection:
                newest = await connection.scalar(select(func.max(HOURLY_COSTS.c.hour_unix_ms)))
                rolled_up_to = 0 if newest is None else int(newest) + HOUR_MS
                first_hour = min(hour_of(since + HOUR_MS - 1), rolled_up_to)
                if self._old_before != first_hour:
                    self._old_tokens = await _fetch(connection, _tokens_before(first_hour))
                    self._old_before = first_hour
                parts = [
                    *self._old_tokens,
                    *await _fetch(connection, _rolled_up(first_hour)),
                    *await _fetch(connection, _newest_rows(rolled_up_to, since)),
                    *await _fetch(connection, _first_part(since, first_hour)),
                ]
        for model, *values in parts:
            of_model = sums.setdefault(model, [0, 0, 0, 0])
            for index, value in enumerate(values):
                of_model[index] += value
        return {
            model: ModelUsage(successes=successes, failures=failures, input_tokens=taken, output_tokens=given)
            for model, (successes, failures, taken, given) in sums.items()
        }


async def _fetch(connection: AsyncConnection, query: Select[Any]) -> list[_Sums]:
    """PostgreSQL sums 64-bit integers into exact decimals, hence `int`."""
    return [
        (model, int(successes), int(failures), int(taken), int(given))
        for model, successes, failures, taken, given in await connection.execute(query)
    ]


def _tokens_before(hour_unix_ms: int) -> Select[Any]:
    """The tokens of all hours that are older than the window."""
    table = HOURLY_COSTS.c
    return (
        select(table.model, _NONE, _NONE, func.sum(table.input_tokens), func.sum(table.output_tokens))
        .where(table.hour_unix_ms < hour_unix_ms)
        .group_by(table.model)
    )


def _rolled_up(first_hour_unix_ms: int) -> Select[Any]:
    """Outcomes and tokens of the window's hours that are rolled up."""
    table = HOURLY_COSTS.c
    return (
        select(
            table.model,
            func.sum(table.successes),
            func.sum(table.failures),
            func.sum(table.input_tokens),
            func.sum(table.output_tokens),
        )
        .where(table.hour_unix_ms >= first_hour_unix_ms)
        .group_by(table.model)
    )


def _newest_rows(rolled_up_to: int, since: int) -> Select[Any]:
    """The ledger's rows behind the rollup: tokens of all of them, outcomes of those in the window."""
    is_in_window = LEDGER.c.started_unix_ms >= since
    return (
        select(
            LEDGER.c.model,
            _count(and_(SUCCEEDED, is_in_window)),
            _count(and_(FAILED, is_in_window)),
            func.sum(LEDGER.c.input_tokens),
            func.sum(LEDGER.c.output_tokens),
        )
        .where(LEDGER.c.started_unix_ms >= rolled_up_to)
        .group_by(LEDGER.c.model)
    )


def _first_part(since: int, before: int) -> Select[Any]:
    """Outcomes of the hour that the window begins in; its tokens are in the rollup."""
    return (
        select(LEDGER.c.model, _count(SUCCEEDED), _count(FAILED), _NONE, _NONE)
        .where(LEDGER.c.started_unix_ms >= since, LEDGER.c.started_unix_ms < before)
        .group_by(LEDGER.c.model)
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))
