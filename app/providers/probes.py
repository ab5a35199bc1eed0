"""Probes the providers: whether each is reachable, and whether it lists the models that are routed to it.

Input: the providers' addresses and keys. Output: findings for `ProviderStates`, one event per
probe, and which models are listed. A probe has a connection and a timeout of its own, is
neither counted nor limited as traffic, and costs no tokens.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import aiohttp
import msgspec

from app.config.schema import AppConfig, ProviderConfig
from app.gateway.ports import Clock
from app.gateway.provider_endpoint import ProviderSecrets
from app.providers.probe_request import NO_RESPONSE, ModelList, ProbeRequest, probe_session, read_list, why_no_response
from app.providers.registry import ProviderStates
from otel.events import ProbeFinished, Recorder

Finding: TypeAlias = Literal["up", "down", "unclear"]

_SERVER_ERRORS: Final = range(500, 600)
# The gateway's key or account is refused, or the server is not ready: a call would fare no better.
_DOWN: Final = frozenset({401, 402, 403, 407, 408, 425})
_FRESH_INTERVALS: Final = 3.0


class _Listing(msgspec.Struct, frozen=True):
    """Which routed models a provider's list contains, and when it was read."""

    at_seconds: float
    is_listed: Mapping[str, bool]


class Probes:
    """Probes every provider of a configuration. For one event loop; `listed_models` is safe from any thread."""

    def __init__(
        self,
        config: AppConfig,
        secrets: Mapping[str, ProviderSecrets],
        states: ProviderStates,
        *,
        clock: Clock,
        recorder: Recorder,
    ) -> None:
        self._providers = config.providers
        self._requests = {
            provider.name: ProbeRequest(provider, secrets.get(provider.name) or ProviderSecrets())
            for provider in config.providers
        }
        self._states = states
        self._clock = clock
        self._recorder = recorder
        self._timeout_seconds = config.probes.timeout_seconds
        self._fresh_seconds = _FRESH_INTERVALS * config.probes.model_interval_seconds
        self._upstream_models: dict[str, dict[str, list[str]]] = {provider.name: {} for provider in config.providers}
        for model in config.models:
            for route in model.routes:
                self._upstream_models[route.provider].setdefault(model.name, []).append(route.upstream_model)
        self._listings: dict[str, _Listing] = {}

    async def probe_providers(self) -> None:
        """Probe each provider, all at once."""
        async with probe_session(self._timeout_seconds) as session:
            await asyncio.gather(*(self._probe(session, provider) for provider in self._providers))

    async def probe_models(self) -> None:
        """Read each provider's list of models, all at once."""
        async with probe_session(self._timeout_seconds) as session:
            await asyncio.gather(*(self._list(session, provider) for provider in self._providers))

    def listed_models(self) -> Mapping[tuple[str, str], bool]:
        """Return by provider and model whether the provider lists it; models without a fresh list are absent."""
        oldest_seconds = self._clock.monotonic() - self._fresh_seconds
        return {
            (provider, model): is_listed
            for provider, listing in self._listings.copy().items()
            if listing.at_seconds > oldest_seconds
            for model, is_listed in listing.is_listed.items()
        }

    async def _probe(self, session: aiohttp.ClientSession, provider: ProviderConfig) -> None:
        finding: Finding
        request = self._requests[provider.name]
        try:
            async with request.get(session, request.path) as response:
                finding, reason = finding_of(response.status), f"returned {response.status}"
        except NO_RESPONSE as error:
            finding, reason = "down", why_no_response(error, self._timeout_seconds)
        if finding != "unclear":
            found = f"GET {request.shown_url(request.path)} (base_url and probe_path) {reason}"
            self._states[provider.name].probed(available=finding == "up", reason=found)
        self._recorder.record(ProbeFinished(provider=provider.name, outcome=finding))

    async def _list(self, session: aiohttp.ClientSession, provider: ProviderConfig) -> None:
        models: ModelList | None = None
        try:
            async with self._requests[provider.name].get(session, "models") as response:
                if response.status == HTTPStatus.OK:
                    models = await read_list(response)
        except NO_RESPONSE:
            # A provider that does not respond is reported by the other probe.
            return
        if models is None:
            self._listings.pop(provider.name, None)
            return
        found = {model: models.names_one_of(ids) for model, ids in self._upstream_models[provider.name].items()}
        is_listed = {model: listed for model, listed in found.items() if listed is not None}
        self._listings[provider.name] = _Listing(self._clock.monotonic(), is_listed)


def finding_of(status: int) -> Finding:
    """Return the finding of a probe's HTTP status. A provider without the probed path is up; one that is rate limited may or may not be."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "unclear"
    return "down" if status in _SERVER_ERRORS or status in _DOWN else "up"
