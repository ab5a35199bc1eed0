"""The state of a provider or a model: its score taken apart, its breakers, and how bad it is."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from console.query.faults import OF_PROVIDERS
from console.query.gauges import Latest, latest_by, read_latest
from console.query.shapes.now import Breaker, BreakerState, Errors, Health, Level
from console.query.view import View
from otel.catalogue import providers, semconv

RED_SCORE: Final = 0.7
"""The alert ProviderHealthDegraded fires below it."""
AMBER_SCORE: Final = 0.9
RED_ERROR_SHARE: Final = 0.05
"""The alert HighErrorRate fires above it."""
MIN_FAILURES: Final = 3
"""Fewer failures of a window are no state of a provider."""

_AVAILABILITY_WEIGHT: Final = 0.4
_OTHER_WEIGHT: Final = 0.3
_STATES: Final[Sequence[BreakerState]] = ("open", "half_open", "closed")
"""The worst first: several gateways have a breaker each."""


def health_of(view: View) -> dict[str, Health]:
    """Return the health by provider: of several gateways that of the lowest score, whose terms belong together."""
    scores = latest_by(read_latest(view, providers.HEALTH_SCORE), semconv.PROVIDER)
    availability, errors = (
        {
            (sample.labels.get(semconv.PROVIDER, ""), sample.resource_id): sample.value
            for sample in read_latest(view, name)
        }
        for name in (providers.AVAILABILITY, providers.ERROR_RATE)
    )
    names = {*scores, *(provider for provider, _ in availability), *(provider for provider, _ in errors)}
    found = {}
    for name in names:
        worst = min(scores.get(name, ()), key=lambda sample: sample.value, default=None)
        resource = worst.resource_id if worst is not None else None
        found[name] = _health(
            None if worst is None else worst.value,
            _of_provider(availability, name, resource, min),
            _of_provider(errors, name, resource, max),
        )
    return found


def _of_provider(
    values: dict[tuple[str, int], float],
    provider: str,
    resource_id: int | None,
    worst: Callable[[Iterable[float]], float],
) -> float | None:
    """Return the value of one gateway, or of all where it is not known which one counts."""
    if resource_id is not None:
        return values.get((provider, resource_id))
    found = [value for (name, _), value in values.items() if name == provider]
    return worst(found) if found else None


def _health(score: float | None, availability: float | None, error_rate: float | None) -> Health:
    latency = None
    if score is not None and availability is not None and error_rate is not None:
        known = _AVAILABILITY_WEIGHT * availability + _OTHER_WEIGHT * (1 - error_rate)
        latency = min(1.0, max(0.0, round((score - known) / _OTHER_WEIGHT, 6)))
    return Health(score=score, availability=availability, error_rate=error_rate, latency_score=latency)


def breakers_of(
    of_providers: Iterable[Latest],
    of_models: Iterable[Latest],
    *,
    provider: str | None = None,
    model: str | None = None,
) -> list[Breaker]:
    """Return the breakers of a provider or of a model; of several gateways the worst state of each."""
    states: dict[tuple[str, str | None], BreakerState] = {}
    for sample in (*of_providers, *of_models):
        labels = sample.labels
        key = (labels.get(semconv.PROVIDER, ""), labels.get(semconv.MODEL))
        is_wanted = (provider is None or key[0] == provider) and (model is None or key[1] == model)
        state = next((each for each in _STATES if each == labels.get(semconv.STATE)), None)
        if is_wanted and sample.value == 1 and state is not None:
            known = states.get(key, "closed")
            states[key] = min(known, state, key=_STATES.index)
    order = sorted(states, key=lambda key: (key[1] is not None, key[0], key[1] or ""))
    return [Breaker(provider=key[0], model=key[1], state=states[key]) for key in order]


def level_of(
    errors: Errors, breakers: Sequence[Breaker], health: Health | None, *, uptime: float | None
) -> tuple[Level, list[str]]:
    """Return the level and the reasons for it, in words.

    Only failures of providers and of the network count: a caller can make no provider red.
    """
    red: list[str] = []
    amber: list[str] = []
    for breaker in breakers:
        if breaker.state == "closed":
            continue
        what = breaker.provider if breaker.model is None else f"{breaker.model} at {breaker.provider}"
        (red if breaker.state == "open" else amber).append(f"circuit breaker of {what} is {breaker.state}")
    score = None if health is None else health.score
    if score is not None and score < AMBER_SCORE:
        (red if score < RED_SCORE else amber).append(f"health {score:.2f}")
    share = own_failure_share(errors)
    if share:
        is_red = share > RED_ERROR_SHARE and _own_failures(errors) >= MIN_FAILURES
        (red if is_red else amber).append(f"{100 * share:.3g}% fail at the provider")
    if red or amber:
        return ("red" if red else "amber"), red + amber
    is_known = score is not None or errors.attempts is not None or bool(breakers) or uptime is not None
    return ("green" if is_known else "unknown"), []


def own_failure_share(errors: Errors) -> float | None:
    """Return the share of attempts that failed by a fault of the provider or the network; None without attempts."""
    return _own_failures(errors) / errors.attempts if errors.attempts else None


def _own_failures(errors: Errors) -> float:
    return sum(cause.count for cause in errors.by_cause if cause.fault in OF_PROVIDERS or cause.fault is None)
