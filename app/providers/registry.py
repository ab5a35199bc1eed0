"""The state of every configured provider, by name; the gateway's port to them.

Input: the start and the end of each attempt, and probe results. Output: permits for attempts, and
the states for gauges and `/health/ready`. A provider that is no longer configured has no state.
"""

from collections.abc import ItemsView, Iterable, Sequence
from typing import Final

from app.config.schema import AppConfig
from app.gateway.ports import AttemptObserver, Blocked, Clock, Target
from app.gateway.quota_headers import Quota, QuotaKind
from app.providers.attempt_windows import AttemptWindows
from app.providers.breaker import BreakerState
from app.providers.provider import AttemptPermit, ProviderState
from otel.events import Recorder

_BEST_FIRST: Final[tuple[BreakerState, ...]] = ("closed", "half_open", "open")
_EVIDENCE_INTERVALS: Final = 3.0
"""A probe's result is valid for so many intervals, should the next ones fail to come."""


class ProviderStates:
    """Satisfies `ProviderGate`. For one event loop; what a `ProviderState` shows is safe from any thread."""

    def __init__(
        self, config: AppConfig, clock: Clock, recorder: Recorder, *, observers: Sequence[AttemptObserver] = ()
    ) -> None:
        self._clock = clock
        self.windows = AttemptWindows(
            (provider.name for provider in config.providers),
            config.routes,
            clock.monotonic(),
        )
        self._routes = [
            (route.provider, model.name, route.upstream_model) for model in config.models for route in model.routes
        ]
        upstream_models: dict[str, list[str]] = {provider.name: [] for provider in config.providers}
        for provider_name, _, upstream_model in self._routes:
            upstream_models[provider_name].append(upstream_model)
        self._states = {
            provider.name: ProviderState(
                provider,
                config.breaker,
                upstream_models=upstream_models[provider.name],
                windows=self.windows,
                observers=(self.windows, *observers),
                evidence_seconds=_EVIDENCE_INTERVALS * config.probes.provider_interval_seconds,
                clock=clock,
                recorder=recorder,
            )
            for provider in config.providers
        }

    def __getitem__(self, provider: str) -> ProviderState:
        return self._states[provider]

    def items(self) -> ItemsView[str, ProviderState]:
        """Return the states with the providers' names; the set never changes."""
        return self._states.items()

    def admit(self, provider: str, upstream_model: str) -> AttemptPermit | None:
        """Return the permit for one attempt, or None while the provider or its model is skipped."""
        return self._states[provider].admit(upstream_model)

    def blocked(self, targets: Iterable[Target]) -> Blocked:
        """Return for how long the first of these targets is skipped, and whether all of them only wait for a rate limit."""
        now_seconds = self._clock.monotonic()
        waits: list[float] = []
        is_rate_limited = True
        for provider, upstream_model in targets:
            state = self._states[provider]
            target = state.targets[upstream_model]
            by_breaker = max(each.retry_after_seconds(now_seconds) for each in (state.breaker, target.breaker))
            paused = target.paused_seconds()
            is_rate_limited = is_rate_limited and paused > 0 and by_breaker == 0
            waits.append(max(by_breaker, paused))
        return Blocked(retry_after_seconds=min(waits), is_rate_limited=is_rate_limited)

    def model_breaker_states(self) -> dict[tuple[str, str], BreakerState]:
        """Return the state of the breaker of each model at each of its providers: the best one's where it has several targets there."""
        found: dict[tuple[str, str], BreakerState] = {}
        for provider, model, upstream_model in self._routes:
            state = self._states[provider].targets[upstream_model].breaker_state
            found[provider, model] = min(found.get((provider, model), state), state, key=_BEST_FIRST.index)
        return found

    def quotas(self) -> dict[tuple[str, str, QuotaKind], Quota]:
        """Return what is left of the known quotas of each model at each of its providers: the most where it has several targets there."""
        found: dict[tuple[str, str, QuotaKind], Quota] = {}
        for provider, model, upstream_model in self._routes:
            for kind, quota in self._states[provider].targets[upstream_model].quotas.items():
                key = provider, model, kind
                found[key] = max(found.get(key, quota), quota, key=lambda each: each.remaining)
        return found

    async def advance(self) -> None:
        """Make the transitions that are due by time; run once a second, it keeps their counter correct without traffic."""
        for state in self._states.values():
            state.advance()
