"""Who may use the console's page and API.

- Without a token, which the settings allow on loopback only: every program of this machine.
- With a token: requests that present it as a bearer token, or the cookie that they got for it. The
  token is in no URL, and the cookie does not contain it.

The Host header must name the console: a page of another site whose name resolves to this address
(DNS rebinding) sends that name. Requests that another site's page made are refused.
"""

import ipaddress
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from console.http.responses import ProblemError
from console.http.session import Sessions

_LOCAL_NAME: Final = "localhost"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN: Final = frozenset({b"same-origin", b"none"})
"""Values of Sec-Fetch-Site: the page itself, or a person who typed the address."""


class Access:
    """The rule for one console. `names` are host names that it may be reached by, besides addresses."""

    def __init__(self, sessions: Sessions | None, *, names: frozenset[str] = frozenset()) -> None:
        self._sessions = sessions
        self._names = frozenset(name.lower() for name in names) | {_LOCAL_NAME}

    @property
    def is_token_required(self) -> bool:
        """Whether a token is needed."""
        return self._sessions is not None

    def check_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise 403 for a wrong Host and for what a page of another site sent."""
        host = headers.get(b"host", b"")
        if not self._is_own_host(_host_name(host)):
            raise ProblemError(HTTPStatus.FORBIDDEN, "The Host header does not name this console.")
        site = headers.get(b"sec-fetch-site")
        is_refused = site == b"cross-site" and not _follows_link(method, headers)
        if is_refused or (site is not None and site not in _OWN and method not in _SAFE_METHODS):
            raise ProblemError(HTTPStatus.FORBIDDEN, "The request comes from a page of another site.")
        origin = headers.get(b"origin")
        # A proxy that ends TLS in front of the console changes the scheme, not the host.
        if origin is not None and origin not in {b"http://" + host, b"https://" + host}:
            raise ProblemError(HTTPStatus.FORBIDDEN, "The request comes from a page of another origin.")

    def is_authenticated(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether the request may read."""
        return self._sessions is None or self._sessions.accepts(headers)

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise 401 for a request that may not read."""
        if not self.is_authenticated(headers):
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "This console requires its token.",
                {"WWW-Authenticate": 'Bearer realm="console"'},
            )

    def _is_own_host(self, host: str) -> bool:
        """Return whether a host is this console's.

        Addresses are safe from rebinding, as no other site can have one as its origin; without a token only
        those of loopback are allowed.
        """
        if host in self._names:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return self._sessions is not None or address.is_loopback


def _follows_link(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a person followed a link, as from a chat: the site with the link cannot read what opens."""
    dest, mode = headers.get(b"sec-fetch-dest"), headers.get(b"sec-fetch-mode")
    return method in _SAFE_METHODS and mode == b"navigate" and dest == b"document"


def _host_name(host: bytes) -> str:
    """Return a Host header without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        address, bracket, _ = text[1:].partition("]")
        return address if bracket else ""
    return text.partition(":")[0]
