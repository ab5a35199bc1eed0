"""Token buckets: never more than the limit and what flowed in, exact waits, bounded memory."""

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.schema import PlanConfig
from app.gateway.clock import ManualClock
from app.gateway.ports import Caller, LimitDecision
from app.gateway.rate_limit import RateLimiter
from app.http.responses import duration_text

ORDER = ("key_requests", "key_tokens", "plan_requests", "plan_tokens")
FREE = PlanConfig(name="free", plan_requests_per_minute=None, plan_tokens_per_minute=None)


def caller(key_id: str = "key_1", plan: str = "free", requests: int | None = None, tokens: int | None = None) -> Caller:
    return Caller(key_id=key_id, plan=plan, requests_per_minute=requests, tokens_per_minute=tokens)


async def admitted(limiter: RateLimiter, who: Caller, times: int) -> int:
    return sum([(await limiter.admit(who)).allowed for _ in range(times)])


async def test_without_limits_everything_is_admitted_and_nothing_is_kept() -> None:
    limiter = RateLimiter([FREE], ManualClock())
    assert await limiter.admit(caller()) == LimitDecision(allowed=True)
    assert await limiter.admit(caller(plan="not configured")) == LimitDecision(allowed=True)
    await limiter.charge_tokens(caller(), 10**9)
    assert len(limiter) == 0


async def test_a_key_has_its_limit_at_once_and_then_what_flows_in() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    who = caller(requests=60)
    assert await admitted(limiter, who, 100) == 60
    clock.advance(10)
    assert await admitted(limiter, who, 100) == 10
    clock.advance(3_600)
    assert await admitted(limiter, who, 100) == 60
    assert (await limiter.admit(caller("key_2", requests=60))).allowed


@pytest.mark.parametrize("limit", [1, 7, 60, 999, 100_000])
async def test_who_waits_as_told_is_admitted_and_a_nanosecond_less_is_not(limit) -> None:
    clock = ManualClock(monotonic=0.0)
    limiter = RateLimiter([FREE], clock)
    who = caller(requests=limit)
    assert await admitted(limiter, who, limit) == limit
    refused = await limiter.admit(who)
    assert (refused.allowed, refused.limit_type, refused.remaining_requests) == (False, "key_requests", 0)
    assert refused.retry_after_seconds == -(-60 * 10**9 // limit) / 10**9  # the next whole nanosecond
    clock.advance(refused.retry_after_seconds - 1e-9)
    assert not (await limiter.admit(who)).allowed
    clock.advance(1e-9)
    assert (await limiter.admit(who)).allowed
    assert not (await limiter.admit(who)).allowed


async def test_a_refused_request_is_charged_nowhere() -> None:
    clock = ManualClock()
    limiter = RateLimiter([PlanConfig(name="free", plan_requests_per_minute=5)], clock)
    assert await admitted(limiter, caller("key_1", requests=1), 50) == 1
    # 49 refusals of key_1 took nothing from the plan: four are left for the others, and their keys pay only for what went through.
    assert await admitted(limiter, caller("key_2", requests=100), 50) == 4
    decision = await limiter.admit(caller("key_2", requests=100))
    assert (decision.limit_type, decision.limit_requests, decision.remaining_requests) == ("plan_requests", 5, 0)
    clock.advance(60)
    assert await admitted(limiter, caller("key_2", requests=96), 50) == 5


async def test_tokens_are_charged_afterwards_and_a_debt_is_worked_off() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    who = caller(tokens=600)
    first = await limiter.admit(who)
    assert (first.limit_tokens, first.remaining_tokens, first.limit_requests) == (600, 600, None)
    await limiter.charge_tokens(who, 599)
    assert (await limiter.admit(who)).allowed
    await limiter.charge_tokens(who, 1_000)
    refused = await limiter.admit(who)
    assert (refused.limit_type, refused.remaining_tokens) == ("key_tokens", 0)
    assert refused.retry_after_seconds == 100.0  # 999 owed and one to have, at ten a second
    clock.advance(100)
    assert (await limiter.admit(who)).allowed
    await limiter.charge_tokens(who, 0)
    await limiter.charge_tokens(who, -5)
    assert (await limiter.admit(who)).remaining_tokens == 1


async def test_the_response_names_the_budget_that_needs_longest() -> None:
    limiter = RateLimiter([PlanConfig(name="free", plan_tokens_per_minute=60)], ManualClock())
    who = caller(requests=1)
    assert (await limiter.admit(who)).allowed
    assert (await limiter.admit(who)).limit_type == "key_requests"
    await limiter.charge_tokens(who, 60 + 120)
    refused = await limiter.admit(who)
    assert (refused.limit_type, refused.retry_after_seconds) == ("plan_tokens", 121.0)


async def test_a_plan_that_changed_takes_effect_without_a_gift() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    assert await admitted(limiter, caller(requests=10), 20) == 10
    assert await admitted(limiter, caller(requests=100), 20) == 0
    clock.advance(6)
    assert await admitted(limiter, caller(requests=100), 20) == 10
    clock.advance(30)  # half full at 100 a minute
    assert await admitted(limiter, caller(requests=3), 20) == 3


async def test_memory_follows_the_keys_that_are_active() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    for number in range(2_000):
        await limiter.admit(caller(f"key_{number}", requests=60, tokens=60))
    # Most of the untouched token buckets are gone already; a request bucket of 60 a minute is full again after a second.
    assert 2_000 <= len(limiter) < 3_000
    clock.advance(1)
    for _ in range(750):
        await limiter.admit(caller("busy", requests=60, tokens=60))
    assert len(limiter) <= 2


async def test_a_debt_is_not_forgotten() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    debtor = caller("debtor", tokens=60)
    await limiter.charge_tokens(debtor, 60 + 600)
    for _ in range(500):
        clock.advance(1)
        await limiter.admit(caller("busy", requests=60))
    refused = await limiter.admit(debtor)
    assert refused.retry_after_seconds == 101.0


async def test_an_idle_budget_saves_up_no_more_than_its_limit() -> None:
    clock = ManualClock()
    limiter = RateLimiter([FREE], clock)
    who = caller(tokens=60)
    await limiter.charge_tokens(who, 1)
    clock.advance(3_600)
    await limiter.charge_tokens(who, 90)
    assert (await limiter.admit(who)).retry_after_seconds == 31.0


class NaiveLimiter:
    """The same promise written down without thought of speed: all charges are kept, levels are worked out from the start."""

    def __init__(self, limits: dict[str, int]) -> None:
        self.limits = limits
        self.charges: dict[str, list[tuple[Fraction, int]]] = {name: [] for name in limits}

    def level(self, name: str, now: Fraction) -> Fraction:
        limit = self.limits[name]
        level, last = Fraction(limit), Fraction(0)
        for when, tokens in self.charges[name]:
            level = min(Fraction(limit), level + (when - last) * limit / 60) - tokens
            last = when
        return min(Fraction(limit), level + (now - last) * limit / 60)

    def admit(self, now: Fraction) -> tuple[bool, str | None]:
        waits = {name: max(Fraction(0), (1 - self.level(name, now)) * 60 / self.limits[name]) for name in self.limits}
        longest = max(waits.values(), default=Fraction(0))
        if longest > 0:
            return False, next(name for name in ORDER if waits.get(name) == longest)
        self.charge(now, 1, "requests")
        return True, None

    def charge(self, now: Fraction, tokens: int, kind: str) -> None:
        for name in self.limits:
            if name.endswith(kind):
                self.charges[name].append((now, tokens))


# Few different limits and round waits, so that budgets run out together, and are full or just short of a token, often.
limits = st.fixed_dictionaries({}, optional={name: st.sampled_from([1, 2, 3, 6, 12]) for name in ORDER})
waits_ms = st.sampled_from([0, 0, 500, 4_999, 5_000, 5_001, 10_000, 20_000, 30_000, 59_999, 60_000, 200_000])
steps = st.lists(st.tuples(waits_ms, st.integers(0, 5), st.integers(0, 15)), min_size=4, max_size=25)


@settings(max_examples=150, deadline=None)
@given(limits, steps)
async def test_decisions_equal_those_of_a_naive_model(limits, steps) -> None:
    clock = ManualClock(monotonic=0.0)
    plan = PlanConfig(
        name="free",
        plan_requests_per_minute=limits.get("plan_requests"),
        plan_tokens_per_minute=limits.get("plan_tokens"),
    )
    limiter, naive = RateLimiter([plan], clock), NaiveLimiter(limits)
    who = caller(requests=limits.get("key_requests"), tokens=limits.get("key_tokens"))
    now_ms = 0
    for wait_ms, requests, tokens in steps:
        now_ms += wait_ms
        clock._elapsed_seconds = now_ms / 1_000
        now = Fraction(now_ms, 1_000)
        for _ in range(requests):
            decision = await limiter.admit(who)
            assert (decision.allowed, decision.limit_type) == naive.admit(now)
        await limiter.charge_tokens(who, tokens)
        naive.charge(now, tokens, "tokens")


def windows(times: list[float]) -> Iterator[tuple[int, float]]:
    for first in range(len(times)):
        for last in range(first, len(times)):
            yield last - first + 1, times[last] - times[first]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.lists(st.integers(0, 5_000), max_size=80))
async def test_no_window_admits_more_than_the_limit_and_its_refill(limit, waits_ms) -> None:
    clock = ManualClock(monotonic=0.0)
    limiter = RateLimiter([FREE], clock)
    times = []
    for wait_ms in waits_ms:
        clock.advance(wait_ms / 1_000)
        times += [clock.monotonic() for _ in range(3) if (await limiter.admit(caller(requests=limit))).allowed]
    for count, seconds in windows(times):
        assert count <= limit + seconds * limit / 60 + 1e-6


async def test_resets_tell_when_a_budget_is_full_again() -> None:
    clock = ManualClock()
    limiter = RateLimiter([PlanConfig(name="free", plan_tokens_per_minute=600)], clock)
    who = caller(requests=6)
    first = await limiter.admit(who)
    assert (first.reset_requests_seconds, first.reset_tokens_seconds) == (10.0, 0.0)
    await limiter.charge_tokens(who, 900)
    second = await limiter.admit(who)
    assert not second.allowed
    assert (second.reset_requests_seconds, second.reset_tokens_seconds) == (10.0, 90.0)
    clock.advance(95.0)
    third = await limiter.admit(who)
    assert (third.reset_requests_seconds, third.reset_tokens_seconds) == (10.0, 0.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0ms"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9995, "1s"),
        (1.0, "1s"),
        (6.2, "7s"),
        (59.5, "1m0s"),
        (360.0, "6m0s"),
        (3_600.0, "1h0m0s"),
        (3_725.0, "1h2m5s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
