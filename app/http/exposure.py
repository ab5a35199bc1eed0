"""Decides which clients may read the monitoring routes and the details of `/health/ready`.

With a token: those that present it. Without one: every client, where `monitoring.open` is set or
the gateway listens on loopback; no client, where it listens beyond. The address is that of the
bound socket, not the one in the configuration.
"""

import ipaddress
from typing import Final

from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException

from otel.exposition.scrape_request import presents_token
from otel.instrument.asgi import Scope

CLOSED: Final = (
    "The monitoring endpoints are closed: the gateway listens beyond loopback and has no monitoring token. "
    "Set monitoring.token_env to the name of the variable with a token, or monitoring.open = true."
)
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="monitoring"'}


class Exposure:
    """The rule for one gateway. Raises ValueError for an empty token, which is a secret that is missing, not a choice of open endpoints."""

    def __init__(self, token: str | None = None, *, is_open: bool = False) -> None:
        if token is not None and not token.strip():
            raise ValueError("the monitoring token is empty")
        self._token = None if token is None else token.encode()
        self._is_open = is_open
        self._listens_on_loopback: bool | None = None

    def bound_to(self, host: str) -> None:
        """Set the address that the listening socket is bound to."""
        self._listens_on_loopback = is_loopback(host)

    @property
    def notice(self) -> str | None:
        """What an operator should know at the start; None where nothing is unusual."""
        if self._token is not None or self._listens_on_loopback is not False:
            return None
        if self._is_open:
            return "the monitoring endpoints are open to every client (monitoring.open = true)"
        return (
            "the monitoring endpoints are closed, because the gateway listens beyond loopback and has no monitoring token: "
            "set monitoring.token_env, or monitoring.open = true"
        )

    def allows(self, scope: Scope) -> bool:
        """Whether the client of this request may read what monitoring shows."""
        return self._refusal(scope) is None

    def check(self, scope: Scope) -> None:
        """Raise the 401 or 403 of a request whose client may not."""
        refusal = self._refusal(scope)
        if refusal is not None:
            raise refusal

    def _refusal(self, scope: Scope) -> HTTPException | None:
        if self._token is not None:
            if presents_token(scope["headers"], self._token):
                return None
            return NotAuthorizedException("The monitoring endpoints require a bearer token.", headers=_CHALLENGE)
        if self._is_open or self._arrived_on_loopback(scope):
            return None
        return PermissionDeniedException(CLOSED)

    def _arrived_on_loopback(self, scope: Scope) -> bool:
        """Whether the gateway listens on loopback; another server's socket is known by the address of each of its connections."""
        if self._listens_on_loopback is not None:
            return self._listens_on_loopback
        server = scope.get("server")
        return server is None or server[1] is None or not _is_address(server[0]) or is_loopback(server[0])


def is_loopback(host: str) -> bool:
    """Whether a socket that is bound to this address can be reached from this computer only."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
