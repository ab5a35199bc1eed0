"""Counts what the gateway's metrics, its ledger and the upstreams must report, without the gateway's code.

Outcomes come from the plan and from the response, prices from decimal arithmetic. Only what is known exactly is
counted. Durations are not, but their counts are. Hits and misses of the key cache depend on the clock, so only their
sum is counted.
"""

from collections import Counter, deque
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeAlias

from demo.gateway_config import DemoModel, RoutePrice
from demo.traffic.mismatch import as_observed, is_slow_lookup, mismatch_in, without_key
from demo.traffic.plan import Observed, Planned, PlannedAttempt
from demo.upstream.script import REPORTED_COST_USD

Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""A sample: its name and its labels, sorted by key."""

APP_NAME: Final = "gatewayz"
KEY_LOOKUPS: Final = "cache_hits_total + cache_misses_total"
MONEY: Final = frozenset(
    {
        "credits_used_total",
        "gatewayz_cost_by_provider",
        "gatewayz_cost_usd_total",
        "gatewayz_exposure_usd_total",
        "gatewayz_reported_cost_difference_usd_total",
    }
)
"""Samples in US dollars; the counters hold nano-US-dollars."""

_CHARACTERS_PER_TOKEN: Final = 4  # the gateway's documented estimate where a provider reports no usage
_ASSUMED_TOKENS: Final = 4_096  # the documented length of an abandoned response whose request sets no limit
_REPORTED_COST: Final = int(Decimal(REPORTED_COST_USD) * 10**9)
_REMEMBERED_DURATIONS: Final = 5_000
_OK: Final = 200
_TOO_MANY: Final = 429
_LEAST_CERTAIN_FIRST: Final = ("estimated", "priced", "reported")
"""A ledger row has the source of its least certain attempt."""

_KEYS_WITHOUT_LOOKUP: Final = frozenset({"none", "malformed"})
_NOT_ALLOWED: Final = 405
_PAYLOAD_TOO_LARGE: Final = 413
_NANO: Final = Decimal(1000)  # nano-US-dollars per token at one US dollar per million


def series(name: str, **labels: str) -> Series:
    """Return the key of a sample."""
    return name, tuple(sorted(labels.items()))


class TrafficCounters:
    """The counts so far, for one event loop.

    `ledger` has a line per status and the sums. `attempts` and `abandoned` count by provider. `durations_seconds` are the
    latest. `trace_ids` are those of the requests whose response had a head. `allows_slow_database`: the gateway may respond
    with 503 because its database did not find a key in time, as on a busy computer; `slow_lookups` counts those.
    """

    def __init__(self, models: Iterable[DemoModel], *, allows_slow_database: bool = False) -> None:
        self.counts: Counter[Series] = Counter()
        self.ledger: Counter[str] = Counter()
        self.attempts: Counter[str] = Counter()
        self.abandoned: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.mismatches: list[str] = []
        self.durations_seconds: deque[float] = deque(maxlen=_REMEMBERED_DURATIONS)
        self.real_responses = 0
        self.trace_ids: set[str] = set()
        self.slow_lookups = 0
        self._allows_slow_database = allows_slow_database
        self._prices = {
            (model.name, route.provider): _Price(route, model.credit_multiplier)
            for model in models
            for route in model.routes
        }

    @property
    def requests(self) -> int:
        """How many requests were counted."""
        return self.statuses.total()

    def add(self, planned: Planned, observed: Observed) -> None:
        """Count one request that has ended."""
        if observed.trace_id is not None:
            self.trace_ids.add(observed.trace_id)
        if self._allows_slow_database and is_slow_lookup(observed):
            self.slow_lookups += 1
            planned = without_key(planned)
        planned = as_observed(planned, observed)
        mismatch = mismatch_in(planned, observed)
        if mismatch is not None:
            self.mismatches.append(f"request {planned.number} ({planned.kind}): {mismatch}")
        self.kinds[planned.kind] += 1
        if observed.is_whole:
            self.durations_seconds.append(observed.duration_seconds)
        was_limited = planned.limited is not None and observed.status_code == _TOO_MANY
        status_code = _TOO_MANY if was_limited else planned.status_code
        self._http(planned, status_code)
        if was_limited:
            self._count("rate_limited_requests", limit_type=planned.limited or "")
        elif planned.model is not None:
            self._call(planned, planned.model, observed)

    def _count(self, name: str, amount: int = 1, /, **labels: str) -> None:
        self.counts[series(name, **labels)] += amount

    def _http(self, planned: Planned, status_code: int) -> None:
        """Count what every request moves."""
        self.statuses[status_code] += 1
        route = {"app_name": APP_NAME, "method": planned.method, "path": planned.route}
        self._count("fastapi_requests_total", **route, status_code=str(status_code))
        self._count("fastapi_responses_total", **route, status_code=str(status_code))
        self._count("fastapi_requests_duration_seconds_count", **route)
        if planned.exception_type is not None:
            self._count("fastapi_exceptions_total", **route, exception_type=planned.exception_type)
        # The declared length is checked before the key, a path and a method before anything. A provider's 413 comes late.
        unread = planned.model is None and status_code in {_NOT_ALLOWED, _PAYLOAD_TOO_LARGE}
        serves = planned.route.startswith("/v1/") and not unread
        if serves and planned.key not in _KEYS_WITHOUT_LOOKUP:
            self._count(KEY_LOOKUPS, cache="api_key")

    def _call(self, planned: Planned, model: str, observed: Observed) -> None:
        """Count what a call moves: its attempts, its completion, its ledger row."""
        if planned.cache is not None:
            self._count("cache_hits_total" if planned.cache == "hit" else "cache_misses_total", cache="response")
        if planned.upstream_limited:
            self._count("rate_limited_requests", limit_type="upstream")
        costs = [self._attempt(planned, model, attempt, observed) for attempt in planned.attempts]
        self._row_cost(planned, model, costs)
        self._count("gatewayz_attempts_per_request_count", model=model)
        self._count("gatewayz_attempts_per_request_sum", len(planned.attempts), model=model)
        if planned.leaving != "stays":
            self._count(
                "gatewayz_cancelled_calls_total",
                provider=planned.attempts[-1].provider,
                model=model,
                phase=planned.leaving,
            )
        without_attempt = "success" if planned.status_code == _OK else "error"
        status = planned.attempts[-1].status if planned.attempts else without_attempt
        self.ledger[f"rows {status}"] += 1
        self.ledger["rows cached"] += planned.cache == "hit"
        self.ledger["attempts"] += len(planned.attempts)
        self.real_responses += bool(planned.attempts) and planned.attempts[-1].tokens == "answer" and observed.is_whole

    def _row_cost(self, planned: Planned, model: str, costs: list[tuple[str, int]]) -> None:
        """Add what a call cost to the sums of the ledger's rows: by model, by the last provider, by source."""
        cost = sum(amount for _, amount in costs)
        if not cost:
            return
        sources = {source for source, _ in costs}
        source = next(each for each in _LEAST_CERTAIN_FIRST if each in sources)
        for group in (f"of {model}", f"at {planned.attempts[-1].provider}", source):
            self.ledger[f"cost {group} (nano-USD)"] += cost

    def _attempt(self, planned: Planned, model: str, attempt: PlannedAttempt, observed: Observed) -> tuple[str, int]:
        """Count one attempt; return where its cost comes from, empty where nothing was used, and the cost."""
        route = {"provider": attempt.provider, "model": model}
        self.attempts[attempt.provider] += 1
        self.abandoned[attempt.provider] += attempt.is_abandoned
        if attempt.responded:
            self._count("provider_response_time_seconds_count", provider=attempt.provider)
        if attempt.status != "cancelled":
            self._count("model_inference_requests_total", **route, status=attempt.status)
        if attempt.status == "error":
            error_kind = (attempt.streamed_error_kind if planned.stream else "") or attempt.error_kind
            self._count("gatewayz_attempt_failures_total", **route, error_kind=error_kind)
        if attempt.status == "success":
            self._count("model_inference_duration_seconds_count", **route)
        if planned.stream and attempt.has_content:
            self._count("gatewayz_time_to_first_token_seconds_count", **route)
        tokens = _tokens(planned, attempt, observed)
        if attempt.status == "success" and planned.stream and attempt.has_content and tokens[1] > 1:
            self._count("gatewayz_output_tokens_per_second_count", **route)
        if attempt.tokens in {"delivered", "prompt"}:
            self._count("gatewayz_estimated_usage_total", **route)
        if attempt.reports_nonsense:
            for token_type in ("input", "output"):
                self._count("gatewayz_implausible_usage_total", **route, token_type=token_type)
        return self._money(planned, attempt, observed, tokens)

    def _money(
        self, planned: Planned, attempt: PlannedAttempt, observed: Observed, tokens: tuple[int, int]
    ) -> tuple[str, int]:
        """Count the tokens of an attempt, their cost, and what it may cost on top; return the source and the cost."""
        route = {"provider": attempt.provider, "model": planned.model or ""}
        price = self._prices[route["model"], route["provider"]]
        cached_tokens = tokens[0] // 2 if attempt.is_detailed else observed.cached_tokens
        if attempt.tokens not in {"reported", "answer"}:
            cached_tokens = 0
        cost = price.cost(tokens, cached_tokens)
        source = "estimated" if attempt.tokens in {"delivered", "prompt"} else "priced"
        self._detail(route, "cached", cached_tokens)
        if attempt.is_detailed:
            self._detail(route, "reasoning", tokens[1] // 3)
            self._reported(route, cost)
            if price.trusts_cost:
                cost, source = _REPORTED_COST, "reported"
        self._usage(route, tokens, cost, source)
        if attempt.is_abandoned and not planned.is_embedding:
            self._exposure(route, tokens, cost, planned.max_tokens)
        return (source if sum(tokens) else ""), cost

    def _detail(self, route: dict[str, str], token_detail: str, count: int) -> None:
        """Count a part of the tokens."""
        if count:
            self._count("gatewayz_tokens_detail_total", count, **route, token_detail=token_detail)
            self.ledger[f"{token_detail} tokens"] += count

    def _reported(self, route: dict[str, str], priced: int) -> None:
        """Count the provider's own figure, and by how much it differs from the price."""
        difference = _REPORTED_COST - priced
        direction = "over" if difference > 0 else "under"
        self._count("gatewayz_reported_cost_difference_usd_total", abs(difference), **route, direction=direction)
        self.ledger["reported (nano-USD)"] += _REPORTED_COST

    def _exposure(self, route: dict[str, str], tokens: tuple[int, int], cost: int, max_tokens: int) -> None:
        """Count what the provider may charge for the rest of a response that nobody waits for."""
        longest = max(max_tokens, tokens[1]) if max_tokens else max(_ASSUMED_TOKENS, 2 * tokens[1])
        exposure = self._prices[route["model"], route["provider"]].cost((tokens[0], longest)) - cost
        self._count("gatewayz_exposure_usd_total", exposure, **route)
        self.ledger["exposure (nano-USD)"] += exposure

    def _usage(self, route: dict[str, str], tokens: tuple[int, int], cost: int, source: str) -> None:
        """Count the tokens of an attempt and their cost."""
        credit = _whole(cost * self._prices[route["model"], route["provider"]].credit_multiplier)
        for token_type, count in zip(("input", "output"), tokens, strict=True):
            self._count("tokens_used_total", count, **route, token_type=token_type)
            self.ledger[f"{token_type} tokens"] += count
        self._count("gatewayz_cost_by_provider", cost, provider=route["provider"])
        self._count("gatewayz_cost_usd_total", cost, **route, cost_source=source)
        self._count("credits_used_total", credit, **route)
        self.ledger["cost (nano-USD)"] += cost
        self.ledger["credits (nano-USD)"] += credit


class _Price:
    """A route's prices, in nano-US-dollars per token."""

    def __init__(self, route: RoutePrice, credit_multiplier: str) -> None:
        self._input = Decimal(route.input_usd) * _NANO
        self._cached = self._input if route.cached_usd is None else Decimal(route.cached_usd) * _NANO
        self._output = Decimal(route.output_usd) * _NANO
        self.credit_multiplier = Decimal(credit_multiplier)
        self.trusts_cost = route.trusts_cost

    def cost(self, tokens: tuple[int, int], cached_tokens: int = 0) -> int:
        """Return the price of input and output, so much of the input from the provider's cache."""
        input_price = (tokens[0] - cached_tokens) * self._input + cached_tokens * self._cached
        return _whole(input_price + tokens[1] * self._output)


def _tokens(planned: Planned, attempt: PlannedAttempt, observed: Observed) -> tuple[int, int]:
    """Return the input and output tokens of an attempt."""
    match attempt.tokens:
        case "none":
            return 0, 0
        case "reported":
            return attempt.input_tokens, attempt.output_tokens
        case "answer":
            return observed.usage or (0, 0)
        case "prompt":
            return _estimate(planned.prompt_characters), 0
        case "delivered":
            return _estimate(planned.prompt_characters), 0 if planned.is_embedding else _estimate(observed.characters)


def _estimate(characters: int) -> int:
    """Return the tokens of a text of this length, rounded up."""
    return (characters + _CHARACTERS_PER_TOKEN - 1) // _CHARACTERS_PER_TOKEN


def _whole(nano: Decimal) -> int:
    return int(nano.quantize(Decimal(1), ROUND_HALF_UP))
