"""Requests and tokens per minute, per key and per plan, as token buckets in this process.

Input: a caller whose limits are known, later the tokens that its call used. Output: a
`LimitDecision`. All buckets are checked before any is charged, so a refused request costs nothing
anywhere. It must not await: a decision is atomic on the event loop because nothing in it yields.
Several processes each have their own budgets.
"""

from collections import OrderedDict
from collections.abc import Iterable

from app.config.schema import PlanConfig
from app.gateway.ports import Caller, Clock, LimitDecision, LimitType

# A bucket's level is an integer in units of one sixty-billionth of a token: at `limit` tokens per minute exactly `limit` units
# flow in per nanosecond. No rounding, so that a budget can neither leak nor grow, and `retry_after_seconds` is exact.
_UNITS_PER_TOKEN = 60 * 1_000_000_000
_SWEPT_PER_ADMISSION = 4
_UNLIMITED = LimitDecision(allowed=True)


class _Bucket:
    """One budget: `limit` tokens at most, refilled at `limit` per minute; below zero after a charge that overdrew it."""

    __slots__ = ("level", "limit", "updated_ns")

    def __init__(self, limit: int, now_ns: int) -> None:
        self.limit = limit
        self.level = limit * _UNITS_PER_TOKEN
        self.updated_ns = now_ns

    def refill(self, limit: int, now_ns: int) -> None:
        """Let in what flowed since the last call at the rate that held until now, then take over a limit that has changed."""
        elapsed_ns = max(0, now_ns - self.updated_ns)
        self.level = min(self.limit * _UNITS_PER_TOKEN, self.level + elapsed_ns * self.limit)
        self.updated_ns = max(self.updated_ns, now_ns)
        if limit != self.limit:
            self.limit = limit
            self.level = min(self.level, limit * _UNITS_PER_TOKEN)

    def wait_ns(self) -> int:
        """Nanoseconds until one whole token is available; 0 when it is."""
        missing = _UNITS_PER_TOKEN - self.level
        return max(0, -(-missing // self.limit))

    @property
    def reset_seconds(self) -> float:
        """Seconds until it is full again."""
        return max(0, self.limit * _UNITS_PER_TOKEN - self.level) / self.limit / 1_000_000_000

    @property
    def is_full(self) -> bool:
        return self.level >= self.limit * _UNITS_PER_TOKEN

    @property
    def whole_tokens(self) -> int:
        return max(0, self.level // _UNITS_PER_TOKEN)


class RateLimiter:
    """Requests and tokens per minute, per key and per plan. For one event loop; a limit must be at least 1, None is unlimited.

    A caller's own limits travel with it; the limits of all keys of a plan together come from
    `plans`. A full bucket is equal to an absent one: each admission looks at a few of the
    longest untouched and forgets the full, so memory follows the keys that were active within about
    a minute.
    """

    def __init__(self, plans: Iterable[PlanConfig], clock: Clock) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._clock = clock
        self._buckets: OrderedDict[tuple[LimitType, str], _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """How many buckets are kept."""
        return len(self._buckets)

    async def admit(self, caller: Caller) -> LimitDecision:
        """Take one request from each request budget, or refuse; a token budget only has to hold one token.

        Where several budgets are short, the response names the one that needs longest, so that a
        retry after `retry_after_seconds` finds all of them refilled (unless others took from the
        plan's).
        """
        limits = self._limits(caller)
        if not limits and not self._buckets:
            return _UNLIMITED
        now_ns = self._now_ns()
        self._sweep(now_ns)
        buckets: dict[LimitType, _Bucket] = {
            limit_type: self._bucket(limit_type, owner, limit, now_ns) for limit_type, owner, limit in limits
        }
        wait_ns = 0
        short: LimitType | None = None
        for limit_type, bucket in buckets.items():
            if bucket.wait_ns() > wait_ns:
                wait_ns, short = bucket.wait_ns(), limit_type
        if short is None:
            for limit_type, bucket in buckets.items():
                if limit_type in {"key_requests", "plan_requests"}:
                    bucket.level -= _UNITS_PER_TOKEN
        requests = _tightest(buckets, "key_requests", "plan_requests")
        tokens = _tightest(buckets, "key_tokens", "plan_tokens")
        return LimitDecision(
            allowed=short is None,
            limit_type=short,
            retry_after_seconds=wait_ns / 1_000_000_000,
            limit_requests=requests.limit if requests else None,
            remaining_requests=requests.whole_tokens if requests else None,
            limit_tokens=tokens.limit if tokens else None,
            remaining_tokens=tokens.whole_tokens if tokens else None,
            reset_requests_seconds=requests.reset_seconds if requests else None,
            reset_tokens_seconds=tokens.reset_seconds if tokens else None,
        )

    async def charge_tokens(self, caller: Caller, tokens: int) -> None:
        """Take `tokens` from the caller's token budgets, below zero where they do not hold them; none when not positive."""
        if tokens <= 0:
            return
        limits = self._limits(caller)
        if not limits:
            return
        now_ns = self._now_ns()
        for limit_type, owner, limit in limits:
            if limit_type in {"key_tokens", "plan_tokens"}:
                self._bucket(limit_type, owner, limit, now_ns).level -= tokens * _UNITS_PER_TOKEN

    def _limits(self, caller: Caller) -> list[tuple[LimitType, str, int]]:
        """What applies to the caller: limit type, whose budget, tokens per minute."""
        limits: list[tuple[LimitType, str, int]] = []
        if caller.requests_per_minute is not None:
            limits.append(("key_requests", caller.key_id, caller.requests_per_minute))
        if caller.tokens_per_minute is not None:
            limits.append(("key_tokens", caller.key_id, caller.tokens_per_minute))
        plan = self._plans.get(caller.plan)
        if plan is not None:
            if plan.plan_requests_per_minute is not None:
                limits.append(("plan_requests", plan.name, plan.plan_requests_per_minute))
            if plan.plan_tokens_per_minute is not None:
                limits.append(("plan_tokens", plan.name, plan.plan_tokens_per_minute))
        return limits

    def _bucket(self, limit_type: LimitType, owner: str, limit: int, now_ns: int) -> _Bucket:
        key = (limit_type, owner)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(limit, now_ns)
        else:
            bucket.refill(limit, now_ns)
            self._buckets.move_to_end(key)
        return bucket

    def _sweep(self, now_ns: int) -> None:
        for _ in range(min(_SWEPT_PER_ADMISSION, len(self._buckets))):
            key, bucket = next(iter(self._buckets.items()))
            bucket.refill(bucket.limit, now_ns)
            if bucket.is_full:
                del self._buckets[key]
            else:
                self._buckets.move_to_end(key)

    def _now_ns(self) -> int:
        return round(self._clock.monotonic() * 1_000_000_000)


def _tightest(buckets: dict[LimitType, _Bucket], *limit_types: LimitType) -> _Bucket | None:
    """Return the budget with the least left, which is the one that a client has to know of."""
    present = [buckets[limit_type] for limit_type in limit_types if limit_type in buckets]
    return min(present, key=lambda bucket: bucket.level, default=None)
