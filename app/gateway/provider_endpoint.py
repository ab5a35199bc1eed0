"""How requests reach a provider: URLs, headers, proxy. Calls, probes and the doctor use the same.

Input: a provider's configuration, its secrets, the proxies of the environment. Output: what the
HTTP client needs, and a `Scrub` that knows all of it.
"""

import base64
import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from yarl import URL

from app.config.load import Secrets
from app.config.schema import AppConfig, ProviderConfig
from app.gateway.openai.provider_reason import Scrub

USER_AGENT: Final = "gatewayz"
MAX_HEADER_BYTES: Final = 64 * 1024
MAX_HEADER_FIELDS: Final = 512
HEADER_BOUNDS: Final[Mapping[str, Any]] = {
    "max_line_size": MAX_HEADER_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADER_FIELDS,
}
"""Arguments of a client session: what the head of a provider's response may hold."""

_NO_PROXY: Final = "off"


class ProviderSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration of a provider names by environment variable, and the environment's own proxies by scheme (`no`: `NO_PROXY`)."""

    api_key: str | None = None
    headers: Mapping[str, str] = {}
    proxy: str | None = None
    environment: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "ProviderSecrets(...)"


def provider_secrets(config: AppConfig, secrets: Secrets) -> dict[str, ProviderSecrets]:
    """Return the secrets of each provider, by its name."""
    return {
        each.name: ProviderSecrets(
            api_key=secrets.provider_keys.get(each.name),
            headers=secrets.provider_headers.get(each.name, {}),
            proxy=secrets.provider_proxies.get(each.name),
            environment=secrets.proxies,
        )
        for each in config.providers
    }


class ProviderEndpoint:
    """One provider's address. `headers` are those of every request; `proxy` is None for a direct connection."""

    def __init__(self, config: ProviderConfig, secrets: ProviderSecrets) -> None:
        base = URL(config.base_url)
        self._query = base.query
        self._base = base.with_query(None).with_path(base.path.rstrip("/") + "/")
        self.host = base.host or ""
        self.port = base.port or 0
        # Compression saves little on responses of a few kilobytes, and holds streamed tokens back.
        self.headers: dict[str, str] = {"accept-encoding": "identity", "user-agent": USER_AGENT}
        self.headers |= {name.lower(): value for name, value in {**config.headers, **secrets.headers}.items()}
        if secrets.api_key:
            scheme = "Bearer " if config.api_key_header.lower() == "authorization" else ""
            self.headers[config.api_key_header.lower()] = scheme + secrets.api_key
        proxy = _proxy(config, secrets, base)
        self.proxy: URL | None = None
        self.proxy_headers: dict[str, str] | None = None
        if proxy is not None:
            self.proxy = proxy.with_user(None)
            if proxy.user is not None:
                token = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
                # Over TLS the proxy sees the request for a tunnel alone, without it the request itself.
                self.proxy_headers = {"proxy-authorization": f"Basic {token}"}
                if base.scheme == "http":
                    self.headers |= self.proxy_headers
        hidden = [secrets.api_key, *secrets.headers.values(), secrets.proxy]
        if proxy is not None and proxy.password:
            hidden += [proxy.password, unquote(proxy.password)]
        hosts = {self.host, self.proxy.host if self.proxy is not None and self.proxy.host else ""}
        self.scrub = Scrub([each for each in hidden if each], hosts, self._base.path.rstrip("/"))

    def url(self, path: str) -> URL:
        """Return the URL of a path below `base_url`, with the query that `base_url` has."""
        url = self._base.join(URL(path))
        return url.update_query(self._query) if self._query else url

    @property
    def request_options(self) -> dict[str, Any]:
        """Return the arguments of a request that lead it through the proxy, if there is one."""
        return {} if self.proxy is None else {"proxy": self.proxy, "proxy_headers": self.proxy_headers}


def _proxy(config: ProviderConfig, secrets: ProviderSecrets, base: URL) -> URL | None:
    """Return the proxy: the provider's own setting, else the environment's, which is never used for this machine."""
    if config.proxy == _NO_PROXY:
        return None
    own = secrets.proxy or config.proxy
    if own:
        return URL(own)
    found = secrets.environment.get(base.scheme) or secrets.environment.get("all")
    if not found or _is_this_machine(base.host or "") or _is_excepted(base, secrets.environment.get("no", "")):
        return None
    try:
        url = URL(found if "://" in found else f"http://{found}")
    except ValueError:
        return None
    return url if url.scheme in {"http", "https"} and url.host else None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(base: URL, exceptions: str) -> bool:
    """Whether `NO_PROXY` names the host: exactly, as a domain of it, as a network, or as `*`; an entry may hold a port."""
    host = (base.host or "").lower()
    return any(_names(part.strip().lower(), host, base.port) for part in exceptions.split(","))


def _names(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, separator, of_port = entry.rpartition(":")
    if separator and of_port.isdigit() and ":" not in name:
        if int(of_port) != port:
            return False
    else:
        name = entry
    name = name.strip("[]").removeprefix("*").lstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}") or _is_in_network(host, name))


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except (ValueError, TypeError):
        return False
