"""Budgets: what calls may cost is reserved before them, what they cost is settled after them, and no more is spent."""

import asyncio

import pytest

from app.config.checks import find_all
from app.config.pricing_schema import PriceTierConfig
from app.config.schema import AppConfig, ModelConfig, PlanConfig, ProviderConfig, RetentionConfig, RouteConfig
from app.errors import BudgetSpentError, StoreUnavailableError
from app.gateway.budgets.accounts import Account, budgets_of
from app.gateway.budgets.budgets import Budgets
from app.gateway.budgets.largest_cost import largest_cost_nanousd
from app.gateway.clock import ManualClock
from app.gateway.models import ModelTable
from app.gateway.openai.request import parse_chat, parse_embeddings
from app.gateway.ports import Caller
from app.gateway.provider_client import Provider
from otel.events import RateLimited
from tests.harness.polling import until

USD = 1_000_000_000
CALLER = Caller(key_id="key_1", plan="free")
OTHER = Caller(key_id="key_2", plan="free")
NOW = 1_700_000_000_000
"""2023-11-14T22:13:20Z."""
DAY = 1_699_920_000_000
MONTH = 1_698_796_800_000


class Spending:
    """A ledger with scripted spending."""

    def __init__(self, **spent):
        self.spent = spent
        self.fails = False
        self.read = []

    async def spent_nanousd(self, account):
        self.read.append(account)
        await asyncio.sleep(0)
        if self.fails:
            raise StoreUnavailableError("The database does not respond.")
        return self.spent.get(account.owner_id, 0)


def budgets(clock=None, spending=None, shared=None, **plan):
    numbers = iter(range(1_000_000))
    plans = [PlanConfig(name="free", **plan), PlanConfig(name="unlimited")]
    return Budgets(plans, spending or Spending(), clock or ManualClock(), lambda: str(next(numbers)), shared)


def test_periods_are_days_and_months_of_utc():
    plan = PlanConfig(name="free", key_usd_per_day=0.1, key_usd_per_month=2, plan_usd_per_day=3, plan_usd_per_month=4)
    found = [(each.account, each.limit_nanousd, each.end_unix_ms) for each in budgets_of(plan, "key_1", NOW)]
    assert found == [
        (Account("key", "key_1", "day", DAY), USD // 10, DAY + 86_400_000),
        (Account("key", "key_1", "month", MONTH), 2 * USD, MONTH + 30 * 86_400_000),
        (Account("plan", "free", "day", DAY), 3 * USD, DAY + 86_400_000),
        (Account("plan", "free", "month", MONTH), 4 * USD, MONTH + 30 * 86_400_000),
    ]
    assert not budgets(key_usd_per_day=1).hold_for(Caller(key_id="key_1", plan="unlimited"))


async def test_reserved_then_settled():
    clock = ManualClock()
    kept = budgets(clock, key_usd_per_day=1)
    first = await kept.reserve(CALLER, 600_000_000)
    with pytest.raises(BudgetSpentError, match="of the key per day is reserved by calls in flight") as caught:
        await kept.reserve(CALLER, 600_000_000)
    assert (caught.value.limit_type, caught.value.retry_after_seconds) == ("budget", 1.0)
    kept.settle(await kept.reserve(OTHER, 600_000_000), 0)  # each key has its own
    kept.settle(first, 400_000_000)
    second = await kept.reserve(CALLER, 600_000_000)
    kept.settle(second, 600_000_000)
    with pytest.raises(BudgetSpentError, match="is spent") as caught:
        await kept.reserve(CALLER, 0)
    assert caught.value.retry_after_seconds == (DAY + 86_400_000 - NOW) / 1_000
    clock.advance(caught.value.retry_after_seconds)
    await kept.reserve(CALLER, USD)
    assert len(kept) == 1, "accounts of yesterday are dropped"


async def test_all_budgets_must_hold_a_call_and_a_refused_one_costs_none_of_them():
    kept = budgets(key_usd_per_day=10, plan_usd_per_day=1)
    await kept.reserve(CALLER, USD)
    with pytest.raises(BudgetSpentError, match="budget of the plan per day"):
        await kept.reserve(OTHER, USD)
    assert [(each.left_nanousd, each.budget.limit_nanousd) for each in kept.plan_readings()] == [(USD, USD)]


async def test_earlier_spending_is_read_once_however_many_calls_begin():
    spending = Spending(key_1=900_000_000)
    kept = budgets(spending=spending, key_usd_per_day=1)
    results = await asyncio.gather(*(kept.reserve(CALLER, 50_000_000) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, BudgetSpentError) for result in results) == 18
    assert spending.read == [Account("key", "key_1", "day", DAY)]


async def test_unknown_spending_refuses_unless_the_period_began_under_this_process():
    spending, clock = Spending(), ManualClock()
    spending.fails = True
    kept = budgets(clock, spending, key_usd_per_day=1)
    with pytest.raises(StoreUnavailableError):
        await kept.reserve(CALLER, 1)
    clock.advance(86_400)
    await kept.reserve(CALLER, 1)


async def test_calls_of_other_processes_count_after_the_next_reading():
    spending = Spending(free=USD // 4)
    kept = budgets(spending=spending, plan_usd_per_month=1)
    assert [each.left_nanousd for each in kept.plan_readings()] == [None]
    await kept.refresh()
    kept.settle(await kept.reserve(CALLER, 0), USD // 4)
    await kept.refresh()
    assert [each.left_nanousd for each in kept.plan_readings()] == [USD // 2], "rows that are not committed yet count"
    spending.spent["free"] = 2 * USD
    await kept.refresh()
    assert [each.left_nanousd for each in kept.plan_readings()] == [0]


def model(**prices):
    provider = Provider(ProviderConfig(name="alpha", base_url="http://127.0.0.1:1/v1"), None)
    routes = tuple(RouteConfig(provider="alpha", upstream_model=name, **each) for name, each in prices.items())
    config = ModelConfig(name="m", routes=routes)
    embed = ModelConfig(name="e", routes=routes, operation="embeddings")
    table = ModelTable([config, embed], {"alpha": provider})
    return table.find("m", "chat"), table.find("e", "embeddings")


async def test_the_largest_cost_is_that_of_the_dearest_target_and_tokens():
    cheap = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
    dear = {"input_usd_per_million": 3.0, "cache_write_usd_per_million": 4.0, "output_usd_per_million": 5.0,
            "reasoning_usd_per_million": 6.0, "usd_per_request": 0.001}  # fmt: skip
    chat, embed = model(a=cheap, b=dear)
    body = b'{"model":"m","messages":[{"role":"user","content":"Say hello"}],"max_tokens":100,"n":2}'
    # 3 tokens estimated and a quarter more, of 4 000 nano-US-dollars each; 2 choices of 100 tokens at 6 000; one request.
    assert await largest_cost_nanousd(parse_chat(body), chat) == 4 * 4_000 + 200 * 6_000 + 1_000_000
    unlimited = b'{"model":"m","messages":[{"role":"user","content":"Say hello"}]}'
    assert await largest_cost_nanousd(parse_chat(unlimited), chat) == 4 * 4_000 + 4_096 * 6_000 + 1_000_000
    vectors = b'{"model":"e","input":[1,2,3,4]}'
    assert await largest_cost_nanousd(parse_embeddings(vectors), embed) == 5 * 4_000 + 1_000_000
    assert await largest_cost_nanousd(parse_chat(unlimited), model(free={})[0]) == 0
    long = b'{"model":"m","messages":[{"role":"user","content":"' + b"word " * 20_000 + b'"}],"max_tokens":1}'
    assert await largest_cost_nanousd(parse_chat(long), chat) > 20_000 * 4_000


async def test_the_largest_cost_is_that_of_the_dearest_length_up_to_the_estimate():
    """A call that is shorter than estimated may have the higher rates of a shorter input."""
    usd = {100: 1.0, 110: 5.0, 120: 20.0, 124: 2.0, 125: 1_000.0}

    async def largest(*above):
        tiers = tuple(PriceTierConfig(above_input_tokens=each, input_usd_per_million=usd[each]) for each in above)
        embed = model(a={"input_usd_per_million": 10.0, "price_tiers": tiers})[1]
        return await largest_cost_nanousd(parse_embeddings(vectors), embed)

    # 100 tokens, a quarter added: 125.
    vectors = b'{"model":"e","input":[' + b",".join([b"1"] * 100) + b"]}"
    assert await largest() == 125 * 10_000
    assert await largest(100) == 100 * 10_000
    assert await largest(110) == 110 * 10_000
    assert await largest(100, 110, 120, 124) == 124 * 20_000, "a tier between two cheaper ones"
    assert await largest(100, 125) == 100 * 10_000, "a tier above the estimate is not reached"


def test_budgets_in_the_configuration():
    def mistakes(**options):
        days = options.pop("ledger_days", 90)
        config = AppConfig(plans=(PlanConfig(name="p", **options),), retention=RetentionConfig(ledger_days=days))
        return [finding.key_path for finding in find_all(config)]

    assert mistakes(key_usd_per_day=0.01, plan_usd_per_month=1e6) == []
    assert mistakes(key_usd_per_day=0.0) == mistakes(key_usd_per_day=float("nan")) == ["plans[0].key_usd_per_day"]
    assert mistakes(plan_usd_per_day=-1.0) == mistakes(plan_usd_per_day=2e6) == ["plans[0].plan_usd_per_day"]
    assert mistakes(key_usd_per_month=1.0, ledger_days=30) == ["plans[0].key_usd_per_month"]
    assert mistakes(key_usd_per_month=1.0, ledger_days=31) == []


CALL_NANOUSD = 10 * 150 + 4 * 600
"""Of the scripted upstream's usage, at the prices of `model_config`."""
RESERVED_NANOUSD = 4 * 150 + 20 * 600
"""Of `Say hello` with 20 tokens of output at most."""


@pytest.mark.live
@pytest.mark.parametrize("stream", [False, True])
async def test_200_calls_at_once_spend_no_more_than_the_budget_of_50(make_upstream, make_gateway, *, stream):
    upstream = await make_upstream()
    limit = 50 * CALL_NANOUSD
    kept = budgets(plan_usd_per_day=limit / USD)
    gateway = await make_gateway(upstream, budgets=kept, max_concurrent_requests=300)
    responses = await asyncio.gather(*(gateway.chat(max_tokens=20, stream=stream) for _ in range(200)))
    refused = [each for each in responses if each.status == 429]
    served = [each for each in responses if each.status == 200]
    assert len(served) + len(refused) == 200
    for each in refused:
        assert each.json["error"]["type"] == each.json["error"]["code"] == "insufficient_quota"
        assert each.json["error"]["message"].startswith("Budget reached: the budget of the plan per day is ")
        assert int(each.headers["retry-after"]) >= 1
    # What is left after those serves one more after another, until it holds no further call.
    while (each := await gateway.chat(max_tokens=20, stream=stream)).status == 200:
        served.append(each)
    recorded = await gateway.finished()
    spent = sum(row.cost_nanousd for row in recorded.rows)
    assert spent == len(served) * CALL_NANOUSD <= limit
    assert spent > limit - RESERVED_NANOUSD
    assert len(upstream.exchanges) == len(served), "no refused call reached the provider"
    limited = gateway.recorder.of(RateLimited)
    assert {event.limit_type for event in limited} == {"budget"}
    assert len(limited) == len(refused) + 1


@pytest.mark.live
async def test_a_provider_that_uses_more_than_it_may_costs_one_calls_error(make_upstream, make_gateway, wire):
    async def wasteful(exchange):
        usage = {"prompt_tokens": 10, "completion_tokens": 100, "total_tokens": 110}
        await exchange.reply({**wire.completion, "usage": usage})

    upstream = await make_upstream(wasteful)
    cost = 10 * 150 + 100 * 600
    limit = 2 * cost
    gateway = await make_gateway(upstream, budgets=budgets(key_usd_per_day=limit / USD))
    statuses = [(await gateway.chat(max_tokens=20)).status for _ in range(4)]
    recorded = await gateway.finished()
    assert statuses == [200, 200, 429, 429]
    assert sum(row.cost_nanousd for row in recorded.rows) <= limit + cost - RESERVED_NANOUSD


@pytest.mark.live
async def test_keys_are_apart_and_what_was_not_spent_comes_back(make_upstream, make_gateway, wire):
    async def fails(exchange):
        await exchange.reply({"error": {"message": "broken"}}, status=500)

    upstream = await make_upstream(fails)
    gateway = await make_gateway(upstream, budgets=budgets(key_usd_per_day=1.5 * RESERVED_NANOUSD / USD))
    assert [(await gateway.chat(max_tokens=20)).status for _ in range(4)] == [502] * 4, "a failure costs nothing"

    async def hangs(exchange):
        await exchange.gone()

    upstream.script = hangs
    left = asyncio.create_task(gateway.chat(max_tokens=20))
    await until(lambda: len(upstream.exchanges) == 5, "the call in flight")
    body = b'{"model":"acme/tiny","messages":[{"role":"user","content":"Say hello"}],"max_tokens":20}'
    assert (await gateway.post("/v1/chat/completions", body)).status == 429
    upstream.script = wire.response
    other = await gateway.post("/v1/chat/completions", body, {"authorization": f"Bearer {wire.other_key}"})
    assert other.status == 200
    left.cancel()
    await until(lambda: not len(gateway.gateway.calls_in_flight), "the end of the abandoned call")
    assert (await gateway.post("/v1/chat/completions", body, {"authorization": f"Bearer {wire.key}"})).status == 200
