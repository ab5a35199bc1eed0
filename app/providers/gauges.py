"""What is known of the providers as metric families; what is unknown is absent.

Input: the states and the probes. Output: sample sources, read by the thread that collects.
They read at each collection, so that a gauge is as old as the scrape, and a provider that is no
longer configured has none.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from app.gateway.quota_headers import Quota
from app.providers.probes import Probes
from app.providers.provider import ProviderState
from app.providers.registry import ProviderStates
from otel.catalogue import causes, providers, semconv
from otel.metrics.instruments import Sample, SampleSource

Observe: TypeAlias = Callable[[str, SampleSource], None]
"""Gives an observable family its source: `Telemetry.observe`."""


def observe_providers(observe: Observe, states: ProviderStates, probes: Probes) -> None:
    """Register the families."""

    def known(value_of: Callable[[ProviderState], float | None]) -> SampleSource:
        def source() -> Iterable[Sample]:
            return [
                (value, {semconv.PROVIDER: name})
                for name, state in states.items()
                if (value := value_of(state)) is not None
            ]

        return source

    def breaker_states() -> Iterable[Sample]:
        """One series per state: 1 for the one that the breaker is in."""
        return [
            (float(current == each), {semconv.PROVIDER: name, semconv.STATE: each})
            for name, current in [(name, state.breaker_state) for name, state in states.items()]
            for each in semconv.BREAKER_STATES
        ]

    def model_breaker_states() -> Iterable[Sample]:
        """One series per state; a model with several targets at a provider is as its best one."""
        return [
            (float(current == each), {semconv.PROVIDER: provider, semconv.MODEL: model, semconv.STATE: each})
            for (provider, model), current in states.model_breaker_states().items()
            for each in semconv.BREAKER_STATES
        ]

    def listed_models() -> Iterable[Sample]:
        return [
            (float(is_listed), {semconv.PROVIDER: provider, semconv.MODEL: model})
            for (provider, model), is_listed in probes.listed_models().items()
        ]

    def quotas(value_of: Callable[[Quota], int | None]) -> SampleSource:
        def source() -> Iterable[Sample]:
            return [
                (value, {semconv.PROVIDER: provider, semconv.MODEL: model, semconv.QUOTA: kind})
                for (provider, model, kind), quota in states.quotas().items()
                if (value := value_of(quota)) is not None
            ]

        return source

    observe(causes.QUOTA_REMAINING, quotas(lambda quota: quota.remaining))
    observe(causes.QUOTA_LIMIT, quotas(lambda quota: quota.limit))
    observe(providers.AVAILABILITY, known(lambda state: state.availability))
    observe(providers.ERROR_RATE, known(lambda state: state.error_rate))
    observe(providers.HEALTH_SCORE, known(lambda state: state.health))
    observe(providers.BREAKER_STATE, breaker_states)
    observe(providers.MODEL_BREAKER_STATE, model_breaker_states)
    observe(providers.MODEL_LISTED, listed_models)
