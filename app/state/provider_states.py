"""PROVIDER STATES: the state of every configured provider, by name; the gateway's port to them.

Comes in: what `app/gateway` asks before and says after each attempt, and probe results. Goes out: permits, and the states for whoever
shows them. What is not configured any more has no state.
"""

from collections.abc import ItemsView, Iterable, Sequence
from typing import Final

from app.config import AppConfig
from app.gateway.ports import AttemptObserver, Clock
from app.state.attempt_windows import AttemptWindows
from app.state.provider_state import AttemptPermit, ProviderState
from otel.events import Recorder

_EVIDENCE_INTERVALS: Final = 3.0
"""A probe's result stands in for so many intervals, should the next ones fail to come."""


class ProviderStates:
    """Satisfies `ProviderGate`. For one event loop; what a `ProviderState` shows is safe from any thread."""

    def __init__(
        self, config: AppConfig, clock: Clock, recorder: Recorder, *, observers: Sequence[AttemptObserver] = ()
    ) -> None:
        self._clock = clock
        self.windows = AttemptWindows(
            (provider.name for provider in config.providers),
            ((route.provider, model.name) for model in config.models for route in model.routes),
            clock.monotonic(),
        )
        self._states = {
            provider.name: ProviderState(
                provider,
                config.breaker,
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

    def admit(self, provider: str) -> AttemptPermit | None:
        """Return the permit for one attempt, or None while the provider is left alone."""
        return self._states[provider].admit()

    def retry_after_seconds(self, providers: Iterable[str]) -> float:
        """Return after how long the first of these providers may admit a call again."""
        now_seconds = self._clock.monotonic()
        return min(self._states[provider].breaker.retry_after_seconds(now_seconds) for provider in providers)

    async def settle(self) -> None:
        """Make the transitions that are due by time; run once a second, it keeps their counter true without traffic."""
        for state in self._states.values():
            state.settle()
