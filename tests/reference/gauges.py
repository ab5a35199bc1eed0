"""What the gauges must show at the end, from the traffic program's own counts and the documented formulas."""

from collections import Counter
from typing import Final

from demo.gateway_config import MODELS
from tests.reference.played import Played
from tests.reference.quantities import Expected, Labels, Number

STATES: Final = ("closed", "open", "half_open")
PROVIDERS: Final = tuple(dict.fromkeys(route.provider for model in MODELS for route in model.routes))
_TARGET_SECONDS: Final = 2.0
_LIMIT_SECONDS: Final = 20.0
_NOT_THE_PROVIDERS: Final = frozenset({"rate_limited", "upstream_4xx"})
"""Kinds of failure that are the caller's, or the policy's, fault: docs/gateway.md."""

_NOT_A_FAILURE_OF_THE_MODEL: Final = frozenset({"upstream_4xx"})
"""What a caller alone causes is no failure of a model: docs/metrics.md."""

_ATTEMPTS: Final = "model_inference_requests_total"
_FAILURES: Final = "gatewayz_attempt_failures_total"


def availability(played: Played) -> Expected:
    """1 for what listens, 0 for what does not."""
    return _by_provider({name: Number.exact(float(name not in played.unreachable)) for name in PROVIDERS})


def error_rate(played: Played) -> Expected:
    """Failed share of the attempts of the last 5 minutes, which is all of them."""
    attempts, failures = _evidence(played)
    return _by_provider({name: Number.exact(failures[name] / attempts[name]) for name in PROVIDERS if attempts[name]})


def health(played: Played) -> Expected:
    """0.4 availability + 0.3 (1 - error rate) + 0.3 latency score; what the client's clock leaves open of the latter is between bounds."""
    attempts, failures = _evidence(played)
    scores = {}
    for labels, available in availability(played).values.items():
        name = dict(labels)["provider"]
        if not attempts[name]:
            scores[name] = available
            continue
        low, high = _latency_scores(played, name) if attempts[name] > failures[name] else (0.0, 0.0)
        base = 0.4 * available.high + 0.3 * (1 - failures[name] / attempts[name])
        scores[name] = Number(base + 0.3 * low, base + 0.3 * high)
    return _by_provider(scores)


def breaker(played: Played) -> dict[Labels, tuple[float, float]]:
    """Each state before and after: closed, and open where it was made to open."""
    values = {}
    for name in PROVIDERS:
        state_after = "open" if name in played.open_breakers else "closed"
        for state in STATES:
            labels = (("provider", name), ("state", state))
            values[labels] = (float(state == "closed"), float(state == state_after))
    return values


def uptime(played: Played) -> Expected:
    """Successful share of the calls by model; those whose client left, and those that were the caller's fault, are left out."""
    successes: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for planned, observed in played.seen:
        if planned.model is None or planned.leaving != "stays":
            continue
        last = planned.attempts[-1] if planned.attempts else None
        if last is None or last.status == "success":
            successes[planned.model] += observed.status_code == 200
        elif last.error_kind not in _NOT_A_FAILURE_OF_THE_MODEL:
            failures[planned.model] += 1
    return _by_model(
        {
            name: successes[name] / (successes[name] + failures[name])
            for name in sorted(successes.keys() | failures.keys())
            if successes[name] + failures[name]
        }
    )


def efficiency(played: Played) -> Expected:
    """Output tokens per input token of all time, by model."""
    tokens: dict[str, Counter[str]] = {"input": Counter(), "output": Counter()}
    for (name, pairs), count in played.after.items():
        if name == "tokens_used_total":
            labels = dict(pairs)
            tokens[labels["token_type"]][labels["model"]] += count
    return _by_model({name: tokens["output"][name] / count for name, count in tokens["input"].items() if count})


def subscriptions(played: Played) -> Expected:
    """Active keys by plan, without trials."""
    return Expected({(("plan", plan),): Number.exact(float(count)) for plan, count in played.keys_by_plan.items()})


def _evidence(played: Played) -> tuple[Counter[str], Counter[str]]:
    """Return attempts and failures by provider that are evidence about it."""
    attempts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for (name, pairs), count in played.after.items():
        labels = dict(pairs)
        if name == _ATTEMPTS and labels["status"] == "success":
            attempts[labels["provider"]] += count
        elif name == _FAILURES and labels["error_kind"] not in _NOT_THE_PROVIDERS:
            attempts[labels["provider"]] += count
            failures[labels["provider"]] += count
    return attempts, failures


def _latency_scores(played: Played, provider: str) -> tuple[float, float]:
    """Return between what the score lies: responses take no longer than their clients waited."""
    waits = sorted(
        observed.duration_seconds
        for planned, observed in played.seen
        for attempt in planned.attempts
        if attempt.provider == provider and attempt.status == "success"
    )
    p95_seconds = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
    low = (_LIMIT_SECONDS - p95_seconds) / (_LIMIT_SECONDS - _TARGET_SECONDS)
    return min(1.0, max(0.0, low)), 1.0


def _by_provider(values: dict[str, Number]) -> Expected:
    return Expected({(("provider", name),): value for name, value in values.items()})


def _by_model(values: dict[str, float]) -> Expected:
    return Expected({(("model", name),): Number.exact(value) for name, value in values.items()})
