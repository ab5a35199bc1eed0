"""Applies the phases of a scenario to the upstream, and prints how the gateway rates each provider.

The ratings come from the gateway's `/prometheus/metrics/summary`.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from demo.gateway_config import CLOSED_PROVIDER, EXAMPLE_PROVIDER, REAL_PROVIDER
from demo.scenarios import Phase, Scenario
from demo.upstream.script import PERSONAS

_OK: Final = 200
_UNAVAILABLE: Final = 503


class ScenarioPlayer:
    """One scenario in one run, for one event loop."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        cadence: float,
        session: aiohttp.ClientSession,
        gateway_url: str,
        upstream_url: str,
    ) -> None:
        self._scenario = scenario
        self._cadence = cadence
        self._session = session
        self._gateway_url = gateway_url
        self._upstream_url = upstream_url
        self._applied: dict[str, int] = {}

    async def step(self, elapsed_seconds: float) -> Phase:
        """Apply the phase to the upstream's lists of models; return the phase. Raises `aiohttp.ClientError`."""
        phase = self._scenario.phase_at(elapsed_seconds, self._cadence)
        for persona in PERSONAS:
            status = _UNAVAILABLE if phase.condition(persona).list_is_down else _OK
            if self._applied.get(persona, _OK) != status:
                url = f"{self._upstream_url}/_upstream/list/{persona}/{status}"
                async with self._session.post(url) as response:
                    response.raise_for_status()
                self._applied[persona] = status
        return phase

    async def providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the gateway's ratings of its providers, by name. Raises `aiohttp.ClientError`."""
        url = f"{self._gateway_url}/prometheus/metrics/summary?category=providers"
        async with self._session.get(url) as response:
            response.raise_for_status()
            summary: Mapping[str, Mapping[str, Mapping[str, Any]]] = await response.json()
        return summary["providers"]

    def lines(self, phase: Phase, providers: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Return the phase and the ratings of `providers` as lines."""
        return scenario_lines(self._scenario.name, phase, providers)


def scenario_lines(scenario: str, phase: Phase, providers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the lines that a scenario adds to the summary: the same number of them each time for the same providers."""
    head = f"  {'scenario':<12}{scenario}: {phase.name}"
    titles = f"  {'':<12}{'breaker':>10}{'health':>7}{'available':>10}{'errors 5m':>10}{'cost':>8}"
    return [head, titles, *(_provider_line(name, providers[name]) for name in providers if name not in _QUIET)]


_QUIET: Final = frozenset({CLOSED_PROVIDER, EXAMPLE_PROVIDER, REAL_PROVIDER, "stalling"})
"""Providers that no scenario is about."""


def _provider_line(name: str, state: Mapping[str, Any]) -> str:
    return (
        f"  {name:<12}{state['circuit_breaker'] or '-':>10}{_share(state['health_score']):>7}"
        f"{_share(state['availability']):>10}{_share(state['error_rate_5m']):>10}{_usd(state['cost_usd']):>8}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _usd(value: float | None) -> str:
    return "-" if value is None else f"${value:.3f}"
