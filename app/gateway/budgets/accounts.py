"""What a call is paid from: accounts of a key or plan for a day or month (UTC), each with its budget."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from app.config.schema import PlanConfig
from app.gateway.pricing import exact

Owner: TypeAlias = Literal["key", "plan"]
Period: TypeAlias = Literal["day", "month"]

_NANO: Final = 1_000_000_000
_MORE_THAN_A_MONTH: Final = timedelta(days=32)


class Account(msgspec.Struct, frozen=True):
    """The spending of one key or plan in one period, which starts at `start_unix_ms`."""

    owner: Owner
    owner_id: str
    period: Period
    start_unix_ms: int


class Budget(msgspec.Struct, frozen=True):
    """How much an account may spend, in nano-US-dollars, until its period ends."""

    account: Account
    limit_nanousd: int
    end_unix_ms: int


class Shortage(msgspec.Struct, frozen=True):
    """A budget that is too small for a call: what was spent of it, and what calls in flight have reserved."""

    budget: Budget
    spent_nanousd: int
    reserved_nanousd: int


class SpendingReader(Protocol):
    """Reads from the ledger what was spent."""

    async def spent_nanousd(self, account: Account) -> int:
        """Return what the account's calls cost since its period began; raises `StoreUnavailableError`."""


class SharedSpending(Protocol):
    """Accounts that several gateway processes share."""

    async def reserve(self, reservation_id: str, budgets: tuple[Budget, ...], nanousd: int) -> Shortage | None:
        """Reserve from all of the budgets; if one is short, from none, and return it. A server that fails refuses nothing."""

    async def settle(self, reservation_id: str, budgets: tuple[Budget, ...], nanousd: int, cost_nanousd: int) -> None:
        """Replace what was reserved by what the call cost; never raises."""

    async def close(self) -> None:
        """Close the connections."""


def budgets_of(plan: PlanConfig, key_id: str | None, unix_ms: int) -> Iterator[Budget]:
    """Yield the budgets that hold for a key of the plan at a moment; without a key those of the plan alone."""
    usd = {
        ("key", "day"): plan.key_usd_per_day,
        ("key", "month"): plan.key_usd_per_month,
        ("plan", "day"): plan.plan_usd_per_day,
        ("plan", "month"): plan.plan_usd_per_month,
    }
    owners: dict[Owner, str | None] = {"key": key_id, "plan": plan.name}
    for owner, owner_id in owners.items():
        for period in ("day", "month"):
            amount = usd[owner, period]
            if owner_id is not None and amount is not None:
                start, end = _bounds(period, unix_ms)
                yield Budget(Account(owner, owner_id, period, start), int(exact(amount) * _NANO), end)


def has_budgets(plan: PlanConfig) -> bool:
    """Whether calls of the plan are paid from any budget."""
    amounts = (plan.key_usd_per_day, plan.key_usd_per_month, plan.plan_usd_per_day, plan.plan_usd_per_month)
    return any(amount is not None for amount in amounts)


def _bounds(period: str, unix_ms: int) -> tuple[int, int]:
    """Return the start of the period that a moment is in, and of the next one."""
    now = datetime.fromtimestamp(unix_ms / 1_000, UTC)
    start = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        start = start.replace(day=1)
        end = (start + _MORE_THAN_A_MONTH).replace(day=1)
    else:
        end = start + timedelta(days=1)
    return round(start.timestamp()) * 1_000, round(end.timestamp()) * 1_000
