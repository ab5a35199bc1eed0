"""Spending survives a restart: it is what the ledger has of a key or plan since the period began."""

import msgspec
import pytest
from sqlalchemy import insert, text

from app.config.schema import JobsConfig, PlanConfig
from app.errors import BudgetSpentError, StoreUnavailableError
from app.gateway.budgets.accounts import Account
from app.gateway.budgets.budgets import Budgets
from app.gateway.ports import Caller
from app.store.gauges import observe_budgets
from app.store.schema import LEDGER
from app.store.spending import LedgerSpending, budget_jobs, open_budgets, read_spending
from otel.catalogue import money, semconv

DAY = 1_699_920_000_000
"""The start of the day that the clock of these tests stands in."""
USD = 1_000_000_000


async def append(engine, *rows):
    async with engine.begin() as connection:
        await connection.execute(insert(LEDGER), [msgspec.structs.asdict(row) for row in rows])


async def test_the_ledger_knows_what_was_spent_since_the_period_began(engine, make_row) -> None:
    await append(
        engine,
        make_row(0, started_unix_ms=DAY - 1, cost_nanousd=USD),
        make_row(1, started_unix_ms=DAY, cost_nanousd=10**15 + 1),
        make_row(2, started_unix_ms=DAY, cost_nanousd=5, key_id="key_2"),
        make_row(3, started_unix_ms=DAY, cost_nanousd=7, key_id="key_3", plan="pro"),
    )
    spending = LedgerSpending(engine)
    assert await spending.spent_nanousd(Account("key", "key_1", "day", DAY)) == 10**15 + 1
    assert await spending.spent_nanousd(Account("plan", "free", "day", DAY)) == 10**15 + 6
    assert await spending.spent_nanousd(Account("plan", "free", "month", DAY - 1)) == 10**15 + 6 + USD
    assert await spending.spent_nanousd(Account("key", "none", "day", DAY)) == 0


async def test_a_new_process_goes_on_where_the_last_one_stopped(engine, make_row, clock) -> None:
    await append(engine, make_row(0, started_unix_ms=DAY, cost_nanousd=900_000_000))
    plan = PlanConfig(name="free", key_usd_per_day=1.0, plan_usd_per_month=4.0)
    budgets = Budgets([plan], LedgerSpending(engine), clock, lambda: "id")
    gauges = {}
    observe_budgets(gauges.__setitem__, budgets.plan_readings)
    labels = {semconv.PLAN: "free", semconv.BUDGET_PERIOD: "month"}
    assert gauges[money.BUDGET_LIMIT]() == [(4.0, labels)]
    assert gauges[money.BUDGET_REMAINING]() == [], "unknown is not zero"
    await read_spending(budgets)
    assert gauges[money.BUDGET_REMAINING]() == [(3.1, labels)]
    caller = Caller(key_id="key_1", plan="free")
    with pytest.raises(BudgetSpentError):
        await budgets.reserve(caller, 100_000_001)
    budgets.settle(await budgets.reserve(caller, 100_000_000), 100_000_000)
    assert gauges[money.BUDGET_REMAINING]() == [(3.0, labels)]
    assert [job.name for job in budget_jobs(budgets, JobsConfig())] == ["budgets"]


async def test_plans_without_budgets_have_no_job(engine, clock) -> None:
    plan = PlanConfig(name="free", key_usd_per_day=1.0)
    assert budget_jobs(Budgets([plan], LedgerSpending(engine), clock, lambda: "id"), JobsConfig()) == ()


async def test_a_database_that_fails_leaves_the_spending_unknown(engine, clock) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE ledger"))
    budgets = Budgets([PlanConfig(name="free", plan_usd_per_day=1.0)], LedgerSpending(engine), clock, lambda: "id")
    await read_spending(budgets)
    assert [reading.left_nanousd for reading in budgets.plan_readings()] == [None]
    with pytest.raises(StoreUnavailableError):
        await budgets.reserve(Caller(key_id="key_1", plan="free"), 1)


@pytest.mark.live
async def test_processes_with_a_server_share_their_budgets(engine, clock, redis_server) -> None:
    plan = f"shared-{engine.dialect.name}"
    plans = [PlanConfig(name=plan, plan_usd_per_day=1.0)]
    caller = Caller(key_id="key_1", plan=plan)
    numbers = iter(range(10))
    one, two, alone = (
        open_budgets(plans, engine, clock, lambda: str(next(numbers)), url)
        for url in (redis_server.url, redis_server.url, None)
    )
    await one.reserve(caller, USD)
    with pytest.raises(BudgetSpentError):
        await two.reserve(caller, USD)
    await alone.reserve(caller, USD)
    for budgets in (one, two, alone):
        await budgets.close()
