"""Asks Grafana over its HTTP API. For one event loop; an async context manager."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import aiohttp
import msgspec

SECONDS: Final = 30.0
"""For one request; a query of a long time range takes several."""

_OK: Final = 200
_UNAUTHORIZED: Final = frozenset({401, 403})
_LONGEST_REASON: Final = 300


class GrafanaError(RuntimeError):
    """Grafana does not answer, or not as asked; the message says what to do."""


class Credentials(msgspec.Struct, frozen=True):
    """A service account's token, or `name:password`; neither is an anonymous visitor."""

    token: str = ""
    user: str = ""

    def headers(self) -> dict[str, str]:
        """Return the header that identifies the caller."""
        if self.token:
            return {"authorization": f"Bearer {self.token}"}
        if not self.user:
            return {}
        return {"authorization": f"Basic {base64.b64encode(self.user.encode()).decode()}"}


class Response(msgspec.Struct, frozen=True):
    """A status and decoded JSON; `body` is text where it is none."""

    status: int
    body: Any

    @property
    def is_ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == _OK

    @property
    def reason(self) -> str:
        """What the response says of a failure, on one line."""
        message = self.body.get("message") if isinstance(self.body, dict) else None
        text = str(message or self.body).replace("\n", " ")
        return f"status {self.status}: {text[:_LONGEST_REASON]}"


class GrafanaClient:
    """One Grafana."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self.url = url
        self._credentials = credentials
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._credentials.headers())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, **params: str | int) -> Response:
        """Return the response to a GET; raises `GrafanaError` where there is none or the caller may not ask."""
        return await self._request("GET", path, params={name: str(value) for name, value in params.items()})

    async def query(self, targets: Sequence[Mapping[str, Any]], from_ms: int, to_ms: int) -> Response:
        """Return the response to queries of panels; raises `GrafanaError` as `get` does."""
        body = {"queries": list(targets), "from": str(from_ms), "to": str(to_ms)}
        return await self._request("POST", "/api/ds/query", json=body)

    async def _request(self, method: str, path: str, **more: Any) -> Response:
        if self._session is None:
            raise RuntimeError("used outside its context")
        try:
            async with self._session.request(method, self.url + path, **more) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise GrafanaError(f"{self.url} does not answer ({reason}): is it running?") from None
        if response.status in _UNAUTHORIZED:
            raise GrafanaError(
                f"{path}: status {response.status}; set GRAFANA_TOKEN to a token or GRAFANA_USER to name:password of an admin"
            )
        return Response(response.status, _decoded(text))


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
