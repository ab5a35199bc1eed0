"""Probes the providers: whether each is reachable, and whether it lists the models that are routed to it.

Input: the providers' addresses and keys. Output: findings for `ProviderStates`, one event per
probe, and which models are listed. A probe has a connection and a timeout of its own, is
neither counted nor limited as traffic, and costs no tokens.
"""

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

import aiohttp
import msgspec

from app.config.schema import AppConfig, ProviderConfig
from app.gateway.ports import Clock
from app.gateway.provider_endpoint import HEADER_BOUNDS, ProviderEndpoint, ProviderSecrets
from app.gateway.transport_failure import failure_of_exception
from app.providers.registry import ProviderStates
from otel.events import ProbeFinished, Recorder

Finding: TypeAlias = Literal["up", "down", "unclear"]

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
_SERVER_ERRORS: Final = range(500, 600)
# The gateway's key or account is refused, or the server is not ready: a call would fare no better.
_DOWN: Final = frozenset({401, 402, 403, 407, 408, 425})
_FRESH_INTERVALS: Final = 3.0


class _ListedModel(msgspec.Struct, frozen=True):
    id: str


class ModelList(msgspec.Struct, frozen=True):
    """A provider's list of models; `has_more`: of which there are further pages."""

    data: tuple[_ListedModel, ...]
    has_more: bool = False

    def names_one_of(self, ids: Iterable[str]) -> bool | None:
        """Whether one of these ids is in the list; None where it may be on a further page."""
        is_listed = not {model.id for model in self.data}.isdisjoint(ids)
        return None if self.has_more and not is_listed else is_listed


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
        self._endpoints = {
            provider.name: ProviderEndpoint(provider, secrets.get(provider.name) or ProviderSecrets())
            for provider in config.providers
        }
        self._states = states
        self._clock = clock
        self._recorder = recorder
        self._timeout = aiohttp.ClientTimeout(total=config.probes.timeout_seconds)
        self._fresh_seconds = _FRESH_INTERVALS * config.probes.model_interval_seconds
        self._upstream_models: dict[str, dict[str, list[str]]] = {provider.name: {} for provider in config.providers}
        for model in config.models:
            for route in model.routes:
                self._upstream_models[route.provider].setdefault(model.name, []).append(route.upstream_model)
        self._listings: dict[str, _Listing] = {}

    async def probe_providers(self) -> None:
        """Probe each provider, all at once."""
        async with self._session() as session:
            await asyncio.gather(*(self._probe(session, provider) for provider in self._providers))

    async def probe_models(self) -> None:
        """Read each provider's list of models, all at once."""
        async with self._session() as session:
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

    def _session(self) -> aiohttp.ClientSession:
        """Return a session that reuses no connection: a probe must find out whether a new one can be made."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            **HEADER_BOUNDS,
        )

    async def _probe(self, session: aiohttp.ClientSession, provider: ProviderConfig) -> None:
        finding: Finding
        try:
            async with self._get(session, provider, provider.probe_path) as response:
                finding, reason = finding_of(response.status), f"returned {response.status}"
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            finding, reason = "down", self._reason_of(error)
        if finding != "unclear":
            # Without its query, which `base_url` may have.
            url = self._endpoints[provider.name].url(provider.probe_path).with_query(None)
            found = f"GET {url} (base_url and probe_path) {reason}"
            self._states[provider.name].probed(available=finding == "up", reason=found)
        self._recorder.record(ProbeFinished(provider=provider.name, outcome=finding))

    def _reason_of(self, error: BaseException) -> str:
        """Return why there was no response; the error's own text may hold a proxy's address."""
        if isinstance(error, TimeoutError):
            return f"did not respond within {self._timeout.total:g} s"
        return f"failed: {failure_of_exception(error, was_reused=False).reason}"

    async def _list(self, session: aiohttp.ClientSession, provider: ProviderConfig) -> None:
        models: ModelList | None = None
        try:
            async with self._get(session, provider, "models") as response:
                if response.status == HTTPStatus.OK:
                    models = list_of(await _read(response))
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            # A provider that does not respond is reported by the other probe.
            return
        if models is None:
            self._listings.pop(provider.name, None)
            return
        found = {model: models.names_one_of(ids) for model, ids in self._upstream_models[provider.name].items()}
        is_listed = {model: listed for model, listed in found.items() if listed is not None}
        self._listings[provider.name] = _Listing(self._clock.monotonic(), is_listed)

    def _get(
        self, session: aiohttp.ClientSession, provider: ProviderConfig, path: str
    ) -> "aiohttp.client._RequestContextManager":
        endpoint = self._endpoints[provider.name]
        headers = {"accept": "application/json", **endpoint.headers}
        return session.get(endpoint.url(path), headers=headers, allow_redirects=False, **endpoint.request_options)


def finding_of(status: int) -> Finding:
    """Return the finding of a probe's HTTP status. A provider without the probed path is up; one that is rate limited may or may not be."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "unclear"
    return "down" if status in _SERVER_ERRORS or status in _DOWN else "up"


def list_of(body: bytes) -> ModelList | None:
    """Read a list of models; None where the body is not one."""
    try:
        return msgspec.json.decode(body, type=ModelList)
    except (ValueError, RecursionError):
        return None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; empty, which is not a list, where it is larger than any list should be."""
    parts: list[bytes] = []
    left = MAX_LIST_BYTES
    while left >= 0 and (part := await response.content.readany()):
        parts.append(part)
        left -= len(part)
    return b"".join(parts) if left >= 0 else b""
