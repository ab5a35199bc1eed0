"""Tracks the spending of every account in this process, and refuses a call that exceeds its budgets.

What calls in flight may cost at most is reserved. Earlier spending comes from the ledger, once for each
account. Where spending is shared, the shared budgets must allow the call too; while their server
fails, this process's own sums decide. Between a check and its reservation nothing awaits.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final

import msgspec

from app.config.schema import PlanConfig
from app.errors import BudgetSpentError, StoreUnavailableError
from app.gateway.budgets.accounts import (
    Account,
    Budget,
    SharedSpending,
    Shortage,
    SpendingReader,
    budgets_of,
    has_budgets,
)
from app.gateway.ports import Caller, Clock

_RETRY_SECONDS: Final = 1.0
"""Where calls in flight have reserved what is missing: most cost less than they reserve."""

_SWEPT_PER_RESERVATION: Final = 4


class Reservation(msgspec.Struct, frozen=True):
    """What a call has reserved, from which budgets."""

    reservation_id: str
    budgets: tuple[Budget, ...]
    nanousd: int


class PlanReading(msgspec.Struct, frozen=True):
    """One budget of a plan; `left_nanousd` is None until its spending is known."""

    budget: Budget
    left_nanousd: int | None


class _Spending:
    """One account; `spent` and `reserved` in nano-US-dollars."""

    __slots__ = ("end_unix_ms", "reserved", "spent")

    def __init__(self, spent: int, end_unix_ms: int) -> None:
        self.spent = spent
        self.reserved = 0
        self.end_unix_ms = end_unix_ms


class Budgets:
    """For one event loop; `close` it at the end. `new_id` names reservations, across all processes."""

    def __init__(
        self,
        plans: Iterable[PlanConfig],
        spending: SpendingReader,
        clock: Clock,
        new_id: Callable[[], str],
        shared: SharedSpending | None = None,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans if has_budgets(plan)}
        self._reader = spending
        self._clock = clock
        self._new_id = new_id
        self._shared = shared
        self._started_unix_ms = clock.unix_ms()
        self._spending: dict[Account, _Spending] = {}
        self._loading = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self._spending)

    def hold_for(self, caller: Caller) -> bool:
        """Whether the caller has any budget."""
        return caller.plan in self._plans

    async def reserve(self, caller: Caller, nanousd: int) -> Reservation:
        """Reserve what a call may cost; raises `BudgetSpentError`, or `StoreUnavailableError` while its spending is unknown."""
        now = self._clock.unix_ms()
        self._sweep(now)
        budgets = tuple(budgets_of(self._plans[caller.plan], caller.key_id, now))
        for budget in budgets:
            if budget.account not in self._spending:
                await self._load(budget)
        for budget in budgets:
            spending = self._spending.setdefault(budget.account, _Spending(0, budget.end_unix_ms))
            if spending.spent + spending.reserved + max(nanousd, 1) > budget.limit_nanousd:
                raise self._refusal(Shortage(budget, spending.spent, spending.reserved), nanousd)
        reservation = Reservation(self._new_id(), budgets, nanousd)
        self._change(reservation, reserved=nanousd)
        if self._shared is None:
            return reservation
        try:
            shortage = await self._shared.reserve(reservation.reservation_id, budgets, nanousd)
        except BaseException:
            self.settle(reservation, 0)
            raise
        if shortage is not None:
            self._change(reservation, reserved=-nanousd)
            raise self._refusal(shortage, nanousd)
        return reservation

    def settle(self, reservation: Reservation, cost_nanousd: int) -> None:
        """Replace a reservation by what the call cost; shared accounts follow in a task of their own."""
        self._change(reservation, reserved=-reservation.nanousd, spent=cost_nanousd)
        if self._shared is not None:
            self._start(
                self._shared.settle(reservation.reservation_id, reservation.budgets, reservation.nanousd, cost_nanousd)
            )

    async def refresh(self) -> None:
        """Read again what plans have spent, so that calls of other processes count; raises `StoreUnavailableError`."""
        for plan in self._plans.values():
            for budget in budgets_of(plan, None, self._clock.unix_ms()):
                spent = await self._reader.spent_nanousd(budget.account)
                spending = self._spending.setdefault(budget.account, _Spending(spent, budget.end_unix_ms))
                # Rows that are not committed yet are in this process's sum only.
                spending.spent = max(spending.spent, spent)

    def plan_readings(self) -> Iterator[PlanReading]:
        """Yield the budgets of plans now. Any thread."""
        for plan in self._plans.values():
            for budget in budgets_of(plan, None, self._clock.unix_ms()):
                spending = self._spending.get(budget.account)
                left = None if spending is None else max(0, budget.limit_nanousd - spending.spent)
                yield PlanReading(budget, left)

    async def close(self) -> None:
        """Wait for what is being settled, and close the shared accounts."""
        await asyncio.gather(*self._settling, return_exceptions=True)
        if self._shared is not None:
            await self._shared.close()

    async def _load(self, budget: Budget) -> None:
        """Read what an account spent before, once. If the database fails, a period that began after this process is taken as unspent."""
        async with self._loading:
            if budget.account in self._spending:
                return
            try:
                spent = await self._reader.spent_nanousd(budget.account)
            except StoreUnavailableError:
                if budget.account.start_unix_ms < self._started_unix_ms:
                    raise
                spent = 0
            self._spending.setdefault(budget.account, _Spending(spent, budget.end_unix_ms))

    def _change(self, reservation: Reservation, *, reserved: int, spent: int = 0) -> None:
        for budget in reservation.budgets:
            spending = self._spending.get(budget.account)
            if spending is not None:  # its period is over otherwise
                spending.reserved += reserved
                spending.spent += spent

    def _refusal(self, shortage: Shortage, nanousd: int) -> BudgetSpentError:
        budget = shortage.budget
        waits_for_others = shortage.spent_nanousd + max(nanousd, 1) <= budget.limit_nanousd
        seconds_left = max(1.0, (budget.end_unix_ms - self._clock.unix_ms()) / 1_000)
        return BudgetSpentError(
            owner=budget.account.owner,
            period=budget.account.period,
            largest_cost_nanousd=nanousd,
            waits_for_others=waits_for_others,
            retry_after_seconds=_RETRY_SECONDS if waits_for_others else seconds_left,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _sweep(self, now_unix_ms: int) -> None:
        """Drop a few accounts whose period is over, the oldest first; one that is not over goes to the end."""
        for _ in range(min(_SWEPT_PER_RESERVATION, len(self._spending))):
            account = next(iter(self._spending))
            spending = self._spending.pop(account)
            if spending.end_unix_ms > now_unix_ms or spending.reserved:
                self._spending[account] = spending
