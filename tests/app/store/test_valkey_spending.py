"""Budgets that processes share through a Valkey or Redis server; one that fails refuses nothing."""

import asyncio

import pytest

from app.config.schema import PlanConfig
from app.errors import BudgetSpentError
from app.gateway.budgets.budgets import Budgets
from app.gateway.ports import Caller
from app.store.valkey_server import open_valkey_server
from app.store.valkey_spending import ValkeySpending

USD = 1_000_000_000
CALLER = Caller(key_id="key_1", plan="free")
SECONDS = 20.0


class Spending:
    """The ledger of all processes."""

    def __init__(self, nanousd=0):
        self.nanousd = nanousd

    async def spent_nanousd(self, _account):
        return self.nanousd


@pytest.fixture
async def process(clock):
    """Make the budgets of one process."""
    made = []

    def make(url, spending, name, **plan):
        server = open_valkey_server(url, clock, use="budgets", consequence="alone", operation_seconds=SECONDS)
        numbers = iter(range(1_000_000))
        shared = ValkeySpending(server, spending, clock)
        plans = [PlanConfig(name="free", **plan)]
        budgets = Budgets(plans, spending, clock, lambda: f"{name}-{next(numbers)}", shared)
        made.append(budgets)
        return budgets

    yield make
    for budgets in made:
        await budgets.close()


async def settled(*processes):
    for budgets in processes:
        while budgets._settling:
            await asyncio.gather(*budgets._settling)


@pytest.fixture
async def url(redis_server, clock):
    server = open_valkey_server(redis_server.url, clock, use="test", consequence="none", operation_seconds=SECONDS)
    await server.client.flushall()
    await server.close()
    return redis_server.url


@pytest.mark.live
async def test_two_processes_together_spend_no_more_than_one_budget(process, url) -> None:
    spending = Spending(USD // 2)
    plan = {"plan_usd_per_day": 1.0, "key_usd_per_month": 5.0}
    one, two = process(url, spending, "one", **plan), process(url, spending, "two", **plan)
    # The ledger has one half: 50 of 10 thousandths are left, and each process alone would admit all of them.
    calls = [budgets.reserve(CALLER, USD // 100) for _ in range(100) for budgets in (one, two)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(result, BudgetSpentError) for result in results) == 150
    held = [result for result in results if not isinstance(result, BudgetSpentError)]
    for reservation in held[:10]:
        owner = one if reservation.reservation_id.startswith("one") else two
        owner.settle(reservation, 0)
    await settled(one, two)
    again = await asyncio.gather(*(one.reserve(CALLER, USD // 100) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, BudgetSpentError) for result in again) == 10, "what was not spent came back"


@pytest.mark.live
async def test_what_one_process_spends_the_other_knows(process, url) -> None:
    spending = Spending()
    one = process(url, spending, "one", key_usd_per_day=1.0)
    one.settle(await one.reserve(CALLER, USD // 2), USD)
    await settled(one)
    two = process(url, spending, "two", key_usd_per_day=1.0)
    with pytest.raises(BudgetSpentError, match="is spent"):
        await two.reserve(CALLER, 1)
    await two.reserve(Caller(key_id="key_2", plan="free"), USD)


@pytest.mark.live
async def test_what_a_killed_process_reserved_lapses(process, url, clock) -> None:
    spending = Spending()
    killed = process(url, spending, "killed", key_usd_per_month=1.0)
    await killed.reserve(CALLER, USD)
    two = process(url, spending, "two", key_usd_per_month=1.0)
    with pytest.raises(BudgetSpentError, match="reserved by calls in flight"):
        await two.reserve(CALLER, USD)
    clock.advance(3_601)
    await two.reserve(CALLER, USD)


@pytest.mark.live
async def test_a_server_that_lost_its_data_begins_with_the_ledger(process, url, clock) -> None:
    spending = Spending()
    one = process(url, spending, "one", key_usd_per_day=1.0)
    one.settle(await one.reserve(CALLER, 1), 1)
    await settled(one)
    server = open_valkey_server(url, clock, use="test", consequence="none", operation_seconds=SECONDS)
    await server.client.flushall()
    await server.close()
    spending.nanousd = USD - 10
    with pytest.raises(BudgetSpentError):
        await one.reserve(CALLER, 11)
    await one.reserve(CALLER, 10)


async def test_without_the_server_each_process_counts_its_own(process, caplog) -> None:
    budgets = process("redis://127.0.0.1:1/0", Spending(), "one", key_usd_per_day=1.0)
    budgets.settle(await budgets.reserve(CALLER, USD), USD)
    await settled(budgets)
    with pytest.raises(BudgetSpentError):
        await budgets.reserve(CALLER, 1)
    assert [record.getMessage().partition(": the server fails, alone")[0] for record in caplog.records] == ["budgets"]
