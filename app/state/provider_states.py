"""PROVIDER STATES: the state of every configured provider, behind the gateway's port and in front of the gauges.

Comes in: what `app/gateway` asks before and says after each attempt, and probe results. Goes out: permits, and the samples of the
gauges, each absent where nothing is known. What is not configured any more has no state, so its series vanish.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from app.config import AppConfig
from app.gateway.ports import Clock
from app.state.attempt_windows import AttemptWindows
from app.state.provider_state import AttemptPermit, ProviderState
from otel import semconv
from otel.events import Recorder
from otel.instruments import Sample, SampleSource

_EVIDENCE_INTERVALS: Final = 3.0
"""A probe's result stands in for so many intervals, should the next ones fail to come."""


class ProviderStates:
    """Satisfies `ProviderGate`. For one event loop; the gauges' sources are safe from any thread."""

    def __init__(self, config: AppConfig, clock: Clock, recorder: Recorder) -> None:
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
                evidence_seconds=_EVIDENCE_INTERVALS * config.probes.provider_interval_seconds,
                clock=clock,
                recorder=recorder,
            )
            for provider in config.providers
        }

    def __getitem__(self, provider: str) -> ProviderState:
        return self._states[provider]

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

    def gauges(self) -> Mapping[str, SampleSource]:
        """Return the sources of the provider gauges, by family."""
        return {
            "provider_availability": self._known(lambda state: state.availability),
            "provider_error_rate": self._known(lambda state: state.error_rate),
            "gatewayz_provider_health_score": self._known(lambda state: state.health),
            "gatewayz_circuit_breaker_state": self._breaker_states,
        }

    def _known(self, value_of: Callable[[ProviderState], float | None]) -> SampleSource:
        def source() -> Iterable[Sample]:
            values = ((name, value_of(state)) for name, state in self._states.items())
            return [(value, {semconv.PROVIDER: name}) for name, value in values if value is not None]

        return source

    def _breaker_states(self) -> Iterable[Sample]:
        """One series per state: 1 for the one that the breaker is in."""
        now_seconds = self._clock.monotonic()
        states = ((name, state.breaker.state(now_seconds)) for name, state in self._states.items())
        return [
            (float(state == each), {semconv.PROVIDER: name, semconv.STATE: each})
            for name, state in states
            for each in semconv.BREAKER_STATES
        ]
