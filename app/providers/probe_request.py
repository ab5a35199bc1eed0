"""The request that probes a provider: one GET over the way that calls take. The gateway's probes and the doctor send it.

Input: the providers' configuration and secrets. Output: responses, lists of models, and why there was none, in words without
an address and without a secret.
"""

from collections.abc import Iterable
from typing import Final

import aiohttp
import msgspec

from app.config.load import Secrets
from app.config.schema import AppConfig, ProviderConfig
from app.gateway.provider_endpoint import HEADER_BOUNDS, ProviderEndpoint, ProviderSecrets, provider_secrets
from app.gateway.transport_failure import failure_of_exception

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
NO_RESPONSE: Final = (aiohttp.ClientError, OSError, ValueError, TimeoutError)
"""What a request raises that got no response, or whose response broke off."""


class _ListedModel(msgspec.Struct, frozen=True):
    id: str


class ModelList(msgspec.Struct, frozen=True):
    """A provider's list of models; `has_more`: of which there are further pages."""

    data: tuple[_ListedModel, ...]
    has_more: bool = False

    @property
    def ids(self) -> frozenset[str]:
        """The provider's names of the models."""
        return frozenset(model.id for model in self.data)

    def names_one_of(self, ids: Iterable[str]) -> bool | None:
        """Whether one of these ids is in the list; None where it may be on a further page."""
        is_listed = not self.ids.isdisjoint(ids)
        return None if self.has_more and not is_listed else is_listed


class ProbeRequest:
    """What is sent to one provider."""

    def __init__(self, config: ProviderConfig, secrets: ProviderSecrets) -> None:
        self.path = config.probe_path
        self._endpoint = ProviderEndpoint(config, secrets)
        self._headers = {"accept": "application/json", **self._endpoint.headers}

    def get(self, session: aiohttp.ClientSession, path: str) -> "aiohttp.client._RequestContextManager":
        """Send a GET of a path below `base_url`; raises one of `NO_RESPONSE`."""
        url = self._endpoint.url(path)
        return session.get(url, headers=self._headers, allow_redirects=False, **self._endpoint.request_options)

    def shown_url(self, path: str) -> str:
        """Return the URL for a log line or a finding: without its query, which may hold a secret, and without user information."""
        return str(self._endpoint.url(path).with_query(None).with_user(None))


def probe_requests(config: AppConfig, secrets: Secrets) -> dict[str, ProbeRequest]:
    """Return the request of each provider, by its name."""
    of_provider = provider_secrets(config, secrets)
    return {provider.name: ProbeRequest(provider, of_provider[provider.name]) for provider in config.providers}


def probe_session(timeout_seconds: float) -> aiohttp.ClientSession:
    """Return a session that reuses no connection: a probe must find out whether a new one can be made."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        **HEADER_BOUNDS,
    )


def why_no_response(error: BaseException, timeout_seconds: float) -> str:
    """Return why there was no response; the error's own text may hold the URL's query or a proxy's address."""
    if isinstance(error, TimeoutError):
        return f"did not respond within {timeout_seconds:g} s"
    return f"failed: {failure_of_exception(error, was_reused=False).reason}"


async def read_list(response: aiohttp.ClientResponse) -> ModelList | None:
    """Read the body as a list of models; None where it is not one, or is larger than any should be."""
    return list_of(await _read(response))


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
